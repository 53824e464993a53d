"""`divscale dedup`: rows that repeat other rows go, and are kept aside with what they repeat.

Shapes: N rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from divscale.data.copy_rows import EXTENSIONS, copy_rows, unlisted
from divscale.data.dataset import Dataset, find
from divscale.data.text_set import TextSet, read_set
from divscale.data.unicode_text import escaped
from divscale.embedding.config import EmbedderConfig
from divscale.errors import ConfigError, RowAccountingError
from divscale.runtime.resources import Resources
from divscale.selection.duplicates import Duplicates
from divscale.selection.near_text import check_jaccard, near_texts
from divscale.selection.near_vector import check_cosine, near_vectors
from divscale.selection.same_text import same_texts
from divscale.stages.embed_files import Log, check_embedder, embed_texts
from divscale.stages.out_file import made_folder, prove_folder, whole

NEAR_SHOWN = (0.5, 0.6, 0.7, 0.8, 0.9)
SEMANTIC_SHOWN = (0.8, 0.85, 0.9, 0.95, 0.98)
# A row that is not in the result, and the row that it repeats. `row` is its content as JSON.
GONE = pa.schema([("id", pa.string()), ("reason", pa.string()), ("duplicate_of", pa.string()),
                  ("similarity", pa.float64()), ("row", pa.string())])


@dataclass(frozen=True)
class Deduplicated:
    """What became of the rows: `rows_in == kept + sum(gone.values()) + sum(rejected.values())`.

    Attributes:
        rows_in: rows of the data set.
        kept: rows written to `kept_file`.
        gone: step (exact, near, semantic) -> rows that went.
        rejected: reason -> rows that could not be compared (empty text, repeated id, ...); not kept either.
        effect: step -> threshold -> rows that would go at it; each step sees what the steps before it left.
        kept_file: the rows that stay, as they came.
        rejected_file: `GONE`, all others.
    """

    rows_in: int
    kept: int
    gone: Mapping[str, int]
    rejected: Mapping[str, int]
    effect: Mapping[str, Mapping[float, int]]
    kept_file: str
    rejected_file: str


def dedup_files(
    data: str, out: str, *, text_column: str | None = None, vectors: str | None = None,
    embedder: EmbedderConfig | None = None, near: float | None = None, semantic: float | None = None,
    resources: Resources | None = None, log: Log = lambda _: None,
) -> Deduplicated:
    """Remove duplicates: the same text, then near texts, then vectors that point the same way, each among what is left.

    The first row of its kind stays. Writes `kept.<format>`, `rejected.parquet` and `dedup.json` into `out`.

    Args:
        data: as `measure_files`.
        out: a local folder, made if missing; it may not hold an earlier result.
        text_column: as `measure_files`.
        vectors: list column of given vectors for `semantic`.
        embedder: the encoder for `semantic` otherwise.
        near: Jaccard similarity of shingles from which texts are near duplicates; None skips the step.
        semantic: cosine similarity from which vectors are; None skips the step.
        resources: of the encoder's fleet.
        log: takes what is said on the way.

    Raises:
        ConfigError: a threshold that cannot be, a file or column that is not there, an `out` that cannot be written.
        DataError: unreadable data, or no row that can be compared.
        StageFailedError: `out` cannot be written after all, as on a full disk.
    """
    folder, dataset = Path(out), find(data, "data")
    kept_file, rejected_file = folder / f"kept.{EXTENSIONS[dataset.format]}", folder / "rejected.parquet"
    if kept_file.exists() or rejected_file.exists():
        raise ConfigError(f"--out: {out} holds an earlier result; name another folder.")
    if Path(data).is_dir() and folder.resolve().is_relative_to(Path(data).resolve()):
        raise ConfigError(f"--out: {out} lies in the folder that is read, and would be read with it next time; name "
                          "one beside it.")
    prove_folder("--out", folder)
    for check, threshold in ((check_jaccard, near), (check_cosine, semantic)):
        if threshold is not None:
            check(threshold)
    found = read_set(dataset, field="data", columns=text_column, vectors=vectors)
    log(f"{data}: {found.read_as}")
    if found.texts is None and (semantic is None or near is not None):
        raise ConfigError(f"{data} has vectors alone, no texts: --semantic T compares those, --near cannot.")
    steps = _Steps(found)
    if found.texts is not None:
        steps.take("exact", same_texts(found.texts))
    if near is not None:
        texts = [found.texts[row] for row in steps.left] if found.texts is not None else []
        steps.take_at("near", near, near_texts(texts, sorted({near, *NEAR_SHOWN})))
    if semantic is not None:
        x_ND = _vectors(found, steps.left, embedder or EmbedderConfig(), resources or Resources(), log)
        steps.take_at("semantic", semantic, near_vectors(x_ND, sorted({semantic, *SEMANTIC_SHOWN})))
    result = Deduplicated(found.rows_in, len(steps.left), steps.gone, found.reasons(), steps.effect, str(kept_file),
                          str(rejected_file))
    if result.rows_in != result.kept + sum(result.gone.values()) + len(found.rejected):
        raise RowAccountingError(f"{data}: rows were lost in deduplication; this is a fault of divscale.")
    _write(folder, dataset, found, steps, result)
    return result


class _Steps:
    """Rows that are left, and of those that went why. Rows are numbered as in `found`."""

    def __init__(self, found: TextSet) -> None:
        self.left: NDArray[np.int64] = np.arange(len(found.ids))
        self.gone: dict[str, int] = {}
        self.effect: dict[str, dict[float, int]] = {}
        self.why: dict[int, tuple[str, int, float]] = {}  # row -> step, the row it repeats, similarity

    def take(self, step: str, duplicates: Duplicates) -> None:
        """Remove what a step found among the rows that are left."""
        for place in np.flatnonzero(~duplicates.kept):
            self.why[int(self.left[place])] = (
                step, int(self.left[duplicates.of_N[place]]), float(duplicates.similarity_N[place]))
        self.gone[step] = duplicates.gone
        self.left = self.left[duplicates.kept]

    def take_at(self, step: str, threshold: float, found: Mapping[float, Duplicates]) -> None:
        """The same at one threshold, with the effect of all noted."""
        self.effect[step] = {at: duplicates.gone for at, duplicates in found.items()}
        self.take(step, found[threshold])


def _vectors(
    found: TextSet, left: NDArray[np.int64], config: EmbedderConfig, resources: Resources, log: Log,
) -> NDArray:
    if found.x_ND is not None:
        return found.x_ND[left]
    check_embedder(config)
    assert found.texts is not None

    def before(seconds: float, _: int) -> None:
        if seconds:
            log(f"estimate: {seconds:.0f} s to embed")

    return embed_texts([found.texts[row] for row in left], config, resources, before=before, log=log)


def _write(folder: Path, dataset: Dataset, found: TextSet, steps: _Steps, result: Deduplicated) -> None:
    kept_N = np.zeros(found.rows_in, bool)
    kept_N[found.ordinals[steps.left]] = True
    gone: dict[int, dict[str, Any]] = {
        row.ordinal: {"id": row.id, "reason": row.reason} for row in found.rejected}
    gone |= {int(found.ordinals[row]): {"id": found.ids[row], "reason": step, "duplicate_of": found.ids[of],
                                        "similarity": likeness} for row, (step, of, likeness) in steps.why.items()}
    rows = [{**gone[ordinal], "row": _as_json(row)}
            for ordinal, row in enumerate(unlisted(dataset)) if ordinal in gone]
    made_folder(folder)
    files = Path(result.kept_file), Path(result.rejected_file), folder / "dedup.json"
    with whole("--out", str(folder), *files) as (kept, rejected, report):
        copy_rows(dataset, kept_N, kept)
        pq.write_table(pa.Table.from_pylist(rows, schema=GONE), rejected, compression="zstd")
        report.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")


def _as_json(row: Mapping[str, Any]) -> str:
    return escaped(json.dumps(row, ensure_ascii=False, default=str))
