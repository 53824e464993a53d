# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false
# (pyarrow ships no types)
"""Arrow schemas and column names: the only contract between rooms."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

Task = Literal["classification", "qa", "text"]

# In the place of a model's name: one that the study trains on the spot. `pretrain:NAME` is one of several.
PRETRAIN = "pretrain"


def trained_here(model: str) -> bool:
    """Whether a name stands for a model that the study trains on the spot."""
    return model.partition(":")[0] == PRETRAIN


# Which rows of a generated set count: all, those with the right label or answer, as many chosen to be distributed like
# real text, or such of those with the right label.
Filter = Literal["none", "label_agreement", "shift_matched", "both"]
CORRECT: frozenset[str] = frozenset({"label_agreement", "both"})
MATCHED: frozenset[str] = frozenset({"shift_matched", "both"})

# One training example, real or generated.
#   text     what is measured and embedded: the sentence (classification), the question (qa), the continuation (text)
#   context  what it stands on: the passage (qa), the beginning (text); null for classification
#   answers  references, the first is trained on (qa)
#   group    rows of one group never straddle a split (a class or function, a story); null: of its context, or its own
#   source_id, request_id, origin    lineage
SAMPLES = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("label", pa.string()),
        ("context", pa.string()),
        ("answers", pa.list_(pa.string())),
        ("group", pa.string()),
        ("origin", pa.string()),  # "real" | "generated"
        ("source_id", pa.string()),  # the real sample it was made from
        ("request_id", pa.string()),
    ]
)

# A row that did not become a sample, and why.
REJECTED = pa.schema([("id", pa.string()), ("reason", pa.string()), ("row", pa.string())])

# What is asked of an engine. `seed` is per row, so batching, order and replicas change nothing.
#   kind     which prompt of the recipe it is ("sample", "base", "paraphrase")
#   json_schema   what the completion is held to, a JSON schema as text; null: free text
#   label, context, source_id, answers   carried over to the sample
REQUESTS = pa.schema(
    [
        ("request_id", pa.string()),
        ("kind", pa.string()),
        ("prompt", pa.string()),
        ("seed", pa.int64()),
        ("temperature", pa.float64()),
        ("top_p", pa.float64()),
        ("min_p", pa.float64()),
        ("max_tokens", pa.int32()),
        ("json_schema", pa.string()),
        ("label", pa.string()),
        ("context", pa.string()),
        ("answers", pa.list_(pa.string())),
        ("source_id", pa.string()),
        ("ordinal", pa.int64()),  # rank within its (kind, label) or (kind, context): what "the first N" means
        ("attempt", pa.int32()),
    ]
)

# What came back. `error` is null for a completion that arrived.
COMPLETIONS = pa.schema(
    [
        ("request_id", pa.string()),
        ("completion", pa.string()),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("error", pa.string()),
    ]
)

# A training set as an index: row `ordinal` of the samples of artifact `source` (a fingerprint).
MIX = pa.schema(
    [
        ("source", pa.string()),
        ("ordinal", pa.int64()),
        ("id", pa.string()),
        ("origin", pa.string()),
    ]
)

# One held-out example scored by one model. `loss` is the mean negative log-likelihood of the target, in nats.
PREDICTIONS = pa.schema(
    [
        ("id", pa.string()),
        ("target", pa.string()),
        ("prediction", pa.string()),
        ("correct", pa.bool_()),
        ("loss", pa.float64()),
        ("confidence", pa.float64()),  # probability of the predicted class; null for a causal model
    ]
)

# What a tuned model wrote for a held-out row, greedily, and all that would have been right. `error`: not written.
ANSWERS = pa.schema(
    [
        ("id", pa.string()),
        ("answer", pa.string()),
        ("references", pa.list_(pa.string())),
        ("finish_reason", pa.string()),
        ("error", pa.string()),
    ]
)

# What a tuned model said to one row of a task of lm-evaluation-harness. `response` and `metrics` are JSON: its filtered
# answers (of a choice: log-likelihood, and whether greedy decoding writes it), and the row's score by metric.
HARNESS = pa.schema(
    [
        ("task", pa.string()),
        ("filter", pa.string()),
        ("doc_id", pa.int64()),
        ("doc_hash", pa.string()),
        ("target", pa.string()),
        ("response", pa.string()),
        ("metrics", pa.string()),
    ]
)

# A generated row that cleaning took out: why, what was found in it, and the row that it repeats, if it repeats one.
REMOVED = pa.schema(
    [
        ("id", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("collides_with", pa.string()),
        ("text", pa.string()),
    ]
)
