"""The stages of a model's view: which there are, what they hang on, and what changes them."""

from pathlib import Path

import pytest
from toys import Silent, by_name

from divscale.errors import ConfigError, PreflightError
from divscale.graph.runner import Job
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.stages import load, model_view, split
from divscale.stages.expand import expand
from divscale.stages.identity import unresolved_model
from divscale.study_file import load as load_study
from divscale.training.config import ArchitectureConfig
from divscale.training.models import from_scratch, train_tokenizer

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"
ON = "measure.model_view={}"


def stages(*overrides):
    return by_name(expand(load_study(SMOKE, overrides)))


def prints(found):
    return {stage.fingerprint for group in found.values() for stage in group}


def test_every_measured_set_and_the_real_rows_are_viewed_and_only_where_that_is_asked_for():
    assert "model_view" not in stages()
    found = stages(ON)
    assert [s.title for s in found["model_view"]] == [s.title for s in found["measure"]]
    assert {s.config.part for s in found["model_view"]} == {"real", "none", "label_agreement"}
    assert prints(stages()) - prints(found) == {stages()["report"][0].fingerprint}


def test_sets_of_several_generators_are_viewed_by_one_and_the_same_model():
    found = stages(ON, "seeds.generation=2")["model_view"]
    assert len({stage.inputs["samples"].fingerprint for stage in found}) > 3
    assert len({stage.inputs["proxy"].fingerprint for stage in found}) == 1
    assert all("reference" not in stage.inputs and stage.config.reference is None for stage in found)


@pytest.mark.parametrize("change", ["loss: target", "projected: 512", "n: 20", "max_length: 64", "reference: pretrain"])
def test_every_field_changes_the_views_and_nothing_else_but_the_report(change):
    before = prints(stages(ON))
    moved = {name for name, group in stages(f"measure.model_view={{{change}}}").items() for s in group if s.fingerprint not in before}
    assert moved == {"model_view", "report"}


def test_a_model_is_known_by_its_contents_and_one_that_is_not_here_can_be_planned(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    (tmp_path / "model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    here = stages(f"measure.model_view={{proxy: {tmp_path}}}")["model_view"][0]
    assert here.config.proxy.kind == "folder" and "proxy" not in here.inputs
    away = stages("measure.model_view={reference: {model: nobody/nothing, revision: abc}}")["model_view"][0]
    assert unresolved_model(away) == "nobody/nothing@abc" and "proxy" in away.inputs
    with pytest.raises(PreflightError, match=r"measure\.model_view\.proxy: /no/such: no such model folder"):
        stages("measure.model_view={proxy: /no/such}")


@pytest.mark.parametrize(("overrides", "words"), [
    (["measure.model_view={n: 41}"], "model_view.n: 41 rows are more than the 40 of measure.n"),
    (["measure.model_view={projected: 10}"], "projected"),
    (["measure.model_view={loss: words}"], "loss"),
    (["measure.model_view={reference: 'pretrain:large'}"], "measure.model_view.reference: pretrain:large is none of pretrain.bases"),
    (["measure.model_view={proxi: pretrain}"], "proxy"),
    ([ON, "data.prior_share=0", "generator.model=gpt2", "recipe.filters=[none]", "mix=[]", "train={method: probe}"],
     "leaves no prior to learn from, for measure.model_view.proxy: pretrain"),
])
def test_a_view_that_cannot_be_is_refused_in_words(overrides, words):
    with pytest.raises(ConfigError, match=words):
        load_study(SMOKE, overrides)


def test_a_set_with_too_few_rows_is_not_viewed_and_says_so(tmp_path):
    study, store = load_study(SMOKE, [ON]), Store(tmp_path)
    found = {stage.name: stage for stage in in_order([expand(study)])}
    context = type("Context", (), {"study": study, "events": Silent()})()
    load.run([Job(found["load"], store, Silent())], context)
    view = next(s for s in in_order([expand(study)]) if s.name == "model_view" and s.config.part == "none")
    written = store.draft(view.inputs["samples"])
    written.write_table("samples", store.open(found["load"]).table("samples").slice(0, 30))
    written.commit()
    model_view.run([Job(view, store, Silent())], context)
    assert store.open(view).values["metrics"] == {}
    assert store.open(view).values["reason"].startswith("The set has")
    assert "a model looks at 40 of each; set measure.model_view.n to" in store.open(view).values["reason"]


class Here:
    """Workers' work in this process."""

    def map(self, function, calls):
        return ((i, function(*call)) for i, call in enumerate(calls))


@pytest.mark.parametrize("loss", ["text", "target"])
def test_real_rows_are_viewed_by_the_model_that_the_study_trains(tmp_path, loss):
    study, store = load_study(SMOKE, [f"measure.model_view={{loss: {loss}, projected: 256, n: 12}}"]), Store(tmp_path)
    found = by_name(expand(study))
    context = type("Context", (), {"study": study, "events": Silent(), "workers": Here})()
    for name, run in (("load", load.run), ("split", split.run)):
        run([Job(found[name][0], store, Silent())], context)
    real = next(stage for stage in found["model_view"] if stage.config.part == "real")
    texts = store.open(found["load"][0]).table("samples")["text"].to_pylist()[:200]
    proxy = store.draft(real.inputs["proxy"])
    tokenizer = train_tokenizer(texts, 300, 128)
    model = from_scratch(ArchitectureConfig(hidden_size=16, layers=1, heads=2, vocab_size=300), tokenizer, "causal")
    folder = proxy.new_tree("model")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    proxy.commit()
    model_view.run([Job(real, store, Silent())], context)
    view = store.open(real)
    assert view.values["missing"] == {} and view.record.rows.ok == 12
    assert 1 < view.values["metrics"]["g_vendi"]["value"] <= 12 == view.values["metrics"]["g_vendi"]["n"]
    assert view.values["metrics"]["reference_loss"]["value"] > 0.5
