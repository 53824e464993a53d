"""`divscale dedup` and `divscale select` on a terminal."""

from __future__ import annotations

import sys

from divscale.embedding.config import EmbedderConfig
from divscale.stages.dedup_files import dedup_files
from divscale.stages.select_files import select_files
from divscale.stages.subset import Method, SelectMeasure

_WHAT = {"exact": "the same text but for case, spacing and Unicode form",
         "near": "Jaccard similarity of 5-character shingles", "semantic": "cosine similarity of vectors"}


def dedup_from_terminal(
    data: str, out: str, *, text_column: str | None, vectors: str | None, embedder: str, near: float | None,
    semantic: float | None,
) -> int:
    """Deduplicate and print what went. Returns the exit code."""
    found = dedup_files(data, out, text_column=text_column, vectors=vectors, embedder=EmbedderConfig(model=embedder),
                        near=near, semantic=semantic, log=_log)
    thresholds = {"near": near, "semantic": semantic}
    print(f"{data}: {found.rows_in:,} rows")
    for reason, count in found.rejected.items():
        print(f"  {'left out':<9} {count:>9,}  {reason}")
    for step, count in found.gone.items():
        limit = f" >= {thresholds[step]:g}" if step in thresholds else ""
        print(f"  {step:<9} {count:>9,}  {_WHAT[step]}{limit}")
    print(f"  {'kept':<9} {found.kept:>9,}  {found.kept_file} ({found.rejected_file} says of the others why)")
    for step, effect in found.effect.items():
        listed = "   ".join(f"{threshold:g}: {count:,}" for threshold, count in effect.items())
        print(f"rows that go as {step} at other thresholds:  {listed}")
    return 0


def select_from_terminal(
    data: str, out: str, *, to_diversity: float, size: int, measure: SelectMeasure, method: Method,
    text_column: str | None, vectors: str | None, embedder: str, seed: int,
) -> int:
    """Select and print what was reached. Returns the exit code."""
    found = select_files(data, out, to_diversity=to_diversity, size=size, measure=measure, method=method,
                         text_column=text_column, vectors=vectors, embedder=EmbedderConfig(model=embedder), seed=seed,
                         log=_log)
    chosen = found.chosen
    print(f"{out}: {len(chosen.rows_K):,} of {found.pool:,} rows, {found.measure} = {chosen.value:.4g} (asked for "
          f"{to_diversity:g})")
    print(f"  reachable with this size: {chosen.low:.4g} to {chosen.high:.4g}; random rows have {chosen.random:.4g}")
    if chosen.moved:
        rest = len(chosen.rows_K) - chosen.moved
        print(f"  {chosen.moved:,} rows were taken for being {chosen.towards}, {rest:,} at random")
    return 0


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
