"""What `preview` shows and `plan` estimates: prompts, a parsed row, tokens and the label mask, without an engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divscale.cli import main
from divscale.data import storyland
from divscale.errors import ConfigError
from divscale.graph.record import Rows
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.preview import preview
from divscale.stages.expand import expand
from divscale.stages.generation_cost import Requests, duration
from divscale.stages.planned_requests import planned_rounds, visible_rows
from divscale.stages.planned_work import PlannedWork
from divscale.study_file import load

ROOT = Path(__file__).parents[3]
SMOKE = ROOT / "tests" / "studies" / "smoke.yaml"
STORYLAND = ROOT / "configs" / "storyland.yaml"
STORIES = [{"beginning": f"Anna met Otto on day {i}.", "ending": f"They spoke of {subject}."}
           for i, subject in enumerate(["mountains", "gardening", "telescopes", "submarines", "medicine"] * 12)]


@pytest.fixture
def stories(tmp_path):
    path = tmp_path / "stories.parquet"
    pq.write_table(pa.Table.from_pylist(STORIES), path)
    return str(path)


@pytest.fixture
def fairytaleqa(tmp_path):
    """Storyland's stories in FairytaleQA's columns."""
    for part, seed in (("train", 0), ("test", 1)):
        rows = storyland.load(400, seed).to_pylist()
        pq.write_table(pa.table({
            "id": [row["id"] for row in rows], "story": [row["group"] for row in rows],
            "context": [row["context"] for row in rows], "question": [row["text"] for row in rows],
            "answers": [row["answers"] for row in rows], "element": [row["label"] for row in rows]}), tmp_path / f"{part}.parquet")
    return [f"data.{name}={tmp_path / part}.parquet" for name, part in (("source", "train"), ("test", "test"))]


def test_prompts_of_every_level_that_differ_are_shown_with_their_label_and_a_real_row_is_read_back():
    found = preview(load(SMOKE), 2)
    (shown,) = found["rounds"]  # temperature changes no prompt
    assert (shown["round"], shown["levels"], shown["requests"]) == ("samples", (0.3, 1.2), 2 * 12 * 4 * 2)
    assert [prompt["label"] for prompt in shown["prompts"]] == ["asyncio", "mailbox"]
    assert [prompt["prompt"] for prompt in shown["prompts"]] == ["asyncio:", "mailbox:"]
    assert shown["parsed"]["sample"] == {"text": shown["parsed"]["completion"], "label": "asyncio"}


def test_a_generator_that_is_trained_on_the_spot_has_its_words_counted_and_it_is_said_why():
    found = preview(load(SMOKE), 1)
    assert found["unit"] == "words" and "no tokenizer before" in found["why_words"]
    assert found["rounds"][0]["prompts"][0]["count"] == 1


def test_both_rounds_of_the_paraphrase_recipe_are_shown_and_a_pair_is_given_and_written(capsys):
    assert main(["preview", str(STORYLAND), "-n", "1"]) == 0
    said = capsys.readouterr().out
    assert "round base, template sample" in said and "round paraphrases, template paraphrase" in said
    assert "    | story: " in said and "    | paraphrase: " in said
    assert "given, without loss\n    | context: " in said and "no tokens to show" in said


def test_a_model_on_this_machine_shows_its_rendered_prompt_its_tokens_and_the_label_mask(tmp_path, tiny_model, stories):
    study = load(ROOT / "configs" / "studies" / "gpu" / "topics.yaml", [
        f"data.source={stories}", f"generator.model={tiny_model}", "data.labelled=[4]", "recipe.topics=1",
        f"train=[{{model: {tiny_model}, head: causal, max_length: 64}}]", "mix=[]"])
    found = preview(study, 2)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert found["unit"] == "tokens" and [shown["levels"] for shown in found["rounds"]] == [(1.0,)]
    prompt = found["rounds"][0]["prompts"][0]
    assert "Anna met Otto" in prompt["prompt"]
    assert prompt["count"] == 1 + len(tokenizer(prompt["prompt"], add_special_tokens=False)["input_ids"])  # and BOS
    (pair,) = found["training"]
    targets = [token for token, target in zip(pair["tokens"], pair["targets"], strict=True) if target]
    assert tokenizer.convert_tokens_to_string(targets[:-1]) == pair["completion"] and targets[-1] == "</s>"
    assert pair["targets"] == sorted(pair["targets"])  # nothing of the prompt, all of the completion


def test_a_chat_template_of_the_study_is_what_the_prompt_is_rendered_by(tmp_path, tiny_model, stories):
    template = tmp_path / "turns.jinja"
    template.write_text("{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}<assistant>")
    found = preview(load(ROOT / "configs" / "studies" / "gpu" / "topics.yaml", [
        f"data.source={stories}", f"generator.model={tiny_model}", f"generator.chat_template={template}",
        "data.labelled=[4]", "recipe.topics=[1, 4]", "mix=[]", "train=[]"]), 4)
    assert [shown["levels"] for shown in found["rounds"]] == [(1.0,), (4.0,)]  # the topic stands in these prompts
    assert found["rounds"][0]["prompts"][0]["prompt"].startswith("<user>Continue this text")
    assert found["rounds"][0]["prompts"][0]["prompt"].endswith("</user><assistant>")


def test_passages_and_questions_are_previewed_where_the_model_is_not_on_this_machine(fairytaleqa):
    found = preview(load(ROOT / "configs" / "fairytaleqa.yaml", fairytaleqa), 1)
    assert "Qwen/Qwen2.5-7B-Instruct is not on this machine" in found["why_words"]
    base, paraphrases = found["rounds"]
    assert base["requests"] == 1000 and "Passage:\n" in base["prompts"][0]["prompt"]
    assert set(base["parsed"]["sample"]) == {"text", "answers"}
    assert "question: " in paraphrases["prompts"][0]["prompt"]


def test_a_preview_loads_neither_ray_nor_torch_nor_an_engine_and_its_json_is_whole():
    code = ("import sys; from divscale.cli import main; main(['preview', sys.argv[1], '--json']); "
            "print([m for m in ('ray', 'torch', 'vllm') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code, str(SMOKE)], capture_output=True, text=True, check=True)
    printed, heavy = done.stdout.strip().splitlines()
    assert heavy == "[]"
    assert json.loads(printed)["rounds"][0]["prompts"][0]["prompt"] == "asyncio:"


def test_no_prompts_at_all_cannot_be_asked_for():
    with pytest.raises(ConfigError, match="-n: 0 prompts"):
        preview(load(SMOKE), 0)


def test_requests_of_many_samples_follow_in_proportion_from_those_of_few():
    study = load(SMOKE, ["recipe.samples=40"])
    few, all_ = ([planned.total for planned in planned_rounds(study, visible_rows(study), most)] for most in (10, 1000))
    assert few == all_ == [12 * 40 * 2] * 2


def test_an_estimate_without_records_says_that_no_rate_is_known_and_one_with_records_takes_their_sums(tmp_path):
    study, store = load(SMOKE), Store(tmp_path / "store")
    stages = [stage for stage in in_order([expand(study)]) if stage.name == "generate"]
    requests = Requests(study)
    cost = requests.cost(stages, store)
    assert cost is not None and (cost.requests, cost.max_tokens, cost.seconds) == (192, 192 * 24, None)
    assert cost.prompt == 192 and cost.in_words().endswith("no rate measured yet")

    for stage, seconds in zip(stages, (8.0, 0.0), strict=True):  # the first of a pass carries its time
        store.draft(stage).commit(rows=Rows(asked=96, ok=96), values={"tokens": 960}, seconds=seconds)
    known = requests.cost(stages, Store(tmp_path / "store"))
    assert known is not None and (known.tokens, known.rate, known.seconds) == (1920, 240.0, 8.0)
    assert known.in_words().endswith("about 1,920 expected, 8 s at 240 tokens/s as recorded")


def test_completions_of_several_answers_may_be_as_long_as_their_requests_say(tmp_path):
    study = load(SMOKE, ["generator={model: some/model-1B, engine: {engine: vllm}}",
                         "recipe={kind: verbalized, samples: 8, max_tokens: 64, answers: [1, 5]}"])
    stages, store = [stage for stage in in_order([expand(study)]) if stage.name == "generate"], Store(tmp_path / "store")
    requests = Requests(study)
    cost, work = requests.cost(stages, store), PlannedWork(study, requests, store)
    one, five = 12 * 10 * (64 + 16), 12 * 2 * 5 * (64 + 16)  # 8 samples a label and a quarter to spare
    assert [work.written_tokens(stage) for stage in stages] == [one, five]
    assert cost is not None and cost.max_tokens == one + five


def test_durations_are_in_the_unit_that_reads_best():
    assert [duration(s) for s in (8.2, 119, 150, 7200)] == ["8 s", "119 s", "2.5 min", "2.0 h"]


def test_a_plan_names_rows_and_what_generation_takes(tmp_path, capsys):
    assert main(["plan", str(SMOKE), "--store", str(tmp_path / "store")]) == 0
    lines = capsys.readouterr().out.splitlines()
    (generate,) = [line for line in lines if line.startswith("generate ")]
    assert "2 to run, 192 rows" in generate
    assert "generation: 192 requests, about 192 prompt words, at most 4,608 completion tokens; no rate measured yet" in lines


def test_a_plan_of_data_that_a_run_would_refuse_says_so_and_is_printed_all_the_same(tmp_path, capsys):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"text": f"text {i}", "label": ""}) + "\n" for i in range(9)))
    assert main(["plan", str(SMOKE), f"data.source={data}", "--store", str(tmp_path / "store")]) == 0
    said = capsys.readouterr().out
    assert "report " in said and "no estimate, for the study would stop: data.source" in said and "missing label" in said
