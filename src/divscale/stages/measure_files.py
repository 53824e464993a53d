"""`divscale measure`: the diversity of any data set, and its shift from another, without a study.

Shapes: N rows of the set, M rows of the reference, D features.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from divscale.data.dataset import Dataset, find
from divscale.data.text_set import TextSet, read_set
from divscale.embedding.config import EmbedderConfig
from divscale.errors import ConfigError, DataError
from divscale.metrics.catalogue import Setting, metric, notes
from divscale.metrics.config import MeasureConfig
from divscale.metrics.measure import Measurement, measure_set
from divscale.metrics.one_by_one import one_by_one
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.stages.choose_measures import Chosen, choose
from divscale.stages.embed_files import Log, check_embedder, check_seed, embed_texts, encoder_facts
from divscale.stages.measure_cost import check_cost, check_limit

LEAST = 4  # rows an interval needs
LEAST_GROUP = 30  # rows of a group that may decide at which n all others are measured


@dataclass(frozen=True)
class MeasuredFiles:
    """What `measure_files` found.

    Attributes:
        data: the set as it was named.
        rows: rows that could be measured.
        read_as: which columns they were read from.
        rejected: reason -> rows left out.
        reference: the reference as it was named; None without one. The next three are its own.
        n: rows every number is measured at, in the set, every group and the reference.
        encoder: what made the vectors.
        metrics: name -> `Measurement` of the whole set.
        groups: value of the `by` column -> the same of its rows.
        small_groups: groups of fewer than n rows -> their rows; they are not measured.
        notes: what a reader has to know.
        seconds: how long it took.
    """

    data: str
    rows: int
    read_as: str
    rejected: Mapping[str, int]
    reference: str | None
    reference_rows: int | None
    reference_read_as: str | None
    reference_rejected: Mapping[str, int]
    n: int
    seed: int
    encoder: Mapping[str, Setting]
    metrics: Mapping[str, Measurement]
    groups: Mapping[str, Mapping[str, Measurement]]
    small_groups: Mapping[str, int]
    notes: Sequence[str]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values; `metrics` is name -> {value, low, high, n, settings}."""
        return {**asdict(self), "embedder": self.encoder.get("embedder")}


def measure_files(
    data: str,
    text_column: str | None = None,
    *,
    reference: str | None = None,
    reference_text_column: str | None = None,
    vectors: str | None = None,
    embedder: EmbedderConfig | None = None,
    metrics: Sequence[str] | None = None,
    by: str | None = None,
    source_column: str | None = None,
    n: int | None = None,
    seed: int = 0,
    max_minutes: float | None = None,
    resources: Resources | None = None,
    log: Log = lambda _: None,
) -> MeasuredFiles:
    """Measure a data set: what `divscale measure` does, and `divscale.measure` is.

    Everything is measured at one n, so that numbers compare: the smaller of the set and the reference is taken whole,
    of the larger n rows are drawn without replacement. Rows that cannot be measured are left out and counted.

    Args:
        data: Parquet, JSONL, CSV or .npy file, glob, folder, or URI of one.
        text_column: its text; several columns with commas between them are joined. None infers the layout (text,
            messages, prompt and completion, Alpaca, ShareGPT, or the only column of strings).
        reference: a data set to measure the shift from.
        reference_text_column: its text; None: `text_column`, or inferred.
        vectors: list column of given vectors, in both; nothing is embedded then.
        embedder: the encoder; None: the packaged all-MiniLM-L6-v2.
        metrics: names of the catalogue; None: the default set.
        by: a column; every value of it is measured too, all at one n; smaller groups are left out and named.
        source_column: what a row was made from (a story, a seed text), in both sets: a classifier that tells them
            apart is never tested on rows of a source it was trained on. Rows without one stand alone.
        n: rows to measure at; None: as many as the smallest has, of groups the smallest of 30 rows or more (of 4 or
            more where none has 30), so that one tiny group does not pull all others down.
        seed: of all draws.
        max_minutes: stop before starting what is estimated to take longer.
        resources: of the encoder's fleet, and of passes over all pairs: large ones go over a running cluster that
            `address` or RAY_ADDRESS names, or over several GPUs.
        log: takes what is said on the way: rows left out, the estimate, progress.

    Raises:
        ConfigError: a missing file or column, a measure this data does not allow, n above the number of rows.
        DataError: unreadable data, too few rows, vectors that cannot be measured.
        PreflightError: no such encoder; data that cannot be reached.
    """
    begun = time.monotonic()
    config, resources = embedder or EmbedderConfig(), resources or Resources()
    if n is not None and n < LEAST:
        raise ConfigError(f"n: {n} rows are too few to measure; give -n {LEAST} or more.")
    check_seed(seed)
    check_limit(max_minutes)
    if source_column is not None and reference is None:
        raise ConfigError("--source-column: sources are held out when a classifier tells the set from a reference; "
                          "give one with --reference, or leave the option out.")
    own, others = _both(data, reference, text_column, reference_text_column, vectors, by, source_column, log)
    groups = _groups(own)
    n = _settled(n, own, others, groups)
    large = {name: rows for name, rows in groups.items() if len(rows) >= n}
    chosen = choose(metrics, own, others, n)
    if source_column is not None and not any(metric(name).by_source for name in chosen.all):
        raise ConfigError("--source-column: sources are held out by c2st, which is not measured here; add it to "
                          "--metrics or leave the option out.")
    x_ND, reference_MD, encoder = _vectors(own, others, chosen, config, resources, n, max_minutes, len(large), log)
    failed: dict[str, str] = {}

    def measured(rows: NDArray[np.int64] | None) -> dict[str, Measurement]:
        def at(values: Any) -> Any:
            if rows is None or values is None:
                return values
            return values[rows] if isinstance(values, np.ndarray) else [values[int(row)] for row in rows]

        def one(config: MeasureConfig) -> dict[str, Measurement]:
            return measure_set(
                at(x_ND), at(own.texts), reference_MD, config, n, seed, labels=at(own.labels), sources=at(own.sources),
                reference_texts=others.texts if others else None, reference_labels=others.labels if others else None,
                reference_sources=others.sources if others else None, encoder=encoder, tile_rows=None, device="auto")

        found, errors = one_by_one(one, MeasureConfig(diversity=chosen.diversity, shift=chosen.shift))
        if errors and (metrics is not None or not found):  # what was asked for by name is not left out
            raise next(iter(errors.values()))
        for name, error in errors.items():
            failed.setdefault(name, f"{name} cannot be measured on this data: {error}")
        return found

    with _passes(chosen, resources):
        whole = measured(None)
        by_group = {name: measured(rows) for name, rows in large.items()}
    return MeasuredFiles(
        data, len(own.ids), own.read_as, own.reasons(), reference, len(others.ids) if others else None,
        others.read_as if others else None, others.reasons() if others else {}, n, seed, encoder, whole, by_group,
        {name: len(rows) for name, rows in groups.items() if name not in large},
        (*chosen.notes, *failed.values(), *_said(own, others, n), *notes(chosen.all)), time.monotonic() - begun)


@contextmanager
def _passes(chosen: Chosen, resources: Resources) -> Iterator[None]:
    """Where passes over all pairs run. Measures of texts alone do not wait for torch to be imported."""
    if not chosen.take("vectors"):
        yield
        return
    from divscale.similarity.spread import spread

    with Session(resources) as session, spread(session):
        yield


def _both(
    data: str, reference: str | None, columns: str | None, reference_columns: str | None, vectors: str | None,
    by: str | None, source: str | None, log: Log,
) -> tuple[TextSet, TextSet | None]:
    """The set and the reference. Columns that are named for both say nothing about a side that is an array."""
    own = find(data, "data")
    if reference is None:
        return _opened(own, "data", columns, vectors, by, source, log), None
    others = find(reference, "reference")
    one_array = (own.format == "npy") != (others.format == "npy")
    own_vectors, other_vectors = (None if one_array and side.format == "npy" else vectors for side in (own, others))
    if others.format != "npy":
        reference_columns = reference_columns or columns
    return (_opened(own, "data", columns, own_vectors, by, source, log),
            _opened(others, "reference", reference_columns, other_vectors, None, source, log))


def _opened(
    dataset: Dataset, field: str, columns: str | None, vectors: str | None, by: str | None, source: str | None,
    log: Log,
) -> TextSet:
    data = dataset.name
    found = read_set(dataset, field=field, columns=columns, vectors=vectors, by=by, source=source)
    log(f"{data}: {found.read_as}")
    for reason, count in found.reasons().items():
        log(f"{data}: {count:,} of {found.rows_in:,} rows are left out: {reason}")
    if len(found.ids) < LEAST:
        kind = "vectors" if found.texts is None else "texts"
        raise DataError(f"{data}: {len(found.ids)} {kind} are too few to measure; give at least {LEAST}.")
    return found


def _groups(own: TextSet) -> dict[str, NDArray[np.int64]]:
    if own.groups is None:
        return {}
    found: dict[str, list[int]] = {}
    for row, group in enumerate(own.groups):
        found.setdefault(group, []).append(row)
    if all(len(rows) < LEAST for rows in found.values()):
        raise ConfigError(f"--by: the column has {len(found):,} different values in {len(own.ids):,} rows, and no "
                          f"group has the {LEAST} rows that can be measured. Name a column of groups.")
    return {name: np.asarray(rows, np.int64) for name, rows in sorted(found.items())}


def _settled(
    n: int | None, own: TextSet, others: TextSet | None, groups: Mapping[str, NDArray[np.int64]],
) -> int:
    smaller = min(len(own.ids), len(others.ids) if others else len(own.ids))
    if n is None:
        sizes = [len(rows) for rows in groups.values() if len(rows) >= LEAST]
        return min([smaller, *([size for size in sizes if size >= LEAST_GROUP] or sizes)])
    if n > smaller:
        raise ConfigError(f"n: {n} rows are asked for and the smaller side has {smaller}; give a smaller -n.")
    if groups and all(len(rows) < n for rows in groups.values()):
        raise ConfigError(f"n: {n} rows are asked for and the largest group has "
                          f"{max(len(rows) for rows in groups.values())}; give a smaller -n.")
    return n


def _vectors(
    own: TextSet, others: TextSet | None, chosen: Chosen, config: EmbedderConfig, resources: Resources, n: int,
    max_minutes: float | None, groups: int, log: Log,
) -> tuple[NDArray | None, NDArray | None, dict[str, Setting]]:
    """x_ND, reference_MD and what made them; None where no measure takes vectors."""
    rows = [len(side.ids) for side in (own, others) if side is not None]

    def before(embedding_s: float, width: int | None) -> None:
        check_cost(chosen.all, n, rows, groups + 1, embedding_s, width, max_minutes, log, texts=own.texts)

    if not (chosen.take("vectors") or chosen.take("reference_vectors")):
        before(0.0, None)
        return None, None, {}
    given = [side for side in (own, others) if side is not None and side.x_ND is not None]
    if len(given) == len(rows):
        assert own.x_ND is not None
        before(0.0, own.x_ND.shape[1])
        return own.x_ND, others.x_ND if others else None, {"embedder": "given vectors"}
    if given:
        raise ConfigError(f"{given[0].name} brings vectors and the other side has texts alone; give vectors of one "
                          "encoder for both, or texts for both.")
    check_embedder(config)
    assert own.texts is not None
    texts = [*own.texts, *(others.texts or [] if others else [])]
    x = embed_texts(texts, config, resources, before=before, log=log)
    split = len(own.texts)
    return x[:split], x[split:] if others else None, encoder_facts(config)


def _said(own: TextSet, others: TextSet | None, n: int) -> list[str]:
    found = []
    if others is not None and len(own.ids) != len(others.ids):
        found.append(f"the sets have {len(own.ids):,} and {len(others.ids):,} rows; both are measured at n = {n:,}, "
                     "drawn without replacement, because most of these numbers depend on n")
    if own.texts is not None and len(set(own.texts)) == 1:
        found.append(f"all {len(own.ids):,} texts are the same")
    return found
