"""What is made of matched rows on a real store: which are kept, what mixes read, what the report says of their labels."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from toys import Silent, by_name

from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.store import Store
from divscale.schema import SAMPLES
from divscale.stages import match
from divscale.stages.expand import expand
from divscale.stages.filtered import kept_rows
from divscale.stages.notes import hardly_chosen
from divscale.stages.report import _sets
from divscale.study_file import load

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"
ROWS, LABELS = 600, ("asyncio", "email", "http")
# Odd rows are right; rows past the first third lie where real text is.
RIGHT = np.arange(ROWS) % 2 == 1
NEAR = np.arange(ROWS) >= ROWS // 3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    study = load(SMOKE, ["recipe.filters=[none,label_agreement,shift_matched,both]", "recipe.temperature=[0.3,1.2]",
                         "recipe.samples=20"])
    report, store = expand(study), Store(tmp_path_factory.mktemp("store"))
    rng, found = np.random.default_rng(0), by_name(report)

    def put(stage, tables=None, vectors=None, values=None, rows=None):
        draft = store.draft(stage)
        for role, table in (tables or {}).items():
            draft.write_table(role, table)
        if vectors is not None:
            vectors.astype("<f4").tofile(draft.new_file("vectors", ".f32"))
        draft.commit(values={**({"shape": list(vectors.shape)} if vectors is not None else {}), **(values or {})}, rows=rows)

    samples = pa.Table.from_pylist([
        {**dict.fromkeys(SAMPLES.names), "id": f"row{i}", "text": f"text {i}", "label": LABELS[i % 3], "origin": "generated"}
        for i in range(ROWS)], schema=SAMPLES)
    x_ND = rng.normal(size=(ROWS, 8)) * 0.3 + np.where(NEAR, 3.0, -3.0)[:, None] * np.eye(8)[0]
    put(found["split"][0], {part: pa.table({"ordinal": pa.array(range(200), pa.int64())}) for part in ("prior", "pool", "validation", "test")})
    real = found["match"][0].inputs["real"]
    put(real, vectors=rng.normal(size=(200, 8)) * 0.3 + 3 * np.eye(8)[0])
    for level in {stage.inputs["samples"].fingerprint: stage.inputs["samples"] for stage in found["match"]}.values():
        put(level, {"samples": samples}, x_ND)
    for stage in found["correctness"]:
        put(stage, {"right": pa.table({"right": RIGHT})}, values={"label_correct": float(RIGHT.mean())}, rows=Rows(asked=ROWS, ok=int(RIGHT.sum()), filtered=int((~RIGHT).sum())))
    for stage in found["measure"]:
        put(stage, values={"metrics": {}, "missing": {}})
    context = type("Context", (), {"study": study, "events": Silent()})()
    match.run([Job(stage, store, Silent()) for stage in found["match"]], context)
    return study, report, store, found


def kept(world, stage):
    return world[2].open(stage).table("kept")["ordinal"].to_numpy()


def test_as_many_rows_of_every_label_are_kept_as_a_set_is_measured_at_and_more_of_them_lie_where_real_text_does(world):
    study, _, _, found = world
    for stage in found["match"]:
        own = kept(world, stage)
        assert np.bincount(own % 3).tolist() == [study.recipe.samples] * 3
        assert NEAR[own].mean() > 0.8 > NEAR.mean()


def test_with_correctness_the_rows_are_chosen_among_the_right_ones(world):
    for stage in world[3]["match"]:
        own = kept(world, stage)
        assert RIGHT[own].all() == ("correctness" in stage.inputs)


def test_mixes_and_measures_of_matched_sets_read_exactly_the_kept_rows(world):
    _, _, store, found = world
    reading = [stage for stage in (*found["mix"], *found["measure"]) if "matched" in stage.inputs]
    assert {stage.name for stage in reading} == {"mix", "measure"}
    samples = store.open(found["match"][0].inputs["samples"]).table("samples")
    for stage in reading:
        assert kept_rows(Job(stage, store, Silent()), samples).tolist() == kept(world, stage.inputs["matched"]).tolist()


def test_the_report_says_of_every_set_which_share_of_the_rows_that_count_is_right(world):
    _, report, store, found = world
    rows = [row for row in _sets(Job(report, store, Silent())).to_pylist() if row["metric"] == "label_correct"]
    share = {row["filter"]: (row["value"], row["n"]) for row in rows if row["level"] == 1.2}
    alone = next(stage for stage in found["match"] if "correctness" not in stage.inputs and "1.2" in stage.title)
    own = RIGHT[kept(world, alone)]
    assert share == {"none": (0.5, ROWS), "label_agreement": (1.0, ROWS // 2), "shift_matched": (own.mean(), len(own)),
                     "both": (1.0, len(own))}


def test_a_choice_among_few_candidates_is_told(world, monkeypatch):
    _, report, store, _ = world
    assert list(hardly_chosen(Job(report, store, Silent()))) == []
    monkeypatch.setattr("divscale.stages.notes.LEAST_CHOICE", 8.0)  # 300 right rows, of which 12 are kept
    (told,) = hardly_chosen(Job(report, store, Silent()))
    assert told.startswith("With text correctness and shift held, fewer than 8 candidates a kept row were there")
    assert "temperature 0.3, 1.2: shift is hardly held there" in told
