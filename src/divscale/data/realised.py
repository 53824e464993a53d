"""What a mix became: its rows, and its true shares by rows and by tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from divscale.errors import RowAccountingError


def resolve(mix: pa.Table, samples: Mapping[str, pa.Table]) -> pa.Table:
    """The SAMPLES that a MIX points at, in its order; `samples` maps a source's fingerprint to its table.

    Raises:
        RowAccountingError: A row of the mix is not the row its id says: the samples are of another artifact.
    """
    sources = np.array(mix["source"].to_pylist(), dtype=object)
    ordinals = mix["ordinal"].to_numpy()
    names = list(dict.fromkeys(sources.tolist()))
    if not names:
        raise RowAccountingError("mix: an empty mix has no rows to train on.")
    taken = pa.concat_tables([samples[name].take(pa.array(ordinals[sources == name])) for name in names])
    back = np.argsort(np.concatenate([np.flatnonzero(sources == name) for name in names]), kind="stable")
    rows = taken.take(pa.array(back)).combine_chunks()
    if rows["id"].to_pylist() != mix["id"].to_pylist():
        raise RowAccountingError("mix: its ids are not those of the samples it points at; the index and the artifact "
                                 "do not belong together.")
    return rows


def realised(
    mix: pa.Table, samples: Mapping[str, pa.Table], count_tokens: Callable[[Sequence[str]], list[int]],
) -> dict[str, Any]:
    """Counts and shares of a mix, as plain numbers for its record.

    Tokens are those of all a model reads and writes for a row: context, text, first answer.

    Args:
        mix: A MIX table.
        samples: Source -> the SAMPLES it points at.
        count_tokens: Texts -> tokens of each; one tokenizer for all mixes that are to compare.

    Returns:
        `rows`, `real_rows`, `generated_rows`, `distinct_rows` (repeated rows counted once), `generated_share_rows`,
        `tokens`, `generated_tokens`, `generated_share_tokens` (shares 0 to 1), and `labels`: label -> {"real": rows,
        "generated": rows} ("" for rows without a label).
    """
    labels: dict[str, dict[str, int]] = defaultdict(lambda: {"real": 0, "generated": 0})
    rows = {"real": 0, "generated": 0}
    tokens = {"real": 0, "generated": 0}
    for row in resolve(mix, samples).to_pylist():
        labels[row["label"] or ""][row["origin"]] += 1
        rows[row["origin"]] += 1
        parts = (row["context"], row["text"], (row["answers"] or [""])[0])
        tokens[row["origin"]] += sum(count_tokens([part for part in parts if part]))
    return {
        "rows": mix.num_rows, "real_rows": rows["real"], "generated_rows": rows["generated"],
        "distinct_rows": len(set(zip(mix["source"].to_pylist(), mix["ordinal"].to_pylist(), strict=True))),
        "generated_share_rows": rows["generated"] / mix.num_rows,
        "tokens": sum(tokens.values()), "generated_tokens": tokens["generated"],
        "generated_share_tokens": tokens["generated"] / sum(tokens.values()),
        "labels": {label: counts for label, counts in sorted(labels.items())},
    }
