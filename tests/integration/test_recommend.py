"""`divscale recommend` on real engines: what it chooses, what it trains for that, and the set it leaves."""

import json
from pathlib import Path

import pytest

from divscale.cli import main
from divscale.evaluation.scores import score
from divscale.graph.store import Store
from divscale.stages.candidates import candidates
from divscale.study_file import load
from tests.fewer_rows import FEWER_ROWS

pytestmark = pytest.mark.engine

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"
ASKED = ["train={method: probe}", "data.validation_share=0.3", "generator.engine={engine: transformers, max_model_len: 96}",
         "mix=[{design: add_on, generated: [2,4], shortfall: allow}]", "seeds.data=4", "evaluate.metrics=[accuracy]",
         *FEWER_ROWS, "data.licence=PSF-2.0"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recommend")
    code = main(["recommend", str(SMOKE), *ASKED, "--store", str(folder / "store"), "--out", str(folder / "set"),
                 "--budget", "22"])
    assert code == 0
    return folder


def test_it_takes_the_setting_that_validates_best_and_trains_no_more_than_it_may(done):
    found = json.loads((done / "set" / "recommendation.json").read_text())
    among, store = candidates(load(SMOKE, ASKED)), Store(done / "store")
    assert len(among.settings) == 8 and found["whole_grid"] == 9 * 4
    made = [one for rows in [*among.settings.values(), *among.real_only.values()] for one in rows
            if store.find(one.validated) is not None or store.find(one.tested) is not None]
    assert len(made) == found["trainings"] <= 22

    def validated(key, draws):
        return [score("accuracy", store.open(one.validated).table("predictions")) for one in among.settings[key][:draws]]

    chosen = (found["setting"]["design"], found["setting"]["temperature"], found["setting"]["filter"],
              found["setting"]["generated"], found["setting"]["generated_share"])
    first = {key: validated(key, 1)[0] for key in among.settings}
    assert chosen in sorted(first, key=lambda key: -first[key])[:4]
    on_all = [key for key, rows in among.settings.items() if all(store.find(one.validated) is not None for one in rows)]
    assert chosen in on_all
    tests = [score("accuracy", store.open(one.tested).table("predictions")) for one in among.settings[chosen]]
    assert found["score"]["mean"] == pytest.approx(sum(tests) / 4)
    assert found["gain"]["mean"] == pytest.approx(found["score"]["mean"] - found["real_only"]["mean"])


def test_the_set_opens_as_a_dataset_with_a_card_that_says_what_it_is(done):
    from datasets import load_dataset

    found = json.loads((done / "set" / "recommendation.json").read_text())
    rows = load_dataset(str(done / "set"), split="train")
    assert set(rows["origin"]) == {"real", "generated"}
    assert sum(origin == "real" for origin in rows["origin"]) == 2 * 6
    assert 0 < sum(origin == "generated" for origin in rows["origin"]) <= 6 * found["setting"]["generated"]
    card = (done / "set" / "README.md").read_text()
    assert f"take temperature {found['setting']['temperature']:g}" in card and "real rows alone" in card
    assert "license: other" in card and "| licence of the real rows | PSF-2.0 |" in card
    assert "| licence of the generated rows | not stated; see the generator's terms |" in card
    assert "| real rows | 12, of pydocs |" in card and "| recipe | kind: decoding, " in card
    assert "| Vendi score of the generated set | " in card or "| diversity and shift | not measured: " in card
    assert "% of rows" in card and "% of tokens |" in card


def test_asked_again_it_says_the_same_and_starts_no_ray(done, monkeypatch, capsys):
    monkeypatch.setattr("divscale.runtime.session.Session.ensure", lambda self: pytest.fail("Ray was started"))
    before = (done / "set" / "recommendation.json").read_text()
    assert main(["recommend", str(SMOKE), *ASKED, "--store", str(done / "store"), "--out", str(done / "set"), "--budget",
                 "22", "--budget", "hours=5"]) == 0
    assert (done / "set" / "recommendation.json").read_text() == before
    said = capsys.readouterr()
    assert "It was chosen on validation rows by" in said.out
    trained = json.loads(before)["trainings"]
    assert f"--budget allows {trained} trainings, the whole of it estimated at" in said.err


@pytest.mark.parametrize(("override", "more", "words"), [
    ("data.labelled=[2,5]", [], "data.labelled has 2 counts"),
    ("data.validation_share=0", [], "chosen on validation rows"),
    ("train=[{method: probe},{method: full,model: pretrain,max_length: 48}]", [], "one way of training"),
    ("mix=[]", [], "no mix with generated rows"),
    ("name=x", ["--budget", "5"], "5 trainings are too few"),
    ("name=x", ["--budget", "hours=0.001"], "the least, 15 trainings, would take about"),
    ("name=x", ["--budget", "gpu_hours=1"], "this machine has no GPU"),
    ("name=x", ["--budget", "some"], "'some' is none; write a number of trainings"),
])
def test_what_leaves_the_question_open_is_refused_before_anything_runs(override, more, words, tmp_path, capsys):
    assert main(["recommend", str(SMOKE), *ASKED, override, "--store", str(tmp_path / "store"), "--out",
                 str(tmp_path / "set"), *more]) == 2
    assert words in capsys.readouterr().err
