"""Sets as a model sees them, in a whole study on real engines; and arms tuned on generated rows alone, on real ones."""

from pathlib import Path

import pyarrow.compute as pc
import pytest
from toys import by_name

from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.run import report_path, run_study
from divscale.stages import split
from divscale.stages.expand import expand
from divscale.study_file import load
from divscale.view import Tally

pytestmark = pytest.mark.engine

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"
VIEWED = ["measure.model_view={projected: 1024}", "generator.engine={engine: transformers, max_model_len: 96}",
          "recipe.filters=[none]", "recipe.max_failed_share=0.9", "evaluate.metrics=[loss, accuracy]", "seeds.data=1",
          "mix={design: generated_only, generated: [4], shortfall: allow}",
          "train=[{method: full, model: pretrain, head: causal, optim: {lr: 1.0e-3, batch_size: 16, steps: 8}, max_length: 64}]"]


@pytest.mark.long
def test_a_study_tells_what_a_model_sees_and_how_arms_tuned_on_generated_rows_alone_read_real_ones(tmp_path):
    study, store = load(SMOKE, VIEWED), Store(tmp_path / "store")
    report = run_study(study, store, Tally())
    sets = {(row["metric"], row["level"]): row for row in report.table("sets").to_pylist()}
    for name in ("g_vendi", "reference_loss", "reference_perplexity"):
        assert all(sets[name, level]["low"] < sets[name, level]["value"] for level in (None, 0.3, 1.2))
    assert 1 < sets["g_vendi", 0.3]["value"] < sets["g_vendi", 1.2]["value"] <= 40
    assert sets["reference_loss", 0.3]["value"] < sets["reference_loss", 1.2]["value"]
    page = report_path(study, store).read_text()
    assert "G-Vendi, gradients of a proxy model" in page and "Loss of a reference model" in page

    found = by_name(expand(study))
    viewed = [store.open(stage) for stage in found["model_view"]]
    assert len(viewed) == 3 and all(artifact.values["seconds"]["g_vendi"] > 0 for artifact in viewed)
    alone = [arm for arm in report.table("arms").to_pylist() if arm["design"] == "generated_only"]
    assert len(alone) == 2 and all(arm["generated_share"] == 1 and 0 < arm["loss"] < 20 for arm in alone)
    test = split.rows(store.open(found["split"][0]), "test")
    real = store.open(found["load"][0]).table("samples").take(test)
    for stage in found["evaluate"]:
        assert store.open(stage).table("predictions")["id"].to_pylist() == real["id"].to_pylist()
    for stage in found["mix"]:
        origins = pc.unique(store.open(stage).table("mix")["origin"]).to_pylist()
        assert origins == (["generated"] if "generated_only" in stage.title else ["real"])

    # another reference looks again and trains or writes nothing again; other resources look at nothing again
    other = load(SMOKE, [*VIEWED, "measure.model_view.loss=target"])
    assert {s.name for s in in_order([expand(other)]) if store.find(s) is None} == {"model_view", "report"}
    assert store.find(expand(load(SMOKE, [*VIEWED, "resources.cpus=1"]))) is not None
