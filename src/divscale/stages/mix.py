"""mix: labelled real rows and generated ones -> a training set, as an index into the artifacts that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.data import mix as mixes
from divscale.data.config import Shortfall
from divscale.data.mix import Rows as MixRows
from divscale.data.realised import realised, resolve
from divscale.data.split import draw_labelled
from divscale.embedding.tokens import TokenCounter
from divscale.errors import DivscaleError
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.stages import split as splits
from divscale.stages.context import Context
from divscale.stages.filtered import filter_inputs, kept_rows

if TYPE_CHECKING:
    from divscale.stages.expand import GeneratedSet, World

Design = Literal["prior", "real_only", "add_on", "constant_total", "generated_only", "judge_labelled"]


class MixStageConfig(FrozenConfig):
    """Identity of a mix beside its sources. Counts are per label where `per_label`."""

    design: Design
    labelled: int
    generated: int | None
    share: float | None
    total: int | None
    filter: str | None
    shortfall: Shortfall
    per_label: bool
    seed: int


def prior_stage(data: Stage, split: Stage) -> Stage:
    """All of the prior: what the judge is trained on."""
    config = MixStageConfig(
        design="prior",
        labelled=0,
        generated=None,
        share=None,
        total=None,
        filter=None,
        shortfall="error",
        per_label=True,
        seed=0,
    )
    return Stage("mix", 2, config, {"data": data, "split": split}, "prior")


def stage(
    study: Study,
    world: World,
    chosen: GeneratedSet | None,
    design: Design,
    labelled: int,
    seed: int,
    *,
    generated: int | None = None,
    share: float | None = None,
    total: int | None = None,
    shortfall: Shortfall = "error",
) -> Stage:
    """One training set."""
    config = MixStageConfig(
        design=design,
        labelled=labelled,
        generated=generated,
        share=share,
        total=total,
        filter=chosen.filter if chosen else None,
        shortfall=shortfall,
        per_label=study.data.task == "classification",
        seed=seed,
    )
    inputs = {"data": world.data, "split": world.split}
    title = f"{design}, {labelled} labelled"
    if chosen is not None:
        inputs["set"] = chosen.samples
        inputs |= filter_inputs(chosen)
        title += f", level {chosen.level:g} {chosen.filter}" if chosen.level is not None else ""
    return Stage("mix", 2, config, inputs, f"{title}, data seed {seed}")


def run(jobs: Sequence[Job], context: Context) -> None:
    """Compose every mix; tables that several share are read once."""
    tables: dict[str, pa.Table] = {}
    sources: dict[tuple[str, str | None], MixRows] = {}
    tokens = TokenCounter()
    for job in jobs:
        for artifact in _sources(job):
            if artifact.record.fingerprint not in tables:
                tables[artifact.record.fingerprint] = artifact.table("samples")
        samples = {artifact.record.fingerprint: tables[artifact.record.fingerprint] for artifact in _sources(job)}
        try:
            index = _compose(job, context.study, samples, sources)
            found = realised(index, samples, tokens.count)
        except DivscaleError as error:
            job.fail(error)
            continue
        job.draft.write_table("mix", index)
        context.events.advanced("mix", rows=index.num_rows)
        job.commit(
            rows=Rows(asked=index.num_rows, ok=index.num_rows),
            values={
                "share_of_rows": found["generated_share_rows"],
                "share_of_tokens": found["generated_share_tokens"],
                **found,
            },
        )


def rows_of(job: Job, index: pa.Table) -> pa.Table:
    """The samples of a mix, in its order, for a job with inputs `data` and perhaps `set`."""
    return resolve(index, {a.record.fingerprint: a.table("samples") for a in _sources(job)})


def runs_of(index: pa.Table) -> Iterator[tuple[str, np.ndarray]]:
    """(source, ordinals) for each stretch of one source, in the mix's order."""
    sources, ordinals = index["source"].to_pylist(), index["ordinal"].to_numpy()
    begin = 0
    for end in range(1, len(sources) + 1):
        if end == len(sources) or sources[end] != sources[begin]:
            yield sources[begin], ordinals[begin:end]
            begin = end


def _sources(job: Job) -> list[Any]:
    return [job.input(role) for role in ("data", "set") if role in job.stage.inputs]


def _compose(
    job: Job, study: Study, samples: dict[str, pa.Table], known: dict[tuple[str, str | None], MixRows]
) -> pa.Table:
    config: Any = job.stage.config
    data = job.input("data").record.fingerprint
    if config.design == "prior":
        return mixes.real_only(MixRows.of(data, samples[data], splits.rows(job.input("split"), "prior").tolist()))
    labels = sorted(set(samples[data]["label"].to_pylist())) if config.per_label else None
    pool = splits.rows(job.input("split"), "pool")
    of_total = config.total is not None or config.labelled not in study.data.labelled  # real rows beside one
    drawn = draw_labelled(
        samples[data], pool, config.labelled if config.total is None else mixes.real_of(config.total, config.share),
        config.seed, per_label=config.per_label, field="mix.total" if of_total else "data.labelled",
    ).tolist()
    real = MixRows.of(data, samples[data], drawn)
    if config.design == "real_only":
        return mixes.real_only(real)
    generated = _generated(job, samples, known)
    if config.design == "generated_only":
        return mixes.generated_only(
            generated, seed=config.seed, labels=labels, count=config.generated, shortfall=config.shortfall
        )
    if config.design == "constant_total":
        return mixes.constant_total(
            real,
            generated,
            seed=config.seed,
            labels=labels,
            share=config.share,
            total=config.total,
            shortfall=config.shortfall,
        )
    return mixes.add_on(
        real,
        generated,
        seed=config.seed,
        labels=labels,
        count=config.generated,
        share=config.share,
        shortfall=config.shortfall,
    )


def _generated(job: Job, samples: dict[str, pa.Table], known: dict[tuple[str, str | None], MixRows]) -> MixRows:
    config: Any = job.stage.config
    source = job.input("set").record.fingerprint
    if (source, config.filter) not in known:
        known[source, config.filter] = MixRows.of(source, samples[source], kept_rows(job, samples[source]).tolist())
    return known[source, config.filter]
