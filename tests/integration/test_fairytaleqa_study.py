"""configs/fairytaleqa.yaml in miniature: its columns, its paraphrase recipe and its causal fine-tuning, on real engines.

The stories are storyland's, in FairytaleQA's columns, and the generator is a tiny one that is trained on the spot: it
writes about the small world, not about fairy tales, but every row takes the way that FairytaleQA's rows take.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divscale.api import load_study
from divscale.data import storyland

CONFIG = Path(__file__).parents[2] / "configs" / "fairytaleqa.yaml"
ARCHITECTURE = "{hidden_size: 64, layers: 2, heads: 2, vocab_size: 500, max_length: 192, initializer_range: 0.08}"
OPTIM = "{lr: 6.0e-3, schedule: linear, betas: [0.9, 0.98], weight_decay: 0.01, batch_size: 32, steps: 120}"
ENTRY = "{method: full, model: pretrain, head: causal, optim: {lr: 1.0e-3, batch_size: 8, steps: 3}, max_length: 192}"
MINIATURE = [
    "data.prior_share=0.8", "data.labelled=[8]",
    "generator={model: pretrain, engine: {engine: vllm, max_model_len: 192}}",
    f"pretrain={{generator: {{architecture: {ARCHITECTURE}, prompt_weight: 0.1, optim: {OPTIM}}}, "
    f"base: {{architecture: {ARCHITECTURE}, optim: {OPTIM.replace('120', '5')}}}}}",
    "recipe.samples=20", "recipe.replaced_share=[0, 0.4, 0.8]", "recipe.max_tokens=40", "recipe.max_failed_share=0.5",
    "mix={design: add_on, generated: [8]}",
    f"train=[{ENTRY},"
    "{method: lora, model: pretrain, head: causal, packing: best_fit, batching: random, max_length: 192,"
    "optim: {lr: 1.0e-3, batch_size: 8, steps: 3}, lora: {target_modules: [q_proj, v_proj]},"
    "arms: {designs: [add_on], levels: [0.4]}}]",
    "measure={n: 8, subsamples: 2, shift: [mmd]}", "seeds={generation: 1, data: 1, training: 1}"]


def write(path: Path, stories: int, seed: int) -> str:
    """Storyland in FairytaleQA's columns."""
    rows = storyland.load(stories, seed).to_pylist()
    pq.write_table(pa.table({
        "id": [row["id"] for row in rows], "story": [row["group"] for row in rows],
        "sections": ["1" for _ in rows], "context": [row["context"] for row in rows],
        "question": [row["text"] for row in rows], "answers": [row["answers"] for row in rows],
        "element": [row["label"] for row in rows], "explicit": [True for _ in rows]}), path)
    return str(path)


@pytest.mark.engine
@pytest.mark.long
def test_every_level_comes_from_one_base_set_and_one_paraphrase_pool_and_is_trained_and_scored(tmp_path):
    train, test = write(tmp_path / "train.parquet", 120, 0), write(tmp_path / "test.parquet", 5, 1)
    study = load_study(CONFIG, [f"data.source={train}", f"data.test={test}", *MINIATURE])
    results = study.run(tmp_path / "store")

    records = [json.loads(p.read_text()) for p in (tmp_path / "store").glob("*/*/record.json")]
    generated = {r["config"]["round"]: r["rows"] for r in records if r["stage"] == "generate"}
    assert set(generated) == {"base", "paraphrases"}, "two generations serve all levels"
    assert all(rows["asked"] == rows["ok"] + rows["failed"] + rows["filtered"] for rows in generated.values())
    assert generated["base"]["asked"] == 20

    levels = {r["config"]["recipe"]["replaced_share"][0]: set(table(tmp_path, r, "samples")["id"].to_pylist())
              for r in records if r["stage"] == "compose"}
    assert set(levels) == {0.0, 0.4, 0.8}
    assert len({len(ids) for ids in levels.values()}) == 1, "the set keeps its size"
    changed = {level: ids - levels[0.0] for level, ids in levels.items()}
    assert len(changed[0.4]) == round(0.4 * len(levels[0.0])) and len(changed[0.8]) == round(0.8 * len(levels[0.0]))
    assert changed[0.4] < changed[0.8], "a lower level's replacements are part of a higher one's"

    arms = results.arms.to_pylist()
    assert sorted(arm["level"] for arm in arms if arm["level"] is not None) == [0.0, 0.4, 0.4, 0.8]
    adapted = [r for r in records if r["stage"] == "train" and r["config"]["lora"]]
    assert len(adapted) == sum(arm["method"] == "lora" for arm in arms) == 1
    names = {Path(file["path"]).name for file in adapted[0]["files"]["model"]}
    assert {"adapter_model.safetensors", "adapter_config.json"} <= names and "model.safetensors" not in names
    assert adapted[0]["values"]["trained_parameters"] < adapted[0]["values"]["parameters"] / 5
    assert all(0 <= arm["exact_match"] <= 1 and arm["perplexity"] > 1 for arm in arms)
    assert study.plan(tmp_path / "store")[-1].cached
    check_written_answers(tmp_path, [f"data.source={train}", f"data.test={test}"])


def check_written_answers(tmp_path: Path, data: list[str]) -> None:
    """Scores of what the models write come later, and train nothing anew."""
    trained = set((tmp_path / "store" / "train").iterdir())
    arms = load_study(CONFIG, [
        *data, *MINIATURE, f"train={ENTRY}",
        "evaluate={metrics: [exact_match, token_f1, perplexity], engine: transformers, max_tokens: 12}",
    ]).run(tmp_path / "store").arms.to_pylist()
    assert set((tmp_path / "store" / "train").iterdir()) == trained
    assert all(arm["exact_match"] <= arm["token_f1"] <= 1 for arm in arms), "what is right to the token has every word"
    records = [json.loads(path.read_text()) for path in (tmp_path / "store" / "answer").glob("*/record.json")]
    written = [table(tmp_path, record, "answers") for record in records]
    assert len(written) == len(arms) == 4
    assert all(answers["error"].null_count == answers.num_rows for answers in written)


def table(tmp_path: Path, record: dict, role: str) -> pa.Table:
    folder = tmp_path / "store" / record["stage"] / record["fingerprint"]
    return pq.read_table(folder / record["files"][role][0]["path"])
