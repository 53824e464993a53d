"""correctness: which generated rows carry the right label or answer, by an oracle, a judge, or a generator's votes.

The judge is a probe that has seen only the prior, which is what the generator saw. The oracle is exact. Votes are what
a generator names when it is shown the row without its label or answer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import pyarrow as pa

from divscale.config import Study
from divscale.data import storyland
from divscale.evaluation.squad import normalised
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.stages import embed
from divscale.stages.context import Context
from divscale.training.probe import load_probe, predict


class CorrectnessConfig(FrozenConfig):
    """Who decides."""

    by: Literal["judge", "oracle"]


class VotesConfig(FrozenConfig):
    """What is enough of the votes."""

    by: Literal["votes"] = "votes"
    least: float


def stage(
    study: Study, samples: Stage, vectors: Stage, judge: Stage | None, votes: Stage | None,
) -> Stage | None:
    """The check of a generated set; None where nobody can decide."""
    if votes is not None:
        return Stage("correctness", 1, VotesConfig(least=study.agreement.least), {"samples": samples, "votes": votes},
                     samples.title)
    if study.data.source == "storyland":
        return Stage("correctness", 1, CorrectnessConfig(by="oracle"), {"samples": samples}, samples.title)
    if judge is None:
        return None
    inputs = {"samples": samples, "vectors": vectors, "judge": judge}
    return Stage("correctness", 1, CorrectnessConfig(by="judge"), inputs, samples.title)


def run(jobs: Sequence[Job], context: Context) -> None:
    """Check every row of every set."""
    for job in jobs:
        config: Any = job.stage.config
        samples = job.input("samples").table("samples")
        if config.by == "oracle":
            right = [storyland.is_right(row) for row in samples.select(["context", "text", "answers"]).to_pylist()]
        elif config.by == "votes":
            right = voted_right(samples, job.input("votes").table("samples"), config.least)
        else:
            judge = load_probe(job.input("judge").tree("model"))
            guessed = predict(judge, embed.vectors(job.input("vectors")))
            right = [a == b for a, b in zip(guessed, samples["label"].to_pylist(), strict=True)]
        job.draft.write_table("right", pa.table({"right": pa.array(right, pa.bool_())}))
        context.events.advanced("correctness", rows=len(right))
        kept = int(sum(right))
        job.commit(
            rows=Rows(asked=len(right), ok=kept, filtered=len(right) - kept),
            values={"label_correct": kept / max(len(right), 1), "by": config.by},
        )


def voted_right(samples: pa.Table, votes: pa.Table, least: float) -> list[bool]:
    """Whether at least a share `least` of each row's votes name its own label, or one of its answers.

    An answer is the same under SQuAD's rules. A vote names the longest label that stands in it as words (`category:
    card arrival`); case, underscores and punctuation do not count. A row without votes is wrong.

    Args:
        samples: N rows with `label` or `answers`.
        votes: `text` and, in `source_id`, the row's id.
        least: share, above 0.
    """
    labels = {_words(label): label for label in set(samples["label"].to_pylist()) if label}
    said: dict[str, list[str]] = defaultdict(list)
    for row_id, text in zip(votes["source_id"].to_pylist(), votes["text"].to_pylist(), strict=True):
        said[row_id].append(text)
    right = []
    for row in samples.select(["id", "label", "answers"]).to_pylist():
        answers = {normalised(answer) for answer in row["answers"] or ()}
        hits = sum(normalised(text) in answers if answers else _named(text, labels) == row["label"]
                   for text in said[row["id"]])
        right.append(hits > 0 and hits >= least * len(said[row["id"]]))
    return right


def _named(text: str, labels: dict[str, str]) -> str | None:
    words = _words(text)
    found = [label for label in labels if f" {label} " in f" {words} "]
    return labels[max(found, key=len)] if found else None


def _words(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())
