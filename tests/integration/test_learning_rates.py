"""A grid of learning rates and another test set, through the real fleet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from divscale.evaluation.scores import score
from divscale.graph.plan import missing
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.run import make
from divscale.stages.expand import expand
from divscale.study_file import load
from divscale.view import Tally

pytestmark = pytest.mark.engine

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"


def test_the_rate_that_validates_best_is_taken_for_all_seeds_and_its_trial_is_not_trained_twice(tmp_path):
    file = tmp_path / "letters.jsonl"
    file.write_text("".join(json.dumps({"text": f"Return letter {i}.", "label": label}) + "\n"
                            for label in ("http", "urllib") for i in range(4)))
    overrides = [
        "data.labels=[http,mailbox,tarfile,urllib]", "measure.n=16", "data.validation_share=0.3", "train.1.lr=[1e-3,1e30,1e-2]", "train.1.optim={batch_size: 16, steps: 12}",
        "train.1.arms={designs: [real_only]}", f"data.out_of_distribution={{letters: {file}}}"]
    study = load(SMOKE, overrides)
    store, tally = Store(tmp_path / "store"), Tally()
    scored = [stage for stage in in_order([expand(study)]) if stage.name == "evaluate"]
    assert len(scored) == 4  # two data seeds, two test sets
    make(scored, study, store, tally)

    (choice,) = [s for s in in_order(scored) if s.name == "rate"]
    found = store.open(choice).values
    assert found["losses"][1] is None, "1e30 diverges"
    assert found["chosen"] == min((found["losses"][i], found["rates"][i]) for i in (0, 2))[1]
    trials = {t.config.optim.lr: store.open(t) for t in choice.inputs["trials"]}
    assert "not finite" in trials[1e30].values["reason"] and "model" not in trials[1e30].record.files

    first, second = (store.open(s) for s in in_order(scored) if s.name == "train")
    assert first.values["lr"] == second.values["lr"] == found["chosen"]
    weights, own = (next(iter(a.tree("model").glob("*.safetensors"))) for a in (first, trials[found["chosen"]]))
    assert weights.samefile(own), "the trial was taken over, not copied"
    assert tally.lines["train"].done == 2
    assert tally.lines["evaluate"].rows == 2 * (110 + 8), "told while they are scored, once each"

    tables = {s.title: store.open(s).table("predictions") for s in scored}
    for title, predictions in tables.items():
        assert predictions.num_rows == (8 if "letters" in title else 110)
        assert 0 <= score("accuracy", predictions) <= 1

    # Without weights what was scored stands; another test set has them made again, the same to the bit.
    study = load(SMOKE, [*overrides, "resources.keep=none"])
    make(scored, study, Store(store.root), Tally())
    assert not list(store.root.glob("tr*/*/model.*")) and missing(scored, Store(store.root)) == []
    study = load(SMOKE, [*overrides[:-1], f"data.out_of_distribution={{others: {file}}}", "resources.keep=none"])
    new = [stage for stage in in_order([expand(study)]) if stage.name == "evaluate"]
    store, tally = Store(store.root), Tally()
    assert new[0].fingerprint == scored[0].fingerprint
    (store.root / "evaluate" / scored[1].fingerprint / "record.json").unlink()
    assert {s.name for s in missing(new, store)} == {"train", "evaluate"}, "no trial, no choice"
    make(new, study, store, tally)
    assert tally.lines["train"].done == 1 and not list(store.root.glob("tr*/*/model.*"))
    assert store.open(scored[1]).table("predictions").equals(tables[scored[1].title])
