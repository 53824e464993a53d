"""What is in a study's results' identity, and what is not."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from divscale.config import Study
from divscale.generation.agreement import AgreementConfig
from divscale.graph.stage import in_order
from divscale.stages.expand import expand
from divscale.study_file import load

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"
# Fields that choose which arms there are, or name things: they add or remove stages, or change none.
SELECTING = {"mix.*.levels", "mix.*.filters", "mix.*.labelled", "train.*.arms"}
NOT_IDENTITY = {"name", "data.licence", "generator.licence", "resources", "allow_remote_code", "recipe.max_failed_share"}
# Fields that say where external content is; the content is the identity (its own test).
LOCATIONS = {"data.source", "data.test", "data.out_of_distribution", "generator.revision", "train.*.revision", "measure.embedder.revision",
             "generator.model", "train.*.model", "measure.embedder.model", "recipe.prompts",
             "generator.chat_template", "generator.engine.base_url", "generator.others"}
# Fields that this study does not use: another test would have to (they belong to another recipe, task or method).
UNUSED_HERE = {"data.world_size", "data.columns", "mix.*.total", "mix.*.design", "mix.*.generated", "mix.*.generated_share",
               "data.task", "data.labels", "recipe.replaced_share", "recipe.kind", "recipe.topics", "recipe.target", "recipe.filters", "train.*.method", "train.*.lora", "train.*.packing", "train.*.batching",
               "train.*.gradient_checkpointing", "train.*.offload",
               "train.*.head", "train.*.zero_stage", "train.*.probe_c", "train.*.optim", "train.*.validation", "train.*.dtype", "train.*.max_length", "train.*.lr",
               "measure.model_view",  # tests/unit/stages/test_model_view_stage.py
               "recursion",  # tests/unit/stages/test_recursion.py
               "pretrain.bases", "train.*.name",  # below
               "seeds.pairing", "generator.engine.engine", "generator.engine.api",
               "recipe.structured", "evaluate.engine", "evaluate.max_tokens", "evaluate.harness", *(f"agreement.{name}" for name in AgreementConfig.model_fields if name != "by")}


def leaves(model: BaseModel, path: str = ""):
    for name in type(model).model_fields:
        value, here = getattr(model, name), f"{path}{name}"
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{here}.")
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for i, item in enumerate(value):
                yield from leaves(item, f"{here}.{i}.")
        else:
            yield here, value


def generic(path: str) -> str:
    return ".".join("*" if part.isdigit() else part for part in path.split("."))


def covered(path: str, names: set[str]) -> bool:
    return any(generic(path) == name or generic(path).startswith(f"{name}.") for name in names)


def other(value, annotation):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.5 if value else 0.5
    if isinstance(value, str):
        choices = [c for c in typing.get_args(annotation) if isinstance(c, str) and c != value]
        return choices[0] if choices else value + "x"
    if isinstance(value, tuple):
        return (*value[:-1], other(value[-1], None)) if value and not isinstance(value[-1], str) else value[:-1]
    return 1  # null: any number


def changed(study: Study, path: str) -> Study:
    def replace(model, parts):
        head, *rest = parts
        value = getattr(model, head)
        if not rest:
            new = other(value, type(model).model_fields[head].annotation)
        elif isinstance(value, tuple):
            new = tuple(replace(v, rest[1:]) if i == int(rest[0]) else v for i, v in enumerate(value))
        else:
            new = replace(value, rest)
        return model.model_copy(update={head: new})

    return replace(study, path.split("."))


@pytest.fixture(scope="module")
def study() -> Study:
    return load(SMOKE)


def fingerprints(study: Study) -> set[str]:
    return {stage.fingerprint for stage in in_order([expand(study)])}


PATHS = [path for path, _ in leaves(load(SMOKE))]
IDENTITY = [p for p in PATHS if not covered(p, SELECTING | NOT_IDENTITY | LOCATIONS | UNUSED_HERE)
            and not p.startswith("seeds.")]


@pytest.mark.parametrize("path", IDENTITY)
def test_changing_a_field_changes_a_fingerprint(study, path):
    assert fingerprints(changed(study, path)) != fingerprints(study)


def test_entries_that_differ_in_a_schedule_are_told_apart_by_name_and_a_name_trains_nothing_anew():
    rest = "method: full, model: encoder, max_length: 48, arms: {designs: [real_only]}"
    entries = f"train=[{{{rest}, optim: {{steps: 4}}}}, {{{rest}, name: twice as long, optim: {{steps: 8}}}}]"
    long, both = (load(SMOKE, [entry, "evaluate.metrics=[accuracy]"]) for entry in (
        f"train=[{{{rest}, optim: {{steps: 8}}}}]", entries))
    trained = [{s.fingerprint for s in in_order([expand(study)]) if s.name == "train"} for study in (long, both)]
    assert trained[0] < trained[1] and len(trained[1]) == 2 * len(trained[0])
    arms = expand(both).config.arms
    assert {arm["model"] for arm in arms} == {"encoder", "twice as long"}


def test_another_base_model_trained_on_the_spot_adds_its_arms_and_changing_it_changes_those_alone(study):
    small, large = (f"{{architecture: {{hidden_size: 64, layers: {n}, heads: 2}}, optim: {{steps: 5}}}}" for n in (1, 3))
    rest = "head: causal, optim: {steps: 4}, max_length: 48}"
    entry = f"train=[{{method: full, model: pretrain, {rest}, {{method: full, model: 'pretrain:other', {rest}]"

    def stages(other):
        found = in_order([expand(load(SMOKE, [f"pretrain.bases.other={other}", entry, "evaluate.metrics=[accuracy]"]))])
        return {s.fingerprint: s.name for s in found if s.name in ("pretrain", "train", "generate")}

    one, two = stages(small), stages(large)
    moved = [name for fingerprint, name in two.items() if fingerprint not in one]
    assert moved.count("pretrain") == 1 and moved.count("train") == sum(n == "train" for n in two.values()) / 2
    assert "generate" not in moved


@pytest.mark.parametrize("path", ["evaluate.engine", "evaluate.max_tokens"])
def test_changing_how_answers_are_written_changes_a_fingerprint_and_trains_nothing_anew(path):
    study = load(SMOKE.parents[2] / "configs" / "storyland.yaml", ["evaluate.metrics=[token_f1]"])
    assert any(stage.name == "answer" for stage in in_order([expand(study)]))
    before = fingerprints(study)
    moved = [stage for stage in in_order([expand(changed(study, path))]) if stage.fingerprint not in before]
    assert {stage.name for stage in moved} == {"answer", "report"}


@pytest.mark.parametrize("path", [f"agreement.{name}" for name in ("votes", "least", "temperature", "max_tokens")])
def test_changing_how_votes_are_taken_changes_a_fingerprint(study, path):
    voted = study.model_copy(update={"agreement": AgreementConfig(by="votes")})
    assert fingerprints(changed(voted, path)) != fingerprints(voted)


@pytest.mark.parametrize("path", [p for p in PATHS if (p.startswith("train.1.optim") and p != "train.1.optim.epochs") or p in (
    "train.0.probe_c", "train.1.zero_stage", "train.1.max_length", "train.1.dtype", "train.1.head", "train.1.packing", "train.1.batching", "train.1.gradient_checkpointing", "train.1.offload")])
def test_changing_how_an_arm_is_trained_changes_its_fingerprint(study, path):
    assert fingerprints(changed(study, path)) != fingerprints(study)


def test_validation_and_every_field_of_it_change_a_fingerprint():
    watched = ["data.validation_share=0.3", "train.1.validation.every_steps=5", "train.1.validation.patience=2"]
    studies = [load(SMOKE), load(SMOKE, watched[:1])]
    studies += [load(SMOKE, [*watched, f"train.1.validation.{change}"]) for change in (
        "keep=best", "keep=last", "patience=3", "every_steps=6")]
    assert len({expand(study).fingerprint for study in studies}) == 6


@pytest.mark.parametrize("path", [p for p in PATHS if covered(p, NOT_IDENTITY)])
def test_resources_the_name_and_what_may_fail_change_no_fingerprint(study, path):
    assert fingerprints(changed(study, path)) == fingerprints(study)


@pytest.mark.parametrize("path", ["seeds.generation", "seeds.data", "seeds.training"])
def test_more_seeds_add_arms_and_redo_none(study, path):
    before = [s for s in in_order([expand(study)]) if s.name != "report"]
    after = fingerprints(changed(study, path))
    assert {s.fingerprint for s in before} < after


def test_adding_a_level_redoes_no_other_level(study):
    more = study.model_copy(update={"recipe": study.recipe.model_copy(update={"temperature": (0.3, 0.6, 1.2)})})
    before = {s.fingerprint for s in in_order([expand(study)]) if s.name != "report"}
    assert before < fingerprints(more)


def test_the_fingerprints_of_one_study_are_the_same_in_every_process(study):
    import subprocess
    import sys

    code = ("from divscale.study_file import load; from divscale.stages.expand import expand;"
            f"print(expand(load({str(SMOKE)!r})).fingerprint)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expand(study).fingerprint
