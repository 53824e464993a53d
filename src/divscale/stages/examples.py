"""Generated rows that a report shows: some of every level, what each is nearest to, and repeats of its set.

Shapes: N rows of the set, M real rows, S shown rows, B rows of a block, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from divscale.report.model import Example, Neighbour, Repeats
from divscale.selection.same_text import same_texts

PER_LEVEL = 12
NEAR = 0.95       # cosine similarity from which rows are near duplicates, as in `divscale dedup --semantic`
COMPARED = 10_000  # rows at most that are compared with each other: a second of computing
LETTERS = 500     # of a text that are shown
_BLOCK = 1 << 16  # rows whose unit vectors are held at once


def shown_rows(rows: int) -> NDArray[np.int64]:
    """Ordinals of the rows that are shown, S: at most `PER_LEVEL`, evenly spread."""
    return np.arange(0, rows, max(-(-rows // PER_LEVEL), 1), dtype=np.int64)


def examples(
    samples: pa.Table, x_ND: NDArray[np.float32], kept_N: Sequence[bool] | None, real: pa.Table,
    real_MD: NDArray[np.float32],
) -> tuple[Example, ...]:
    """The shown rows of a set, each with its nearest real row and its nearest other row of the set.

    Args:
        samples: the set, schema `SAMPLES`.
        x_ND: its vectors.
        kept_N: whether the filter keeps each row; None without one.
        real: real rows to look among.
        real_MD: their vectors.

    Cost: S (N + M) D multiply-adds; vectors are read once, in blocks.
    """
    rows = shown_rows(samples.num_rows)
    near_real = _nearest(x_ND[rows], real_MD, np.full(len(rows), -1))
    near_own = _nearest(x_ND[rows], x_ND, rows)
    return tuple(
        Example(row["label"] or "", _text(row), None if kept_N is None else bool(kept_N[place]),
                _neighbour(real, *near_real[i]), _neighbour(samples, *near_own[i]))
        for i, (place, row) in enumerate(zip(rows, samples.take(pa.array(rows)).to_pylist(), strict=True)))


def repeats(samples: pa.Table, x_ND: NDArray[np.float32]) -> Repeats:
    """How many rows repeat an earlier one: the same text, or nearly the same vector (which takes in the same text).

    Cost: L^2 D / 2 multiply-adds for L <= `COMPARED` rows, the first ones.
    """
    from divscale.selection.near_vector import near_vectors

    texts = samples["text"].slice(0, COMPARED).to_pylist()
    first_LD = np.asarray(x_ND[:COMPARED])
    pointing = first_LD[np.linalg.norm(first_LD, axis=1) > 0]
    near = near_vectors(pointing, [NEAR])[NEAR].gone if len(pointing) > 1 else 0
    return Repeats(samples.num_rows, len(texts), same_texts(texts).gone, near, NEAR)


def _nearest(
    looking_SD: NDArray[np.float32], among_ND: NDArray[np.float32], own_S: NDArray[np.int64],
) -> list[tuple[int, float]]:
    """(row, cosine similarity) of the nearest row to each, which is not row `own_S`; row -1 where there is none."""
    from divscale.similarity.neighbours import nearest_in

    best: list[tuple[int, float]] = [(-1, -np.inf)] * len(looking_SD)
    unit_SD = _unit(looking_SD)
    for start in range(0, len(among_ND), _BLOCK):
        block_BD = _unit(np.asarray(among_ND[start:start + _BLOCK]))
        scores_SK, rows_SK = nearest_in(unit_SD, block_BD, min(2, len(block_BD)))
        for i, own in enumerate(own_S):
            for row, score in zip(rows_SK[i] + start, scores_SK[i], strict=True):
                if row != own and score > best[i][1]:
                    best[i] = (int(row), float(score))
    return best


def _unit(x_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit rows; one without a direction stays zero, so that it is like no other."""
    length_N1 = np.linalg.norm(x_ND, axis=1, keepdims=True)
    return np.divide(x_ND, length_N1, out=np.zeros_like(x_ND), where=length_N1 > 0)


def _neighbour(table: pa.Table, row: int, cosine: float) -> Neighbour | None:
    if row < 0:
        return None
    found = table.slice(row, 1).to_pylist()[0]
    return Neighbour(found["label"] or "", _text(found), min(cosine, 1.0))


def _text(row: dict[str, Any]) -> str:
    text = f"{row['text']} -> {row['answers'][0]}" if row["answers"] else row["text"]
    return text if len(text) <= LETTERS else text[:LETTERS].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
