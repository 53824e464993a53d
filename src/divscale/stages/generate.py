"""generate: requests -> completions -> samples. Everything that is ready for one model goes through together."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pyarrow as pa

from divscale.config import Study
from divscale.errors import DataError, DivscaleError, StageFailedError
from divscale.frozen import FrozenConfig
from divscale.generation.config import EngineConfig, GeneratorModel, RecipeConfig
from divscale.generation.prompts import Style, prompts_for
from divscale.generation.recipes import AnyRecipe, Round, get, votes
from divscale.generation.requests import root
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.rendering.templates import load
from divscale.runtime.accounting import check_rows
from divscale.schema import COMPLETIONS, Task
from divscale.stages.context import Context
from divscale.stages.identity import ModelIdentity, has_chat_template, model_identity, model_location
from divscale.stages.passes import Pass, ask, latest_attempts, retries
from divscale.stages.short_labels import in_words, short_labels
from divscale.stages.sources import Sees, check_unchanged, content_of, inputs, sees, sources
from divscale.stages.target import needed

LOG = logging.getLogger(__name__)


class GenerateConfig(FrozenConfig):
    """Identity of generated text: a round of the recipe, the prompt's words, the engine, the model, the seed."""

    round: str
    task: Task
    recipe: AnyRecipe | votes.Config
    content: str | None
    prompt: str
    source: int
    engine: EngineConfig
    model: ModelIdentity | None
    chat_template: str | None
    sees: Sees
    seed: int
    setting: float | None  # of a searched dial: it is written where some target takes rows of it


def stage(
    study: Study, this: Round, data: Stage, split: Stage, made: Mapping[str, Stage], model: Stage | None, seed: int,
    title: str, *, recipe: RecipeConfig | None = None, setting: float | None = None,
    after_pilot: Mapping[str, Stage] | None = None,
) -> Stage:
    """The samples of one round.

    Args:
        recipe: what the round is of, where it is not the study's recipe.
        made: the stages of earlier rounds of the same level.
        setting: of a searched dial, where not every one is needed.
        after_pilot: `pilot`, which says what is needed, and `begun`, the same round of this setting's pilot.
    """
    writer = study.generator.source(this.source)
    engine = study.generator.engine
    field = f"generator.others.{this.source - 1}" if this.source else "generator.model"
    # first, so that what is no model is told as that and not by who looks for its chat template
    identity = None if model else _identity(writer, engine, field)
    config = GenerateConfig(
        round=this.name,
        task=study.data.task,
        recipe=cast(AnyRecipe, this.recipe.identity()),
        content=content_of(study),
        prompt=prompts_for(
            study.data.task, "pretrained" if model else style(writer, engine), recipe or study.recipe)[this.template],
        source=this.source,
        engine=engine.model_copy(update={"base_url": None}),
        model=identity,
        chat_template=load(writer.chat_template) if writer.chat_template and not model else None,
        sees=sees(study),
        seed=seed,
        setting=setting,
    )
    seen = inputs(study, data, split, {name: made[name] for name in this.after}, this.vectors)
    return Stage("generate", 2, config, {**seen, **(after_pilot or {}), **({"model": model} if model else {})}, title)


def _identity(model: GeneratorModel, engine: EngineConfig, field: str) -> ModelIdentity:
    if engine.engine == "openai":
        return ModelIdentity(kind="served", value=model.model + (f"@{model.revision}" if model.revision else ""))
    return model_identity(model.model, model.revision, field)


def style(model: GeneratorModel, engine: EngineConfig) -> Style:
    """How prompts are written for a model."""
    if engine.engine == "openai":
        return "chat" if engine.api == "chat" else "base"
    if model.model == "pretrain":
        return "pretrained"
    taught_turns = model.chat_template or has_chat_template(model.model, model.revision)
    return "chat" if taught_turns else "base"


def run(jobs: Sequence[Job], context: Context) -> None:
    """Generate for every job: one pass per model, with retries of what did not parse.

    A job that cannot be made fails, and the others are made.

    Raises:
        DivscaleError: an engine could not start or failed; what needed no more of it is committed.
    """
    groups: dict[tuple[str, GeneratorModel], list[Pass]] = {}
    for job in jobs:
        with job.attempt():
            config: Any = job.stage.config
            if not needed(job, config.setting, context.study):
                job.skip()
                continue
            groups.setdefault(_written_by(job, context), []).append(_opened(job, context.study))
    broken = [error for (folder, model), passes in groups.items()
              if (error := _run_model(folder, model, passes, context)) is not None]
    if broken:
        raise broken[0]


def _run_model(folder: str, model: GeneratorModel, passes: list[Pass], context: Context) -> DivscaleError | None:
    """Bring every pass to its end, and return what broke the engine, if anything did."""
    for each in passes:
        each.take_up()
    broken, asked = None, [(each, each.requests) for each in passes]
    while asked:
        if broken is None:
            try:
                ask(folder, model, asked, context)
            except DivscaleError as error:
                broken = error
        for each, wanted in asked:
            each.lost = each.lost or (broken if each.open(wanted).num_rows else _settled(each))
        asked = [(each, again) for each, _ in asked if each.lost is None and (again := retries(each)).num_rows]
    for each in passes:
        with each.job.attempt():
            if each.lost is not None:
                raise each.lost
            check_unchanged(each.job, context.study)  # the user's own file has parsed what came
            _commit(each, context.study.recipe.max_failed_share)
    return broken


def _settled(each: Pass) -> DivscaleError | None:
    """Parse the last attempt of every request; returns why it could not be done."""
    config: Any = each.job.stage.config
    each.latest = latest = latest_attempts(each)
    rows = [each.completions[request_id] for request_id in latest["request_id"].to_pylist()]
    completions = pa.Table.from_pylist(rows, schema=COMPLETIONS)
    try:
        samples, rejected = get(each.this.recipe).parse(each.this, latest, completions, task=config.task)
        # where one request gives several samples the law counts requests
        check_rows(latest["request_id"].to_pylist(), samples["request_id"].unique().to_pylist(),
                   rejected["id"].to_pylist(), where=f"generate {each.job.stage.title}")
    except DivscaleError as error:
        return error
    each.samples, each.rejected = samples, rejected
    return None


def _commit(each: Pass, allowed: float) -> None:
    """Commit a job.

    Raises:
        DataError: too much of it failed, or all of one label. Its completions stay as shards.
    """
    config: Any = each.job.stage.config
    assert each.samples is not None and each.rejected is not None
    asked, failed = each.requests.num_rows, each.rejected.num_rows
    short = short_labels(each.requests, each.rejected, each.begun, allowed) if config.task == "classification" else {}
    gone = {label: found for label, found in short.items() if found[0] == 0 and allowed < 1}
    if failed > allowed * asked or gone:
        none_of = f", and of the label{'s' * (len(gone) > 1)} {in_words(gone)} nothing is left" if gone else ""
        raise DataError(
            f"{failed} of {asked} completions could not be used after {config.recipe.attempts} attempts (for example: "
            f"{each.rejected['reason'][0].as_py()}){none_of}; recipe.max_failed_share allows {allowed:.0%}, of every "
            "label less than all. What was generated is kept: allow more (1.0: whatever fails) and run again, or look "
            "at the prompt and at recipe.max_tokens.")
    if short:
        LOG.warning("generate %s: more of a label failed than recipe.max_failed_share allows of all: %s are left",
                    each.job.stage.title, in_words(short))
    samples = each.samples if each.begun is None else pa.concat_tables([each.begun, each.samples])
    each.job.draft.write_table("samples", samples)
    each.job.draft.write_table("rejected", each.rejected)
    tokens = sum(row["completion_tokens"] or 0 for row in each.completions.values())
    each.job.commit(
        rows=Rows(asked=asked, ok=asked - failed, failed=failed, samples_out=samples.num_rows),
        values={"tokens": tokens, "attempts": len(each.completions), **({"labels_short": short} if short else {})},
    )


def _opened(job: Job, study: Study) -> Pass:
    """A job with its requests, less those that a pilot has answered."""
    config: Any = job.stage.config
    recipe: RecipeConfig = config.recipe.located(study.recipe)
    this = Round(config.round, recipe, source=config.source)
    requests = _requests(job, this, study)
    if "begun" not in job.stage.inputs:
        return Pass(job, this, requests)
    samples = job.input("begun").table("samples")
    pilot = cast(Stage, job.stage.inputs["begun"])
    shown = _prompts(_requests(Job(pilot, job.store, job.events), Round(
        config.round, cast(Any, pilot.config).recipe.located(study.recipe), source=config.source), study))
    # the same request has another prompt where it shows what an earlier round wrote
    same = {request_id for request_id, prompt in _prompts(requests).items() if shown.get(request_id) == prompt}
    begun = samples.filter(pa.array([root(i) in same for i in samples["request_id"].to_pylist()], pa.bool_()))
    answered = {root(i) for i in begun["request_id"].to_pylist()}
    rest = pa.array([i not in answered for i in requests["request_id"].to_pylist()], pa.bool_())
    return Pass(job, this, requests.filter(rest), begun)


def _prompts(requests: pa.Table) -> dict[str, str]:
    return dict(zip(requests["request_id"].to_pylist(), requests["prompt"].to_pylist(), strict=True))


def _requests(job: Job, this: Round, study: Study) -> pa.Table:
    config: Any = job.stage.config
    requests = get(this.recipe).build_requests(
        this, sources(job, config.sees, study), task=config.task, seed=config.seed, prompt=config.prompt)
    if requests.num_rows == 0 and not any(role.startswith("made_") for role in job.stage.inputs):
        raise StageFailedError("the recipe asks for nothing; are there real rows to see?")
    return requests


def _written_by(job: Job, context: Context) -> tuple[str, GeneratorModel]:
    """The folder of the model that writes (of a served one the name), and what the study says of it."""
    config: Any = job.stage.config
    model = context.study.generator.source(config.source)
    if config.engine.engine == "openai":
        return model.model, model
    if config.model is None:
        folder = str(job.input("model").tree("model"))
        return folder, GeneratorModel(model=folder)
    return model_location(model.model, model.revision), model
