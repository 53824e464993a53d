"""model_view: a set as a model sees it: G-Vendi of a proxy's gradients, and a reference model's loss of its text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from divscale.config import Study
from divscale.errors import DivscaleError
from divscale.frozen import FrozenConfig
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.metrics.config import ROLES
from divscale.rendering.tasks import training_pair, written_pair
from divscale.schema import Task
from divscale.stages import measure, pretrain
from divscale.stages.context import Context
from divscale.stages.filtered import filter_inputs
from divscale.stages.identity import ModelIdentity, model_identity, model_location
from divscale.stages.viewing import SEED, View, look

if TYPE_CHECKING:
    from divscale.stages.expand import GeneratedSet, World

class ModelViewStageConfig(FrozenConfig):
    """Identity of a view. A model is null where it is an input stage, the reference also where it is the proxy."""

    part: str
    samples: int
    per_label: bool
    task: Task
    n: int
    subsamples: int
    loss: Literal["text", "target"]
    projected: int
    max_length: int
    proxy: ModelIdentity | None
    reference: ModelIdentity | None


def stage(study: Study, first: World, world: World, chosen: GeneratedSet | None = None) -> Stage | None:
    """The view of a set, or of the real pool, by the rows that it is measured by; null where the study asks for none.

    Models trained on the spot are those of the `first` world for all, so that sets of several generators compare.
    """
    wanted = study.measure.model_view
    if wanted is None:
        return None
    samples, part = (chosen.samples, chosen.filter or "none") if chosen else (world.data, "real")
    inputs = {"samples": samples, "split": world.split, **(filter_inputs(chosen) if chosen else {})}
    models: dict[str, ModelIdentity | None] = dict.fromkeys(ROLES)
    for role, model in wanted.models.items():
        if model.from_scratch:
            inputs[role] = pretrain.base_stage(study, first.data, first.split, model.model, first.seed)
        else:
            models[role] = model_identity(model.model, model.revision, f"measure.model_view.{role}")
    config = ModelViewStageConfig(
        part=part, samples=study.recipe.samples, per_label=study.data.task == "classification",
        task=study.data.task, n=wanted.n or study.measure.n, subsamples=study.measure.subsamples, loss=wanted.loss,
        projected=wanted.projected, max_length=wanted.max_length, **models)
    return Stage("model_view", 1, config, inputs, f"{samples.title} {part}")


def run(jobs: Sequence[Job], context: Context) -> None:
    """View every set: by small models trained on the spot on a core each, by others as `Context.models` has room."""
    wanted = context.study.measure.model_view
    assert wanted is not None
    asked: list[tuple[Job, View]] = []
    for job in jobs:
        config: Any = job.stage.config
        samples = job.input("samples").table("samples")
        rows = measure.rows_of(job, samples)
        if len(rows) < config.n:
            _commit(job, {"metrics": {}, "missing": {}, "reason": f"The set has {len(rows)} rows, and a model looks at "
                          f"{config.n} of each; set measure.model_view.n to {len(rows)} or less, or bring more rows."})
            continue
        drawn = np.sort(np.random.default_rng(SEED).permutation(len(rows))[:config.n])
        chosen = samples.take(rows[drawn]).to_pylist()
        read = [written_pair(row, config.task) for row in chosen]
        learnt = [training_pair(row, config.task) for row in chosen] if config.loss == "target" else read
        made = {role: str(job.input(role).tree("model").absolute()) for role in ROLES if role in job.stage.inputs}
        places = made | {role: model_location(model.model, model.revision) for role, model in wanted.models.items()
                         if role not in made}
        asked.append((job, View(
            places["proxy"], places.get("reference"), pretrain.prompted(learnt), pretrain.prompted(read),
            frozenset(made.values()), config.projected, config.max_length, config.subsamples)))
    if not asked:
        return
    made_here = all(model.from_scratch for model in wanted.models.values())
    fleet = context.workers() if made_here else context.models()
    for i, found in fleet.map(look, [(view,) for _, view in asked]):
        job = asked[i][0]
        if isinstance(found, DivscaleError):
            job.fail(found)
            continue
        context.events.advanced("model_view", rows=asked[i][1].read.num_rows)
        _commit(job, found)


def _commit(job: Job, values: dict[str, Any]) -> None:
    config: Any = job.stage.config
    asked = 0 if "reason" in values else config.n
    job.commit(rows=Rows(asked=asked, ok=asked), values=values)
