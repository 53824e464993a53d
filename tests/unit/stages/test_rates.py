"""A grid of learning rates: tried on the first seeds, one choice for all arms of a number of rows; other test sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toys import Silent, by_name

from divscale.errors import ConfigError, DataError
from divscale.graph.runner import Job
from divscale.graph.store import Store
from divscale.stages import rates
from divscale.stages.expand import expand
from divscale.study_file import load

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"
PLAIN = ["train.1.optim={batch_size: 16, steps: 4}", "data.labelled=[2,4]", "train.1.arms={}", "mix.0.generated=[2]"]
GRID = [*PLAIN, "data.validation_share=0.3", "train.1.lr=[1e-4,1e-3,1e-2]"]


def stages(*overrides):
    return by_name(expand(load(SMOKE, overrides)))


def test_arms_of_as_many_rows_share_one_choice_that_was_made_on_the_first_seeds():
    found = stages(*GRID)
    by_rows = {}
    for stage in found["train"]:
        rows = int(stage.title.split(", ")[1].split()[0]) + {"add_on": 2, "generated_only": 4, "judge_labelled": 4}.get(
            stage.title.split(",")[0], 0)
        by_rows.setdefault(rows, set()).add(stage.inputs["rate"].fingerprint)
    assert all(len(choices) == 1 for choices in by_rows.values())
    assert len({c for choices in by_rows.values() for c in choices}) == len(by_rows) == len(found["rate"])
    assert all("data seed 0" in trial.title for trial in found["trial"])
    assert len(found["trial"]) == 3 * sum("trials" in stage.inputs for stage in found["train"])
    assert {t.config.optim.lr for t in found["trial"]} == {1e-4, 1e-3, 1e-2}


def test_more_seeds_add_no_trial_and_another_rate_redoes_no_trial_of_the_others():
    few, more = stages(*GRID), stages(*GRID, "seeds.data=4")
    assert {s.fingerprint for s in few["trial"]} == {s.fingerprint for s in more["trial"]}
    assert {s.fingerprint for s in few["train"]} < {s.fingerprint for s in more["train"]}
    wider = stages(*GRID[:-1], "train.1.lr=[1e-4,1e-3,1e-2,1e-1]")
    assert {s.fingerprint for s in few["trial"]} < {s.fingerprint for s in wider["trial"]}
    assert not {s.fingerprint for s in few["rate"]} & {s.fingerprint for s in wider["rate"]}


def test_one_rate_is_no_choice_and_the_same_as_naming_it_for_the_optimiser():
    one, named = stages(*PLAIN, "train.1.lr=1e-3"), stages(*PLAIN, "train.1.optim.lr=1e-3")
    assert "rate" not in one and {s.fingerprint for s in one["train"]} == {s.fingerprint for s in named["train"]}


@pytest.mark.parametrize(("overrides", "words"), [
    (["train.1.lr=[1e-3,1e-4]"], "train.1.lr: 2 rates are chosen among on validation rows, and data.validation_share is 0"),
    (["train.1.lr=[1e-3]", "train.1.optim.lr=1e-4"], "lr and optim.lr both say"),
    (["train.1.lr=[1e-3,1e-3]"], "0.001 appears twice"),
    (["train.0.lr=[1e-3]"], "a probe has no learning rate"),
])
def test_a_grid_that_cannot_be_is_refused_in_words(overrides, words):
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        load(SMOKE, [*PLAIN, *overrides])


def choice_of(store, *losses):
    """A choice among three rates after these validation losses of the trials of three arms."""
    found = stages(*GRID)
    choice = next(stage for stage in found["rate"] if len(stage.inputs["trials"]) == 9)
    trials = choice.inputs["trials"]
    assert [t.config.optim.lr for t in trials[:4]] == [1e-4, 1e-3, 1e-2, 1e-4]
    for i, trial in enumerate(trials):
        store.draft(trial).commit(values={"validation_loss": losses[i % len(losses)]})
    job = Job(choice, store, Silent())

    class Context:
        events = Silent()

    rates.run([job], Context())
    return job


def test_the_rate_with_the_lowest_mean_loss_is_chosen_and_one_that_diverged_anywhere_is_out(tmp_path):
    job = choice_of(Store(tmp_path / "a"), 2.0, 1.0, 3.0, 2.0, 2.5, 1.0, 2.0, 1.75, 2.0)
    assert job.store.open(job.stage).values == {"rates": [1e-4, 1e-3, 1e-2], "losses": [2.0, 1.75, 2.0], "chosen": 1e-3}
    job = choice_of(Store(tmp_path / "b"), 2.0, 1.0, 3.0, 2.0, None, 1.0, 2.0, 1.0, 2.0)
    assert job.store.open(job.stage).values["losses"] == [2.0, None, 2.0]
    assert job.store.open(job.stage).values["chosen"] == 1e-4


def test_a_grid_that_diverged_at_every_rate_says_so(tmp_path):
    job = choice_of(Store(tmp_path), None)
    assert job.outcome == "failed" and "give lower ones" in str(job.error) and "0.0001, 0.001, 0.01" in str(job.error)


@pytest.fixture
def elsewhere(tmp_path):
    file = tmp_path / "letters.jsonl"
    file.write_text("".join(json.dumps({"text": f"Return letter {i}.", "label": label}) + "\n"
                            for label in ("asyncio", "email") for i in range(4)))
    return file


def test_another_test_set_scores_every_arm_once_more_and_redoes_nothing(elsewhere):
    one, two = stages(*PLAIN), stages(*PLAIN, f"data.out_of_distribution={{letters: {elsewhere}}}")
    for name in set(one) - {"report"}:
        assert {s.fingerprint for s in one[name]} <= {s.fingerprint for s in two[name]}, name
    for name in ("evaluate", "score"):
        judges = sum(s.title == "judge" for s in one[name])
        assert len(two[name]) == 2 * (len(one[name]) - judges) + judges
    assert {w["test"] for w in two["report"][0].config.arms} == {"test", "letters"}
    assert len(two["load"]) == len(one["load"]) + 1


def test_another_test_set_of_the_source_s_own_rows_is_refused(tmp_path):
    from divscale.data.config import DataConfig
    from divscale.data.sources import load as load_data

    rows = [json.dumps({"text": f"text {i}", "label": "ab"[i % 2]}) + "\n" for i in range(20)]
    (tmp_path / "all.jsonl").write_text("".join(rows))
    (tmp_path / "some.jsonl").write_text("".join(rows[:5]))
    config = DataConfig(source=str(tmp_path / "all.jsonl"), out_of_distribution={"some": str(tmp_path / "some.jsonl")})
    with pytest.raises(DataError, match=r"data\.out_of_distribution\.some: every row .* so none is held out"):
        load_data(config)
