"""Tasks of lm-evaluation-harness on exported models: its numbers are those that transformers gives directly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from divscale.errors import ConfigError, StageFailedError
from divscale.evaluation.harness import Question, ask
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.run import make
from divscale.stages.expand import expand
from divscale.study_file import load
from divscale.view import Tally

pytestmark = pytest.mark.engine

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"
CHOICES = ["asyncio", "email", "a sorted list"]
ROWS = [{"q": f"Return value {i} of the", "options": CHOICES[i % 3:] + CHOICES[:i % 3], "gold": i * i % 3} for i in range(8)]
ON_ROWS = """\
dataset_path: json
dataset_kwargs: {data_files: {test: data/rows.jsonl}}
test_split: test
doc_to_text: "{{q}}"
"""
CHOOSE = ON_ROWS + """\
task: choose
output_type: multiple_choice
doc_to_choice: "{{options}}"
doc_to_target: gold
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
WRITE = ON_ROWS + """\
task: write
output_type: generate_until
doc_to_target: "{{options[gold]}}"
generation_kwargs: {until: ["@@"], max_gen_toks: 6, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
FAR = "task: far\ndataset_path: nobody/has-this\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: x\ndoc_to_choice: [a]\ndoc_to_target: 0\n"


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tasks"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for name, text in (("choose", CHOOSE), ("write", WRITE), ("far", FAR)):
        (folder / f"{name}.yaml").write_text(text)
    return folder


def directly(model, tokenizer):
    """Log-likelihoods of every choice, and what greedy decoding writes, one row at a time without any cache."""
    import torch

    likelihoods, written = [], []
    with torch.inference_mode():
        for row in ROWS:
            start = tokenizer(row["q"])["input_ids"]
            of_row = []
            for choice in row["options"]:
                ids = tokenizer(f"{row['q']} {choice}")["input_ids"]
                assert ids[:len(start)] == start
                log_probs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
                of_row.append(sum(log_probs[i - 1, ids[i]].item() for i in range(len(start), len(ids))))
            likelihoods.append(of_row)
            ids = list(start)
            while len(ids) < len(start) + 6 and ids[-1] != tokenizer.eos_token_id:
                ids.append(model(torch.tensor([ids])).logits[0, -1].argmax().item())
            written.append(tokenizer.decode(ids[len(start):], skip_special_tokens=True))
    return likelihoods, written


def test_a_full_arm_and_adapters_get_the_numbers_that_transformers_gives(tmp_path, tasks):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    entry = "model: pretrain, head: causal, optim: {lr: 1.0e-2, batch_size: 16, steps: 4}, max_length: 64, arms: {designs: [real_only]}"
    study = load(SMOKE, [
        f"train=[{{method: full, {entry}}}, {{method: lora, {entry}}}]", "seeds.data=1", "evaluate.metrics=[loss]",
        f"evaluate.harness={{tasks: [choose, write], include_path: {tasks}}}", "resources.keep=all"])
    asked = [stage for stage in in_order([expand(study)]) if stage.name == "harness"]
    store = Store(tmp_path / "store")
    make(asked, study, store, Tally())

    said = []
    for stage in asked:
        folder = store.open(stage.inputs["model"]).tree("model")
        base = store.open(stage.inputs["base"]).tree("model") if "base" in stage.inputs else None
        model = AutoModelForCausalLM.from_pretrained(base or folder).eval()
        if base:
            model = PeftModel.from_pretrained(model, folder).eval()
        likelihoods, written = directly(model, AutoTokenizer.from_pretrained(folder))

        artifact = store.open(stage)
        rows = {(r["task"], r["doc_id"]): r for r in artifact.table("samples").to_pylist()}
        assert len(rows) == artifact.record.rows.ok == 16
        found = [[value for value, _ in json.loads(rows["choose", i]["response"])] for i in range(8)]
        assert found == [pytest.approx(own, abs=2e-4) for own in likelihoods]
        assert [json.loads(rows["write", i]["response"]) for i in range(8)] == [[text] for text in written]

        right = [own.index(max(own)) == row["gold"] for own, row in zip(likelihoods, ROWS, strict=True)]
        assert [json.loads(rows["choose", i]["metrics"])["acc"] for i in range(8)] == right
        scores = artifact.values["scores"]
        assert scores["choose"]["acc"]["value"] == sum(right) / 8 and scores["choose"]["acc"]["stderr"] >= 0
        assert scores["write"]["exact_match"]["value"] == sum(
            text == row["options"][row["gold"]] for text, row in zip(written, ROWS, strict=True)) / 8
        said.append((likelihoods, written))
    assert len(said) == 2 and "base" in asked[1].inputs
    assert said[0][0][0] != pytest.approx(said[1][0][0], abs=1e-2), "the two arms are two models"

    # What is not there ends one model's scores, in words.
    question = Question(model=str(folder), base=str(base), dtype="float32", tasks=("far",), folder=str(tasks),
                        sha256="1", limit=None, batch_size=4)
    failed = ask(question)
    assert isinstance(failed, StageFailedError)
    assert str(failed).startswith("evaluate.harness.tasks: far cannot be loaded here: ConnectionError: Couldn't reach 'nobody/has-this'")
    (tmp_path / "rows.jsonl").write_text((tasks / "data" / "rows.jsonl").read_text())
    (tasks / "out.yaml").write_text(CHOOSE.replace("task: choose", "task: out").replace("data/rows", "../rows"))
    outside = ask(Question(**{**vars(question), "tasks": ("out",), "sha256": "2"}))
    assert isinstance(outside, ConfigError) and "which is outside of" in str(outside)
