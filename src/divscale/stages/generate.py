"""generate: requests -> completions -> samples. Everything that is ready for one model goes through together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.errors import DataError, StageFailedError
from divscale.frozen import FrozenConfig
from divscale.generation.config import EngineConfig, GeneratorModel, RecipeConfig
from divscale.generation.prompts import Style, prompts_for
from divscale.generation.recipes import AnyRecipe, Round, get, votes
from divscale.generation.requests import retry_requests, root
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.rendering.templates import load
from divscale.runtime.accounting import check_rows
from divscale.schema import COMPLETIONS, Task
from divscale.stages.context import Context
from divscale.stages.identity import ModelIdentity, has_chat_template, model_identity, model_location
from divscale.stages.shards import Shards
from divscale.stages.sources import Sees, check_unchanged, content_of, inputs, sees, sources
from divscale.stages.target import needed


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


@dataclass
class Pass:
    """One job on its way: what was asked, what came back, and what its last attempts were parsed to."""

    job: Job
    this: Round
    requests: pa.Table
    begun: pa.Table | None = None  # samples that a pilot already made of some of these requests
    completions: dict[str, dict[str, Any]] = field(default_factory=dict)
    latest: pa.Table | None = None
    samples: pa.Table | None = None
    rejected: pa.Table | None = None


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
        prompt=prompts_for(study.data.task, style(writer, engine), recipe or study.recipe)[this.template],
        source=this.source,
        engine=engine.model_copy(update={"base_url": None}),
        model=identity,
        chat_template=load(writer.chat_template) if writer.chat_template else None,
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
    """Generate for every job: one pass per model, with retries of what did not parse."""
    groups: dict[tuple[str, GeneratorModel], list[Pass]] = {}
    for job in jobs:
        config: Any = job.stage.config
        if not needed(job, config.setting, context.study):
            job.skip()
            continue
        groups.setdefault(_written_by(job, context), []).append(_opened(job, context.study))
    for (folder, model), passes in groups.items():
        _run_model(folder, model, passes, context)


def _run_model(folder: str, model: GeneratorModel, passes: list[Pass], context: Context) -> None:
    for each in passes:
        for shard in each.job.draft.shards("completions"):
            # what was refused is asked again: the endpoint may have been mended since
            each.completions |= {row["request_id"]: row for row in shard.to_pylist() if row["error"] is None}
    asked = [(each, each.requests) for each in passes]
    while asked:
        _ask(folder, model, asked, context)
        for each, _ in asked:
            _settle(each)
        asked = [(each, again) for each, _ in asked if (again := _retries(each)).num_rows]
    for each in passes:  # a recipe of the user's own has parsed what came, and is looked at again
        check_unchanged(each.job, context.study)
    allowed = context.study.recipe.max_failed_share
    failures = [why for each in passes if (why := _commit(each, allowed)) is not None]
    if failures:
        more = f" So do {len(failures) - 1} more." if len(failures) > 1 else ""
        raise DataError(f"{failures[0]}{more}")


def _ask(
    folder: str, model: GeneratorModel, asked: list[tuple[Pass, pa.Table]], context: Context,
) -> None:
    """One pass through the engines over the open requests of all jobs; what comes back is kept soon, by job.

    Where nothing is open no engine starts.

    Raises:
        DataError: the engine refuses more requests of a job than may fail. What was finished is kept.
    """
    tables, total = [], 0
    for place, (each, wanted) in enumerate(asked):
        total += wanted.num_rows
        known = [request_id not in each.completions for request_id in wanted["request_id"].to_pylist()]
        wanted = wanted.filter(pa.array(known, pa.bool_()))
        # two levels may ask the same thing under the same id: the prefix says whose it is
        ids = pa.array([f"{place}/{request_id}" for request_id in wanted["request_id"].to_pylist()], pa.string())
        tables.append(wanted.set_column(wanted.schema.get_field_index("request_id"), "request_id", ids))

    open_requests = pa.concat_tables(tables)
    if not open_requests.num_rows:
        return
    fleet = context.generation(folder, model, context.study.generator.engine)
    shards, allowed = Shards("completions", COMPLETIONS), context.study.recipe.max_failed_share
    refused: dict[int, list[dict[str, Any]]] = defaultdict(list)

    def keep(completions: pa.Table) -> None:
        by_place: dict[int, list[dict[str, Any]]] = {}
        for row in completions.to_pylist():
            place, _, row["request_id"] = row["request_id"].partition("/")
            by_place.setdefault(int(place), []).append(row)
        for place, rows in by_place.items():
            each = asked[place][0]
            shards.add(each.job.draft, rows)
            each.completions |= {row["request_id"]: row for row in rows}
            refused[place] += [row for row in rows if row["error"] is not None]
        shards.tick()
        tokens = sum(row["completion_tokens"] or 0 for rows in by_place.values() for row in rows)
        failed = completions.num_rows - completions["error"].null_count
        context.events.advanced("generate", rows=completions.num_rows, of=total, tokens=tokens, failed=failed,
                                engines=fleet.engines)
        for place, rows in refused.items():
            each = asked[place][0]
            if len(rows) > allowed * each.requests.num_rows:
                raise DataError(
                    f"generate {each.job.stage.title}: the engine refused {len(rows)} of {each.requests.num_rows} "
                    f"requests so far (the last: {rows[-1]['error']}); recipe.max_failed_share allows {allowed:.0%}. "
                    "What was finished is kept: mend the prompt, the data or generator.engine, or allow more, and run "
                    "again.")

    try:
        fleet.generate(open_requests, keep)
    finally:
        shards.write()


def _retries(each: Pass) -> pa.Table:
    """Requests for what did not parse, with the next attempt's seed; empty when all parsed or every try is spent."""
    config: Any = each.job.stage.config
    assert each.latest is not None and each.rejected is not None
    failed = set(each.rejected["id"].to_pylist())
    again = each.latest.filter(pa.array([i in failed for i in each.latest["request_id"].to_pylist()], pa.bool_()))
    again = again.filter(pa.compute.less(again["attempt"], config.recipe.attempts - 1))  # type: ignore[attr-defined]
    return retry_requests(again, config.seed)


def _latest(each: Pass) -> pa.Table:
    """The last attempt asked of every request."""
    config: Any = each.job.stage.config
    latest = each.requests
    for _ in range(config.recipe.attempts - 1):
        nxt = retry_requests(latest, config.seed)
        done = pa.array([i in each.completions for i in nxt["request_id"].to_pylist()], pa.bool_())
        if not any(done.to_pylist()):
            break
        keep = np.where(
            np.asarray(done.to_numpy(zero_copy_only=False)),
            np.arange(nxt.num_rows) + nxt.num_rows,
            np.arange(nxt.num_rows),
        )
        latest = pa.concat_tables([latest, nxt]).take(pa.array(keep))
    return latest


def _settle(each: Pass) -> None:
    """Parse the last attempt of every request."""
    config: Any = each.job.stage.config
    each.latest = latest = _latest(each)
    rows = [each.completions[request_id] for request_id in latest["request_id"].to_pylist()]
    completions = pa.Table.from_pylist(rows, schema=COMPLETIONS)
    samples, rejected = get(each.this.recipe).parse(each.this, latest, completions, task=config.task)
    # where one request gives several samples the law counts requests
    check_rows(latest["request_id"].to_pylist(), samples["request_id"].unique().to_pylist(),
               rejected["id"].to_pylist(), where=f"generate {each.job.stage.title}")
    each.samples, each.rejected = samples, rejected


def _commit(each: Pass, allowed: float) -> str | None:
    """Commit a job, or say why too much of it failed; its completions stay as shards."""
    config: Any = each.job.stage.config
    assert each.samples is not None and each.rejected is not None
    asked, failed = each.requests.num_rows, each.rejected.num_rows
    if failed > allowed * asked:
        example = each.rejected["reason"][0].as_py()
        why = (
            f"generate {each.job.stage.title}: {failed} of {asked} completions could not be used after "
            f"{config.recipe.attempts} attempts (for example: {example}); recipe.max_failed_share allows "
            f"{allowed:.0%}. What was generated is kept: allow more and run again, or look at the prompt and at "
            "recipe.max_tokens.")
        each.job.fail(why)
        return why
    samples = each.samples if each.begun is None else pa.concat_tables([each.begun, each.samples])
    each.job.draft.write_table("samples", samples)
    each.job.draft.write_table("rejected", each.rejected)
    tokens = sum(row["completion_tokens"] or 0 for row in each.completions.values())
    each.job.commit(
        rows=Rows(asked=asked, ok=asked - failed, failed=failed, samples_out=samples.num_rows),
        values={"tokens": tokens, "attempts": len(each.completions)},
    )
    return None


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
        raise StageFailedError(f"generate {job.stage.title}: the recipe asks for nothing; are there real rows to see?")
    return requests


def _written_by(job: Job, context: Context) -> tuple[str, GeneratorModel]:
    """The folder of the model that writes (of a served one the name), and what the study says of it."""
    config: Any = job.stage.config
    model = context.study.generator.source(config.source)
    if config.engine.engine == "openai":
        return model.model, model
    if config.model is None:
        return str(job.input("model").tree("model")), model
    return model_location(model.model, model.revision), model
