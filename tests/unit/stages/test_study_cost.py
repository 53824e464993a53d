"""What `plan` says a study would cost, and what that rests on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from divscale.cli import main
from divscale.config import Study
from divscale.graph.plan import missing
from divscale.graph.record import Rows
from divscale.graph.stage import Stage, in_order
from divscale.graph.store import Store
from divscale.runtime.resources import Resources
from divscale.stages.assumed import STAGE_S, parameters_by_name
from divscale.stages.candidates import candidates
from divscale.stages.expand import expand
from divscale.stages.generation_cost import Requests
from divscale.stages.handlers import RUN
from divscale.stages.machine import machine_of
from divscale.stages.planned_work import PlannedWork
from divscale.stages.study_cost import KindCost, StudyCost, study_cost
from divscale.study_file import load

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"
FULL = "train={method: full, model: encoder, max_length: 64, optim: {steps: 10, batch_size: 8}}"
LABELS = 12  # of pydocs


def cost(study: Study, store: Store) -> StudyCost:
    target = expand(study)
    return study_cost(study, target, missing([target], store), Requests(study), store)


def kind(found: StudyCost, name: str) -> KindCost:
    return next(one for one in found.kinds if one.name == name)


def stages(study: Study, name: str) -> list[Stage]:
    return [stage for stage in in_order([expand(study)]) if stage.name == name]


def test_a_training_sees_its_steps_times_a_batch_or_its_epochs_of_the_mix_whatever_the_design(tmp_path):
    designs = [("{design: add_on, generated: [20], shortfall: allow}", 4 + 20), ("{design: generated_only, generated: [4]}", 4),
               ("{design: add_on, generated_share: [0.5]}", 8), ("{design: constant_total, generated_share: [0.5]}", 4),
               ("{design: constant_total, total: 10, generated_share: [0.5], shortfall: allow}", 10)]
    for mix, rows in designs:
        for amount, seen in (("steps: 10, batch_size: 8", 80), ("epochs: 2.5", 2.5 * rows * LABELS)):
            train = f"train={{method: full, model: encoder, max_length: 64, optim: {{{amount}}}}}"
            study = load(SMOKE, ["data.labelled=[4]", f"mix={mix}", train])
            work = PlannedWork(study, Requests(study), Store(tmp_path / "store"))
            arm = next(stage for stage in stages(study, "train") if "set" in stage.inputs)
            assert work.units(arm) == seen
            assert 5 * seen < (work.training_tokens(arm) or 0) <= 64 * seen


def test_without_records_every_time_is_an_assumption_that_is_said(tmp_path):
    study = load(SMOKE, [FULL])
    found = cost(study, Store(tmp_path / "store"))
    assert all(one.source.startswith("assumed: ") and one.seconds > 0 and not one.unknown for one in found.kinds)
    assert found.arms == found.arms_to_train == len(stages(study, "train"))
    assert found.training_tokens == kind(found, "train").tokens + kind(found, "pretrain").tokens
    assert found.hours == pytest.approx(sum(one.seconds for one in (*found.kinds, *found.starts)) / 3600)
    assert "22.7M parameters" in kind(found, "train").source


def test_recorded_stages_that_are_alike_replace_an_assumption_by_their_sums_and_others_do_not(tmp_path):
    study, store = load(SMOKE, [FULL]), Store(tmp_path / "store")
    arms = stages(study, "train")
    for stage, seconds in zip(arms[:2], (30.0, 10.0), strict=True):  # the first of a hand-out carries its start
        store.draft(stage).commit(rows=Rows(asked=48, ok=48), seconds=seconds)
    found = cost(study, store)
    assert kind(found, "train").source == "from 2 recorded"
    assert kind(found, "train").seconds == pytest.approx(20.0 * (len(arms) - 2))
    assert (found.arms, found.arms_to_train) == (len(arms), len(arms) - 2)

    longer = cost(load(SMOKE, [FULL.replace("steps: 10", "steps: 30")]), store)  # as much a sample, three times as many
    assert kind(longer, "train").seconds == pytest.approx(60.0 * len(arms))
    wider = cost(load(SMOKE, [FULL.replace("max_length: 64", "max_length: 32")]), store)
    assert kind(wider, "train").source.startswith("assumed: ")


def test_an_evaluation_is_like_another_where_their_models_are_of_one_kind(tmp_path):
    study, store = load(SMOKE, [FULL]), Store(tmp_path / "store")
    scored = stages(study, "evaluate")
    for stage in [scored[0].inputs["model"], scored[0]]:
        store.draft(stage).commit(rows=Rows(asked=48, ok=48), seconds=4.0)
    assert kind(cost(study, store), "evaluate").source == "from 1 recorded"
    lora = FULL.replace("full", "lora")
    assert kind(cost(load(SMOKE, [lora]), store), "evaluate").source.startswith("assumed: ")


def test_held_out_rows_are_those_of_the_file_and_the_part_that_a_stage_is_about(tmp_path):
    def file(name: str, rows: int) -> Path:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"text": f"Of {name}, letter {i}.", "label": "asyncio"}) + "\n" for i in range(rows)))
        return path

    study = load(SMOKE, [f"data.test={file('own', 30)}", f"data.out_of_distribution={{post: {file('post', 700)}}}", FULL,
                         "data.validation_share=0.3"])
    work = PlannedWork(study, Requests(study), Store(tmp_path / "store"))
    assert {Path(stage.title).stem: work.rows(stage) for stage in stages(study, "load")} == {"pydocs": 2349, "own": 30, "post": 700}
    rows = {stage: 700 if "on post" in stage.title else 30 for stage in stages(study, "evaluate")}
    (a_row,) = {round(work.read_tokens(stage) / count, 6) for stage, count in rows.items()}
    validated = candidates(study).real_only[2][0].validated  # 0.3 of the 0.4 that the prior leaves, but for repeated texts
    assert 0.9 * 0.12 * 2349 < work.read_tokens(validated) / a_row < 0.12 * 2349


@pytest.mark.parametrize("name", ["evaluate", "answer"])
def test_recorded_stages_that_score_held_out_rows_say_what_a_row_takes(tmp_path, name):
    store = Store(tmp_path / "store")

    def study(rows: int) -> Study:
        file = tmp_path / f"{rows}.jsonl"
        file.write_text("".join(json.dumps({"text": f"Letter {i}.", "label": "asyncio"}) + "\n" for i in range(rows)))
        return load(SMOKE, [f"data.test={file}", "generator={model: some/model-1B, engine: {engine: vllm}}",
                            "data.task=text", "evaluate={metrics: [rouge_l], max_tokens: 16}", "recipe.filters=none", "mix=[]",
                            "train={method: full, model: some/model-1B, head: causal, max_length: 64}"])

    for stage in stages(study(20), name):
        for one in (stage.inputs["model"], stage):  # the model is what tells that they are alike
            store.draft(one).commit(rows=Rows(asked=20, ok=20), seconds=4.0)
    same, larger = (kind(cost(study(rows), store), name) for rows in (21, 500))
    assert same.source == larger.source == f"from {same.stages} recorded"
    assert larger.seconds / 500 == pytest.approx(same.seconds / 21) == pytest.approx(same.stages * 4.0 / 20)


def test_gpu_hours_count_the_gpus_that_a_kind_of_stage_holds_and_core_hours_stand_in_where_there_is_none(tmp_path):
    store = Store(tmp_path / "store")
    long = FULL.replace("steps: 10", "steps: 10000")
    none, some = (cost(load(SMOKE, [long, f"resources={{gpus: {gpus}, cpus: 16}}"]), store) for gpus in (0, 4))
    assert none.gpu_hours == 0 and none.core_hours == pytest.approx(16 * none.hours)
    assert "16 cores, no GPU" in none.spent() and "4 GPUs" in some.spent()
    held = sum(one.seconds for one in some.kinds if one.name in ("train", "evaluate", "pretrain", "generate", "embed"))
    held += sum(one.seconds for one in some.starts if one.what in ("training", "generation", "embedding"))
    assert some.gpu_hours == pytest.approx(4 * held / 3600)
    assert {one.gpus for one in some.kinds if one.name in ("mix", "measure", "report", "probe")} == {0}
    assert kind(some, "train").seconds < kind(none, "train").seconds


def test_fleets_hold_the_gpus_that_resources_give_them():
    def gpus(name: str, **resources: int) -> int:
        return machine_of(Resources(gpus=8, cpus=32, **resources)).gpus_of(name)

    assert gpus("generate") == gpus("train") == gpus("embed") == 8 and gpus("mix") == 0
    assert gpus("generate", generation_actors=2, gpus_per_engine=2) == 4 and gpus("embed", embedding_actors=3) == 3
    assert gpus("train", training_workers=3) == 6  # two groups of three
    assert gpus("train", training_groups=1, training_workers=1) == 1 and gpus("evaluate", training_groups=2) == 8


def test_what_nobody_can_say_is_named_and_the_rest_is_estimated(tmp_path):
    study = load(SMOKE, ["generator={model: some/model, engine: {engine: vllm}}", "generator.revision=null"])
    found = cost(study, Store(tmp_path / "store"))
    assert kind(found, "generate").unknown == kind(found, "generate").stages == 2
    assert found.spent().endswith(", without 2 generate stage(s)") and found.hours > 0
    assert any("generate   not known: none is recorded" in line for line in found.lines())
    served = kind(cost(load(SMOKE, ["generator={model: gpt, engine: {engine: openai, base_url: 'http://localhost:1'}}",
                                    "resources.gpus=2"]), Store(tmp_path / "store")), "generate")
    assert (served.unknown, served.gpus) == (2, 0) and "the endpoint" in served.source
    named = cost(load(SMOKE, ["generator={model: some/model-1.5B-chat, engine: {engine: vllm}}"]), Store(tmp_path / "store"))
    assert not named.unknown and "1.5B parameters" in kind(named, "generate").source


def test_stages_of_known_size_count_beside_those_like_them_whose_size_only_a_run_tells(tmp_path):
    def written(strengths: str) -> KindCost:
        study = load(SMOKE, ["generator={model: some/model-1B, engine: {engine: vllm}}",
                             f"recipe={{kind: incentives, method: hints, strength: {strengths}, samples: 4, candidates: 2}}"])
        return kind(cost(study, Store(tmp_path / "store")), "generate")

    known, more = written("[0]"), written("[0, 2]")  # from 2 on, prompts hang on what was written before
    assert known.seconds > 0 and (known.stages, known.unknown) == (2, 0)
    assert more.seconds == pytest.approx(known.seconds) and (more.stages, more.unknown) == (3, 1)
    assert more.source.startswith("2 of them assumed: ") and "; 1 of them not known: how many rows" in more.source


def test_pilots_of_a_target_are_known_before_a_run_and_of_recipes_that_choose_as_large_as_what_they_choose_from(tmp_path):
    few = ["recipe.target={value: 0.5, of: range, n: 40, pilot_samples: 3}", "recipe.temperature=0.7"]
    for recipe, pilot, whole in [(["recipe.temperature=[0.3,0.6,1.2]"], 3, 4 * 2),
                                 (["recipe.kind=select", "recipe.candidates=5", "recipe.diversity=[0,0.5,1]"], 3 * 5, 4 * 5)]:
        study = load(SMOKE, [*few, *recipe])
        work = PlannedWork(study, Requests(study), Store(tmp_path / "store"))
        rows = {stage.title: work.rows(stage) for stage in stages(study, "generate")}
        assert any(title.startswith("pilot") for title in rows)
        assert all(found == (pilot if title.startswith("pilot") else whole) * LABELS for title, found in rows.items())
        assert not cost(study, Store(tmp_path / "store")).unknown


def test_a_whole_set_asks_only_what_its_pilot_has_not(tmp_path):
    study = load(SMOKE, ["recipe.target={value: 0.5, of: range, n: 40, pilot_samples: 3}", "recipe.temperature=[0.3,0.6,1.2]"])
    requests, store = Requests(study), Store(tmp_path / "store")
    work, written = PlannedWork(study, requests, store), stages(study, "generate")
    assert {(work.rows(stage), work.units(stage)) for stage in written if "begun" in stage.inputs} == {(8 * LABELS, 5 * LABELS)}
    found = requests.cost(written, store)
    assert found is not None and found.requests == 3 * 8 * LABELS and found.max_tokens == 24 * found.requests
    assert kind(cost(study, store), "generate").tokens == found.max_tokens


def test_a_view_by_a_model_trained_on_the_spot_is_assumed_and_by_another_is_not_known(tmp_path):
    small = kind(cost(load(SMOKE, ["measure.model_view={}"]), Store(tmp_path)), "model_view")
    assert (small.unknown, small.seconds) == (0, small.stages * STAGE_S["model_view"])
    other = kind(cost(load(SMOKE, ["measure.model_view={proxy: some/model}"]), Store(tmp_path)), "model_view")
    assert other.unknown == other.stages and "none is recorded" in other.source


def test_something_is_assumed_of_every_kind_of_stage_but_the_harness_whose_tasks_are_anybodys():
    by_work = {"generate", "answer", "evaluate", "read", "embed", "train", "trial", "pretrain", "descend"}
    assert set(RUN) - set(STAGE_S) - by_work == {"harness"}


def test_descendants_of_a_named_model_are_estimated_as_arms_of_it_are(tmp_path):
    model = "train={method: full, model: some/model-1B, head: causal, dtype: bfloat16, max_length: 64, optim: {steps: 20}}"
    study = load(SMOKE, ["generator={model: some/model-1B, engine: {engine: vllm}}", model, "mix=[]", "recipe.filters=none",
                         "recursion={generations: 2}", "evaluate.metrics=[loss]"])
    found = cost(study, Store(tmp_path / "store"))
    assert not found.unknown
    for name in ("descend", "read", "train"):
        assert "1.0B parameters" in kind(found, name).source and kind(found, name).seconds > 0


@pytest.mark.parametrize(("name", "size"), [
    ("Qwen/Qwen2.5-7B-Instruct", 7e9), ("meta-llama/Llama-3.2-1B", 1e9), ("HuggingFaceTB/SmolLM2-135M", 135e6),
    ("EleutherAI/pythia-70m", 70e6), ("Qwen/Qwen3-30B-A3B", 30e9), ("openai-community/gpt2", 124e6),
    ("sentence-transformers/all-mpnet-base-v2", None), ("bert-base-uncased", None)])
def test_the_size_of_a_model_that_is_not_here_is_read_from_its_name(name, size):
    assert parameters_by_name(name) == size


def test_a_plan_says_the_cost_in_json_and_nothing_of_a_study_that_is_all_there(tmp_path, capsys):
    assert main(["plan", str(SMOKE), "--json", "--store", str(tmp_path / "store")]) == 0
    found = json.loads(capsys.readouterr().out)["cost"]
    assert {"arms", "arms_to_train", "training_tokens", "hours", "gpu_hours", "core_hours", "unknown", "kinds", "cpus",
            "gpus", "starts", "store_bytes"} == set(found)
    assert found["arms"] > 0 and found["unknown"] == [] and {"stage", "seconds", "source"} <= set(found["kinds"][0])

    store = Store(tmp_path / "all")
    for stage in in_order([expand(load(SMOKE))]):
        store.draft(stage).commit(seconds=1.0)
    assert main(["plan", str(SMOKE), "--json", "--store", str(tmp_path / "all")]) == 0
    assert json.loads(capsys.readouterr().out)["cost"] is None
