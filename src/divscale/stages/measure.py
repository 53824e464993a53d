"""measure: the diversity of a set, and its shift from real data, at one n."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from divscale.config import Study
from divscale.data.samples import sources
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.metrics.catalogue import Part, metric
from divscale.metrics.config import Diversity, MeasureConfig, Shift
from divscale.stages import embed
from divscale.stages import split as splits
from divscale.stages.context import Context
from divscale.stages.filtered import filter_inputs, kept_rows

if TYPE_CHECKING:
    from divscale.stages.expand import GeneratedSet, World


REFERENCE_WORDS: tuple[Part, ...] = ("reference_texts", "reference_labels")
Words = tuple[list[str], list[str | None] | None, list[str | None] | None]  # texts, labels, sources


class MeasureStageConfig(FrozenConfig):
    """Identity of a measurement. `part` is the rows measured: a filter of a generated set, or the real pool."""

    part: str
    n: int
    samples: int
    per_label: bool
    temperatures: tuple[float, ...]
    diversity: tuple[Diversity, ...]
    shift: tuple[Shift, ...]
    subsamples: int


def stage(
    study: Study,
    world: World,
    chosen: GeneratedSet | None = None,
) -> Stage:
    """Measure the first `recipe.samples` rows (per label) of a set against the real test set, or the real pool."""
    samples, vectors = (chosen.samples, chosen.vectors) if chosen else (world.data, world.data_vectors)
    part = chosen.filter or "none" if chosen else "real"
    wanted: MeasureConfig = study.measure
    config = MeasureStageConfig(
        part=part,
        n=wanted.n,
        samples=study.recipe.samples,
        per_label=study.data.task == "classification",
        temperatures=wanted.temperatures,
        diversity=wanted.diversity,
        shift=wanted.shift,
        subsamples=wanted.subsamples,
    )
    inputs = {"samples": samples, "vectors": vectors, "split": world.split, "reference": world.test.vectors}
    wanted_metrics = [metric(name) for name in wanted.diversity + wanted.shift]
    by_source = any(entry.by_source for entry in wanted_metrics)
    if by_source or any(part in REFERENCE_WORDS for entry in wanted_metrics for part in entry.takes):
        inputs["test"] = world.test.samples
    if by_source:  # a generated row's source is a row of these
        inputs["data"] = world.data
    inputs |= filter_inputs(chosen) if chosen else {}
    return Stage("measure", 4, config, inputs, title=f"{samples.title} {part}")


def run(jobs: Sequence[Job], context: Context) -> None:
    """Measure every set, spread over the workers."""
    calls = []
    for job in jobs:
        samples = job.input("samples").table("samples")
        rows = rows_of(job, samples)
        test = splits.rows(job.input("split"), "test")
        held_out = job.input("test").table("samples").take(test) if "test" in job.stage.inputs else None
        data = job.input("data").table("samples") if "data" in job.stage.inputs else None
        calls.append(
            (
                (*embed.vectors_file(job.input("vectors")), rows),
                (*embed.vectors_file(job.input("reference")), test),
                _words(samples.take(rows), data),
                None if held_out is None else _words(held_out, data),
                job.stage.config,
            )
        )
    for i, values in context.workers().map(measure_rows, calls):
        rows = len(calls[i][2][0])
        context.events.advanced("measure", rows=rows)
        jobs[i].commit(rows=Rows(asked=rows, ok=rows), values=values)


def first_per_label(labels: Sequence[str | None], count: int, per_label: bool) -> np.ndarray:
    """Ordinals of the first `count` rows, of each label or altogether, in order. int64."""
    seen: dict[str | None, int] = {}
    chosen = []
    for i, label in enumerate(labels):
        key = label if per_label else None
        if seen.get(key, 0) < count:
            seen[key] = seen.get(key, 0) + 1
            chosen.append(i)
    return np.asarray(chosen, np.int64)


def rows_of(job: Job, samples: Any) -> np.ndarray:
    """Ordinals of the rows that a set is measured by: the first of each label, right ones alone where that is held.

    The job's config has `part`, `samples` and `per_label`; its inputs are the split for real rows, and correctness.
    """
    config: Any = job.stage.config
    if config.part == "real":
        return splits.rows(job.input("split"), "pool")
    kept = kept_rows(job, samples)
    labels = samples["label"].take(kept).to_pylist()
    return kept[first_per_label(labels, config.samples, config.per_label)]


def _words(samples: Any, data: Any) -> Words:
    """Texts, labels and sources; None for labels where no row has one, and for sources without data to find them in."""
    labels = samples["label"].to_pylist()
    return (samples["text"].to_pylist(), labels if any(label is not None for label in labels) else None,
            None if data is None else sources(samples, data))


def measure_rows(
    set_: tuple[str, list[int], np.ndarray],
    reference: tuple[str, list[int], np.ndarray],
    words: Words,
    reference_words: Words | None,
    config: MeasureStageConfig,
) -> dict[str, Any]:
    """The values of one measurement, as a worker computes them.

    Args:
        set_: file, shape and rows of the set's vectors.
        reference: the same of the reference's.
        words: texts, labels and sources of those rows of the set.
        reference_words: of the reference, where a measure takes them.
        config: what is measured, and at which n.

    Returns:
        `metrics` (name -> {value, low, high, n}), `missing` (measure -> why the rows do not allow it), `n`, `rows`;
        where they allow none, all for one reason, `reason` says it once.
    """
    from divscale.metrics.measure import Measurement, measure_set
    from divscale.metrics.one_by_one import one_by_one

    wanted = MeasureConfig(
        n=config.n,
        temperatures=config.temperatures,
        diversity=config.diversity,
        shift=config.shift,
        subsamples=config.subsamples,
    )
    n, (texts, labels, made_from) = config.n, words
    reference_texts, reference_labels, reference_sources = reference_words or (None, None, None)
    x_ND, reference_MD = _load(*set_), _load(*reference)

    def one(config: MeasureConfig) -> dict[str, Measurement]:
        return measure_set(
            x_ND, texts, reference_MD, config, n=n, seed=0, labels=labels, sources=made_from,
            reference_texts=reference_texts, reference_labels=reference_labels, reference_sources=reference_sources)

    found, failed = one_by_one(one, wanted)
    metrics = {name: {"value": m.value, "low": m.low, "high": m.high, "n": m.n} for name, m in found.items()}
    missing = {name: str(error) for name, error in failed.items()}
    if not found and len(reasons := set(missing.values())) == 1:
        return {"metrics": {}, "missing": {}, "n": n, "rows": len(texts), "reason": reasons.pop()}
    return {"metrics": metrics, "missing": missing, "n": n, "rows": len(texts)}


def _load(path: str, shape: Sequence[int], rows: np.ndarray) -> np.ndarray:
    return embed.open_vectors(path, shape)[rows]
