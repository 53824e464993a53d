"""Lines of descent: which stages there are, what each descendant reads, and what more generations redo."""

from pathlib import Path

import pyarrow as pa
import pytest
from toys import Silent, by_name

from divscale.errors import ConfigError
from divscale.graph.runner import Job
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.stages import descend, load, split
from divscale.stages.expand import expand
from divscale.study_file import load as load_study

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"
LINES = ["recursion={generations: 3}", "recipe.temperature=[0.8]", "mix=[]", "train={method: probe}"]


def stages(*overrides):
    return by_name(expand(load_study(SMOKE, [*LINES, *overrides])))


def prints(found, *names):
    return {stage.fingerprint for name in names for stage in found[name]}


def test_every_generation_of_every_regime_has_a_model_of_its_own_and_all_share_the_first_set():
    found = stages()
    assert len(found["pretrain"]) == 1 and len(found["descend"]) == 3 * 3
    assert len(found["generate"]) == 1 + 3 * 2
    first = {stage.inputs["sets"][0].fingerprint for stage in found["descend"] if "generation 1" in stage.title}
    assert len(first) == 1
    assert len(found["read"]) == 1 + 3 * 3
    reads = {stage.title.split(",")[0]: len(stage.inputs["sets"]) for stage in found["descend"] if "generation 3" in stage.title}
    assert reads == {"replace": 1, "accumulate": 3, "subsample": 3}


def test_more_generations_and_more_regimes_redo_nothing():
    few, more = stages(), stages("recursion.generations=5")
    for name in ("descend", "generate", "embed", "read", "measure", "score"):
        assert prints(few, name) < prints(more, name)
    one = stages("recursion.regimes=[accumulate]")
    assert prints(one, "descend", "generate", "read") < prints(few, "descend", "generate", "read")


def test_generations_of_one_line_are_written_from_other_random_numbers():
    seeds = [stage.config.seed for stage in stages("recursion.regimes=[replace]")["generate"]]
    assert len(set(seeds)) == len(seeds) == 3


def test_several_sources_have_a_descendant_each_and_one_of_them_is_a_line_of_its_own():
    found = stages("recipe={kind: sources, sources: [1, 2], samples: 4}",
                   "generator.others=[pretrain]", "recursion={generations: 3, regimes: [replace]}")
    assert len(found["pretrain"]) == 2
    # sets of the two levels differ from the second generation on, and so does the first source's descendant
    assert len(found["descend"]) == (1 + 2) * 3 - 1  # of the last generation the second source would write for nobody
    second = [stage for stage in found["descend"] if "source 2" in stage.title]
    assert len(second) == 2 and len({stage.config.seed for stage in found["descend"]}) == 2
    assert len(found["read"]) == 1 + 3 * 2


NAMED = ["generator.model=gpt2", "recursion={generations: 2, regimes: [replace]}"]
ENTRY = "train={method: full, model: gpt2, head: causal, lr: 3.0e-4, optim: {steps: 5}, max_length: 48}"


def test_a_named_writer_learns_at_the_rate_that_its_entry_gives_and_every_field_of_it_is_identity():
    (first, _) = stages(*NAMED, ENTRY, "evaluate.metrics=[accuracy]")["descend"]
    assert first.config.tuned.optim.lr == 3e-4 and first.config.pretrain is None
    for change in ("train.0.lr=0.01", "train.0.optim.steps=6", "train.0.max_length=64", "train.0.packing=best_fit"):
        (other, _) = stages(*NAMED, ENTRY, "evaluate.metrics=[accuracy]", change)["descend"]
        assert other.fingerprint != first.fingerprint


@pytest.mark.parametrize(("change", "words"), [
    ("train.0.optim={epochs: 3}", "has to train for the same steps"),
    ("train.0.revision=abc", "same model and revision"),
    ("train.0.lr=[0.1, 0.2]", "several rates"),
    ("train.0.validation={every_steps: 2}", "a validation"),
    ("train.0.method=lora", "lora.merge"),
])
def test_a_named_writer_whose_entry_does_not_say_how_it_learns_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        stages(*NAMED, ENTRY, "evaluate.metrics=[accuracy]", "data.validation_share=0.2", change)


def test_what_is_read_of_a_named_generator_depends_on_the_code_of_a_recipe_of_ones_own(tmp_path):
    file = tmp_path / "own.py"
    words = ("from divscale.generation.requests import request_table\n\ndef build_requests(this, sources, *, task, seed, prompt):\n"
             "    return request_table([])\n\ndef taught(samples, task, prompts):\n    return [({!r}, 'text')]\n")
    prints = set()
    for said in ("a", "b"):
        file.write_text(words.format(said))
        found = stages(*NAMED, ENTRY, "evaluate.metrics=[accuracy]", f"recipe={{kind: file, path: {file}, level: [1], samples: 4}}")
        prints.add(next(stage for stage in found["read"] if "model" not in stage.inputs).fingerprint)
    assert len(prints) == 2


def test_a_level_is_a_line_of_its_own():
    found = stages("recipe.temperature=[0.5,1.0]")
    assert len(found["descend"]) == 2 * 3 * 3 and len(found["pretrain"]) == 1


@pytest.mark.parametrize("override", ["recursion.generations=4", "recursion.regimes=[replace]", "recursion.real_share=0.2"])
def test_every_field_of_it_is_identity(override):
    all_of_it = [s.fingerprint for found in stages().values() for s in found]
    assert {s.fingerprint for found in stages(override).values() for s in found} != set(all_of_it)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A store with real rows and their split, and two sets that stand for written ones."""
    study = load_study(SMOKE, LINES)
    store = Store(tmp_path_factory.mktemp("store"))
    found = {stage.name: stage for stage in in_order([expand(study)])}
    for name, run in (("load", load.run), ("split", split.run)):
        run([Job(found[name], store, Silent())], type("Context", (), {"study": study, "events": Silent()})())
    return study, store, found


def test_what_a_descendant_reads_is_what_its_regime_says(world):
    _, store, found = world
    samples = store.open(found["load"]).table("samples")
    prior = split.rows(store.open(found["split"]), "prior")

    def written(stage):
        mark = stage.fingerprint[:6]
        draft = store.draft(stage)
        draft.write_table("samples", samples.slice(0, 40).set_column(
            samples.column_names.index("text"), "text", pa.array([f"{mark} {i}" for i in range(40)])))
        draft.commit()
        return mark

    def reads(regime, *overrides):
        stage = next(s for s in stages(*overrides)["descend"] if s.title.startswith(f"{regime}, generation 3"))
        marks = [written(s) for s in stage.inputs["sets"]]
        texts = descend.read_by(Job(stage, store, Silent()))["text"].to_pylist()
        return len(texts), [sum(text.startswith(mark) for text in texts) for mark in marks]

    assert reads("replace") == (40, [40])
    assert reads("accumulate") == (len(prior) + 120, [40, 40, 40])
    total, drawn = reads("subsample")
    assert total == len(prior) and all(0 < n < 40 for n in drawn)
    total, drawn = reads("replace", "recursion.real_share=0.1")
    assert total == 40 + round(0.1 * len(prior)) and drawn == [40]


@pytest.mark.parametrize(("regime", "override"), [
    ("accumulate", "recursion.generations=3"), ("subsample", "recursion.generations=3"), ("replace", "recursion.real_share=0.5")])
def test_a_descendant_reads_the_real_rows_of_no_label_that_the_first_writer_was_not_taught(world, regime, override):
    _, store, found = world
    samples = store.open(found["load"]).table("samples")
    prior = samples.take(split.rows(store.open(found["split"]), "prior"))
    kept = sorted(set(samples["label"].to_pylist()))[:2]
    taught = sum(label in kept for label in prior["label"].to_pylist())
    stage = next(s for s in stages(override, f"pretrain.generator.labels=[{','.join(kept)}]")["descend"]
                 if s.title.startswith(f"{regime}, generation 1"))
    draft = store.draft(stage.inputs["sets"][0])
    written = samples.slice(0, 40)
    draft.write_table("samples", written.set_column(written.column_names.index("label"), "label", pa.array(["written"] * 40)))
    draft.commit()
    labels = descend.read_by(Job(stage, store, Silent()))["label"].to_pylist()
    assert set(labels) == {*kept, "written"}
    assert len(labels) == {"accumulate": taught + 40, "subsample": taught, "replace": round(0.5 * taught) + 40}[regime]


@pytest.mark.parametrize(("override", "words"), [
    ("recursion.regimes=[]", "regimes"),
    ("recursion.generations=1", "generations"),
    ("recursion={regimes: [accumulate], real_share: 0.1}", "real_share is of the regime replace"),
    ("generator.model=gpt2", "gpt2 learns from what it reads as an entry of train says .* there is none"),
    ("generator={model: gpt2, engine: {engine: openai, base_url: 'http://127.0.0.1:1/v1'}}", "an endpoint serves cannot be taught"),
])
def test_a_recursion_that_cannot_be_is_refused_in_words(override, words):
    with pytest.raises(ConfigError, match=words):
        load_study(SMOKE, [*LINES, override])
