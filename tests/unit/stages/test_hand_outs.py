"""What a run starts, told without running it, and what records say of how long stages take."""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from divscale.bench.result import Asked, Bench, Figure, machine, read
from divscale.bench.sizes import SIZES
from divscale.cli import main
from divscale.graph.plan import missing
from divscale.graph.record import Rows, Spent
from divscale.graph.runner import Clock, execute
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.learned import learned_from
from divscale.runtime.resources import Resources
from divscale.stages.assumed import Estimate, embedding, start, training, writing
from divscale.stages.expand import expand
from divscale.stages.generation_cost import Requests
from divscale.stages.hand_outs import hand_outs
from divscale.stages.handlers import RUN
from divscale.stages.machine import machine_of
from divscale.stages.recorded_rates import RecordedRates
from divscale.stages.study_cost import study_cost
from divscale.study_file import load
from divscale.view import Tally

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"
FULL = "train={method: full, model: encoder, max_length: 64, optim: {steps: 10, batch_size: 8}}"
RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
STORIES = Path(__file__).parents[3] / "configs" / "storyland.yaml"
TUNED = ["generator={model: some/model-1B, engine: {engine: vllm}}", "evaluate.metrics=[rouge_l]",
         "train={method: full, model: some/model-1B, head: causal, zero_stage: 3, max_length: 128, optim: {steps: 20}}"]


def told(overrides, *, gpus, file=SMOKE, **others):
    pending = in_order([expand(load(file, overrides))])
    return pending, hand_outs(pending, list(RUN), {}, gpus=gpus, **others)


def spent(*, first=False, devices=1, device="core", **starts):
    return Spent(first=first, starts=starts, devices=devices, device=device)


def test_hand_outs_are_gone_through_in_the_order_that_the_runner_has(tmp_path):
    pending, _ = told([FULL], gpus=False)
    handed = []

    class View(Tally):
        def started(self, name, stages):
            handed.append(name)
            super().started(name, stages)

    def commits(jobs):
        for job in jobs:
            job.commit()

    execute(pending[-1:], Store(tmp_path), dict.fromkeys(RUN, commits), View())
    _, found = told([FULL], gpus=False)
    assert Counter(found.firsts) == Counter(set(handed))


def test_without_gpus_every_fleet_starts_once_and_with_them_they_take_turns():
    _, cores = told([FULL], gpus=False)
    assert cores.starts == {"driver": 1, "ray": 1, "training": 1, "generation": 1, "embedding": 1, "workers": 1}
    _, gpus = told([FULL], gpus=True)
    assert gpus.starts["training"] > 1 and gpus.starts["generation"] == gpus.starts["ray"] == gpus.starts["workers"] == 1


def test_what_an_endpoint_writes_starts_no_engine():
    _, found = told(["generator={model: gpt, engine: {engine: openai, base_url: 'http://localhost:1'}}"], gpus=False)
    assert "generation" not in found.starts


def test_arms_whose_text_is_scored_have_an_engine_each_and_arms_of_zero_3_a_start_of_their_group():
    pending, found = told(TUNED, file=STORIES, gpus=True, groups=2)
    arms = sum(stage.name == "train" for stage in pending)
    assert sum(stage.name == "answer" for stage in pending) == found.starts["generation"] - 1 == arms
    assert found.starts["training"] >= arms / 2


def test_a_start_is_told_apart_from_the_work_of_the_stage_that_waited_for_it(tmp_path):
    clock, store = Clock(lambda name: (2, "core")), Store(tmp_path)
    ticks = count(1)

    def commits(jobs):
        for job in jobs:
            if next(ticks) == 2:
                clock.started("ray", 3.0)
                clock.started("ray", 1.0)
            job.commit()

    execute([expand(load(SMOKE))], store, dict.fromkeys(RUN, commits), Tally(), clock=clock)
    records = [record for name in RUN for record in store.records(name)]
    assert [record.spent.starts for record in records if record.spent.starts] == [{"ray": 4.0}]
    assert all(record.spent.devices == 2 for record in records)
    firsts = Counter(record.stage for record in records if record.spent.first)
    assert set(firsts) == {record.stage for record in records} and set(firsts.values()) == {1}


def rate(tmp_path, stages, laps):
    store = Store(tmp_path)
    for stage, (seconds, values, how) in zip(stages, laps, strict=False):
        store.draft(stage).commit(rows=Rows(asked=48, ok=48), values=values, seconds=seconds, spent=how)
    return RecordedRates(expand(load(SMOKE, [FULL])), store).rate(stages[0])


def of_name(name, overrides=(FULL,)):
    return [stage for stage in in_order([expand(load(SMOKE, overrides))]) if stage.name == name]


def test_what_is_paid_once_what_an_arm_costs_and_what_a_step_costs_are_told_apart(tmp_path):
    values = {"steps_s": 3.0, "ranks": 1}
    found = rate(tmp_path, of_name("train"), [
        (20.0, values, spent(first=True, training=9.0)), (5.0, values, spent()), (5.0, values, spent())])
    assert (found.once, found.each, found.unit) == pytest.approx((6.0, 2.0, 3.0 / 80))
    assert found.seconds(4, 4 * 160, 1, 1) == pytest.approx(6 + 4 * 2 + 4 * 6)
    assert found.seconds(4, 4 * 160, 4, 0) == pytest.approx(2 + 6)  # on as many devices as arms


def test_seconds_of_several_devices_are_reckoned_over_to_more_of_them(tmp_path):
    found = rate(tmp_path, of_name("measure"), [(4.0, {}, spent(first=True, devices=2)), *[(1.0, {}, spent(devices=2))] * 3])
    assert found.unit * 40 == pytest.approx(2.0) and found.once == pytest.approx(3.0)
    assert found.seconds(8, 8 * 40, 8, 0) == pytest.approx(2.0)
    assert found.seconds(8, 8 * 80, 8, 0) == pytest.approx(4.0)  # of sets twice as large


def test_what_is_made_as_one_is_told_by_its_whole(tmp_path):
    found = rate(tmp_path, of_name("embed"), [(30.0, {}, spent(first=True, embedding=6.0)), *[(0.0, {}, spent())] * 2])
    assert found.unit == pytest.approx(24 / 144) and found.once == found.each == 0


def estimated(tmp_path, overrides, rates=()):
    study, store = load(SMOKE, overrides), Store(tmp_path / "own")
    target = expand(study)
    return study_cost(study, target, missing([target], store), Requests(study), store, rates)


def test_another_store_says_what_the_own_one_does_not_know_unless_it_is_of_other_devices(tmp_path):
    other = Store(tmp_path / "other")
    for stage in of_name("train")[:3]:
        other.draft(stage).commit(rows=Rows(asked=48, ok=48), seconds=7.0, spent=spent(device="H200", devices=8))
    by_cores = {one.name: one for one in estimated(tmp_path, [FULL], [(" in other", other)]).kinds}
    assert by_cores["train"].source.startswith("assumed")
    some = [FULL, "resources={gpus: 16, cpus: 64, training_workers: 8}"]
    by_gpus = {one.name: one for one in estimated(tmp_path, some, [(" in other", other)]).kinds}
    assert by_gpus["train"].source == "from 3 recorded in other"
    assert by_gpus["train"].seconds == pytest.approx(7.0 * by_gpus["train"].stages / 2)


def test_weights_that_do_not_stay_are_no_part_of_what_the_store_holds(tmp_path):
    kept = {keep: estimated(tmp_path, [FULL, f"resources.keep={keep}"]).store_bytes for keep in ("all", "best", "none")}
    arms = len(of_name("train"))
    one = (kept["all"] - kept["none"]) / arms
    assert 22.7e6 * 4 < one < 22.8e6 * 4 + 2**23
    assert kept["best"] - kept["none"] == pytest.approx(one, rel=0.01)


def test_a_training_fleet_of_a_plan_is_as_large_as_that_of_a_run_would_be():
    def devices(stages: int, **resources: Any) -> int:
        return machine_of(Resources(**resources)).devices_of("train", stages)

    assert devices(100, gpus=32, cpus=64, training_workers=8) == 32 and devices(2, gpus=32, cpus=64, training_workers=8) == 16
    assert devices(3, gpus=0, cpus=2) == 1 and devices(8, gpus=0, cpus=2) == 2 and devices(100, gpus=0, cpus=2) == 2


def test_rates_of_a_folder_without_records_are_refused_in_one_paragraph(tmp_path, capsys):
    assert main(["plan", str(SMOKE), "--rates", str(tmp_path)]) == 2
    assert f"--rates: {tmp_path} is neither a file nor a store that has recorded" in capsys.readouterr().err
    (tmp_path / "bench.json").write_text("{}")
    assert main(["plan", str(SMOKE), "--rates", str(tmp_path / "bench.json")]) == 2
    assert f"--rates: {tmp_path}/bench.json holds no benchmark of this version" in capsys.readouterr().err


def test_a_benchmark_stands_in_for_what_is_assumed_of_its_kind_of_device(tmp_path):
    shape = SIZES["tiny"]
    figures = tuple(Figure(part=part, name=part, unit=unit, count=2, rates=(rate,) * 3, seconds=(1.0,) * 3, start_s=start,
                           efficiency=None, share_of_floor=None, bound=None)
                    for part, unit, rate, start in (("generation", "tokens/s", 1000.0, 9.0), ("embedding", "texts/s", 50.0, 7.0),
                                                    ("training", "tokens/s", 500.0, 5.0)))
    file = tmp_path / "bench.json"
    file.write_text(Bench(
        date="", command="", asked=Asked(parts=("generation",), size="tiny", scaling="weak", over=(2,)),
        machine=machine(("1 core", "1 core"), 2, 1, None), versions={}, load_before=0.0, load_after=0.0, at_best=(),
        figures=figures).model_dump_json(), encoding="utf-8")
    measured = learned_from([str(file)]).benchmarks
    cores, gpus = (machine_of(Resources(cpus=4, gpus=n)) for n in (0, 4))
    assert writing(2000.0, shape.generator.parameters, cores, "generate", measured).seconds == pytest.approx(1.0)
    assert embedding(100.0, cores, measured).seconds == pytest.approx(1.0)
    assert start("training", cores, measured) == Estimate(5.0, f"from {file}: 5 s each")
    taught = training(1000.0, shape.trained.parameters, cores, "train", stages=0, passes=6, half=False, measured=measured)
    assert taught.seconds == pytest.approx(1.0) and taught.source.startswith(f"from {file}: 1,000 tokens/s")
    assert embedding(100.0, gpus, measured).source.startswith("assumed")


def test_a_kept_benchmark_of_a_share_of_two_cores_teaches_what_one_core_does():
    file = RESULTS / "bench_cpu.json"
    (measured,) = learned_from([str(file)]).benchmarks
    median = {figure.part: figure.spread.median for figure in read(str(file)).figures}
    assert (measured.device, measured.texts) == ("core", median["embedding"] / 2)
    cores, gpus = (machine_of(Resources(cpus=2, gpus=n)) for n in (0, 1))
    taught = writing(1000.0, SIZES["tiny"].generator.parameters, cores, "generate", [measured])
    assert taught.seconds == pytest.approx(1000.0 / median["generation"]) and taught.source.startswith(f"from {file}: ")
    assert writing(1000.0, 10**9, gpus, "generate", [measured]).source.startswith("assumed")
