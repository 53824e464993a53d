"""Completions that vLLM holds to a schema, of a model with random weights: what parses, parses by the grammar alone."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from divscale.generation.parsing import parse_completions
from divscale.generation.structured import answer_schema
from divscale.graph.runner import execute
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.schema import REQUESTS
from divscale.stages.context import Context
from divscale.stages.expand import expand
from divscale.stages.handlers import handlers
from divscale.study_file import load
from divscale.view import Tally

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "generation"))
from tiny_model import make_tiny_model

pytestmark = pytest.mark.engine

STUDY = """\
name: held
data: {{source: {folder}/rows.jsonl, labelled: [2]}}
generator: {{model: {folder}/model, chat_template: {folder}/chat.j2, engine: {{max_model_len: 96}}}}
recipe: {{kind: decoding, samples: 60, max_tokens: 80, attempts: 1, max_failed_share: 1.0, structured: true,
  prompts: {{sample: {folder}/prompt.j2}}}}
mix: [{{design: add_on, generated: [3], shortfall: allow}}]
train: [{{method: probe}}]
measure: {{n: 4}}
resources: {{cpus: 2, generation_actors: 1, max_num_seqs: 32, requests_per_batch: 16}}
"""
CUT_OFF = "cut off at max_tokens"


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A study's generation, and its context: the fleet is warm."""
    folder = tmp_path_factory.mktemp("study")
    rows = [{"id": str(i), "text": f"row {i} is about {i * i}", "label": ("cat", "dog")[i % 2]} for i in range(60)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "prompt.j2").write_text("{{ label }}:")
    (folder / "chat.j2").write_text("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    make_tiny_model(folder / "model")
    (folder / "study.yaml").write_text(STUDY.format(folder=folder))
    study = load(folder / "study.yaml")
    store, events = Store(folder / "store"), Tally()
    context = Context(study, store, events)
    stages = [stage for stage in in_order([expand(study)]) if stage.name in ("load", "split", "generate")]
    try:
        execute(stages, store, handlers(context), events)
        (made,) = [store.open(stage) for stage in stages if stage.name == "generate"]
        yield made, context
    finally:
        context.close()


def complete(context: Context, requests: pa.Table) -> dict[str, dict]:
    generator, batches = context.study.generator, []
    fleet = context.generation(generator.model, generator, generator.engine)
    fleet.generate(requests, batches.append)
    return {row["request_id"]: row for row in pa.concat_tables(batches).to_pylist()}


def requests(n: int, *schemas: str | None) -> pa.Table:
    return pa.Table.from_pylist(
        [{"request_id": f"r{i}", "kind": "sample", "prompt": "Return", "seed": i, "max_tokens": 90, "temperature": 1.0,
          "top_p": 1.0, "min_p": 0.0, "attempt": 0, "json_schema": schemas[i % len(schemas)]} for i in range(n)],
        schema=REQUESTS)


def test_a_study_keeps_what_ended_and_what_was_cut_off_is_a_failed_row_with_its_reason(generated):
    made, _ = generated
    samples, rejected = made.table("samples"), made.table("rejected")
    assert samples.num_rows >= 3 and rejected.num_rows >= 3
    assert (made.record.rows.asked, made.record.rows.ok, made.record.rows.failed) == (120, samples.num_rows, rejected.num_rows)
    assert set(rejected["reason"].to_pylist()) <= {CUT_OFF, "empty text"}
    assert rejected["reason"].to_pylist().count(CUT_OFF) >= 3
    assert set(samples["label"].to_pylist()) <= {"cat", "dog"}


def test_every_completion_that_ended_by_itself_is_json_by_its_schema_beside_free_ones(generated):
    _, context = generated
    schemas = (answer_schema("qa", rephrase=True), answer_schema("text", rephrase=False), None)
    table = requests(240, *schemas)
    done, ended, free = complete(context, table), 0, []
    for row in table.to_pylist():
        completion = done[row["request_id"]]
        if row["json_schema"] is None:
            free.append(completion["completion"])
        elif completion["finish_reason"] == "stop":
            found = json.loads(completion["completion"])
            assert list(found) == json.loads(row["json_schema"])["required"]
            assert all(type(value) is str for value in found.values())
            ended += 1
        else:
            with pytest.raises(ValueError, match=r"line 1 column"):
                json.loads(completion["completion"])
    assert ended >= 5
    assert not any(text.startswith("{") for text in free)
    samples, rejected = parse_completions(table, pa.Table.from_pylist(list(done.values())), "text", rephrase=False)
    assert samples.num_rows + rejected.num_rows == table.num_rows
    assert {row["reason"] for row in rejected.to_pylist()} <= {CUT_OFF, "empty text", "empty question", "empty completion"}


def test_tokens_under_a_schema_do_not_depend_on_order_or_company(generated):
    _, context = generated
    table = requests(120, answer_schema("qa", rephrase=False), None, answer_schema("text", rephrase=False))
    done = complete(context, table)
    assert complete(context, table.take(pa.array(random.Random(0).sample(range(120), 120)))) == done
    assert complete(context, table.slice(40, 3)) == {f"r{i}": done[f"r{i}"] for i in (40, 41, 42)}
