"""Generation after generation on real engines: what the report is told, and what more generations cost."""

import sys
from pathlib import Path

import pytest

from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.run import report_path, run_study
from divscale.stages.expand import expand
from divscale.study_file import load
from divscale.view import Tally
from tests.fewer_rows import FEWER_ROWS

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "generation"))
from tiny_model import make_tiny_model

pytestmark = pytest.mark.engine

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"
LINES = ["recursion={generations: 2, regimes: [replace, accumulate]}", "recipe.temperature=[0.8]", "recipe.filters=[none]",
         "mix=[]", "train={method: probe}", "generator.engine={engine: transformers, max_model_len: 96}",
         "pretrain.generator.optim.steps=40", "recipe.max_failed_share=0.9", "evaluate.metrics=[accuracy, ece]",
         *FEWER_ROWS]


class Interrupts(Tally):
    """Ctrl-C as soon as the first descendant is whole."""

    def committed(self, stage, artifact):
        super().committed(stage, artifact)
        if stage.name == "descend":
            raise KeyboardInterrupt


class Lists(Tally):
    """What a run has made."""

    def __init__(self):
        super().__init__()
        self.made = []

    def committed(self, stage, artifact):
        super().committed(stage, artifact)
        self.made.append(stage.name)


@pytest.mark.long
def test_a_named_model_is_tuned_on_every_generation_and_writes_the_next_and_an_interrupted_line_goes_on(tmp_path):
    model = make_tiny_model(tmp_path / "model", 512)
    study, store = load(SMOKE, [*LINES, f"generator={{model: {model}, engine: {{engine: transformers, max_model_len: 384}}}}",
                                "recursion={generations: 2, regimes: [replace]}",
                                f"train={{method: full, model: {model}, head: causal, optim: {{lr: 1.0e-3, steps: 6, batch_size: 16}}, max_length: 256}}",
                                "evaluate.metrics=[loss]", "measure={n: 8, subsamples: 2, shift: [mmd]}", "clean.contamination.allowed_share=1.0"]), Store(tmp_path / "store")
    with pytest.raises(KeyboardInterrupt):
        run_study(study, store, Interrupts())
    rest = Lists()
    lines = run_study(study, store, rest).table("lines").to_pylist()
    assert rest.made.count("descend") == 1 and rest.made.count("generate") == 1 and "load" not in rest.made
    losses = [row["value"] for row in lines if row["metric"] == "real_loss"]
    assert len(losses) == 3 and len(set(losses)) == 3
    tuned = [stage for stage in in_order([expand(study)]) if stage.name == "descend"]
    assert [store.open(stage).values["steps"] for stage in tuned] == [6, 6]
    again = [stage for stage in in_order([expand(study)]) if stage.name == "generate"]
    assert len(again) == 2 and all(store.open(stage).table("samples").num_rows for stage in again)


def test_lines_of_descent_are_measured_read_and_scored_and_one_more_generation_makes_only_itself(tmp_path):
    study, store = load(SMOKE, LINES), Store(tmp_path / "store")
    report = run_study(study, store, Tally())
    lines = report.table("lines").to_pylist()
    assert {(row["regime"], row["generation"]) for row in lines} == {
        (regime, g) for regime in ("replace", "accumulate") for g in (0, 1, 2)}
    losses = {(row["regime"], row["generation"]): row["value"] for row in lines if row["metric"] == "real_loss"}
    assert all(0 < loss < 10 for loss in losses.values())
    assert losses["replace", 0] == losses["accumulate", 0]
    assert len(set(losses.values())) == 5  # the first writer is that of both lines
    scored = {row["metric"] for row in lines if row["data_seed"] is not None}
    assert scored == {"accuracy", "ece"} and {"vendi", "mmd2", "label_correct"} <= {row["metric"] for row in lines}
    assert "Generation after generation" in report_path(study, store).read_text()

    more = load(SMOKE, [*LINES, "recursion.generations=3"])
    new = {}
    for stage in in_order([expand(more)]):
        if store.find(stage) is None:
            new[stage.name] = new.get(stage.name, 0) + 1
    assert {name: new[name] for name in ("generate", "descend", "read", "report")} == {
        "generate": 2, "descend": 2, "read": 2, "report": 1}
    assert "pretrain" not in new and "load" not in new
    again = run_study(more, store, Tally()).table("lines").to_pylist()
    assert {(row["generation"], row["value"]) for row in lines} <= {(row["generation"], row["value"]) for row in again}
