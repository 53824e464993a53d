"""Generation through an endpoint whose faults are made to order: what is asked again, what is not committed."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from divscale.errors import ConfigError, DataError, StageFailedError
from divscale.graph.record import Rows
from divscale.graph.runner import execute
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.stages.context import Context
from divscale.stages.expand import expand
from divscale.stages.handlers import handlers
from divscale.study_file import load
from divscale.view import Tally


class Endpoint(ThreadingHTTPServer):
    """Answers with four words or none, or refuses, by the prompt; counts what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.refuses = self.says_nothing_to = lambda _: False
        self.asked, self.before_answer = 0, lambda: None
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self._reply(200, {"object": "list", "data": []})

    def do_POST(self) -> None:
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
        self.server.asked += 1
        self.server.before_answer()
        if self.server.refuses(prompt):
            self._reply(400, {"error": {"message": "the context is too short"}})
        else:
            self._reply(200, {"id": "1", "object": "text_completion", "created": 1, "model": "m", "choices": [
                {"index": 0, "text": "" if self.server.says_nothing_to(prompt) else " four words of text",
                 "finish_reason": "stop"}]})

    def log_message(self, *_) -> None: ...

    def _reply(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def endpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Endpoint() as server:
        yield server
        server.shutdown()


def generated(endpoint, recipe, *overrides):
    """Rows and values of the generated sets that a small study commits, by title."""
    Path("rows.jsonl").write_text("".join(
        json.dumps({"id": str(i), "text": f"row {i} is about {i * i}", "label": ("cat", "dog")[i % 2]}) + "\n"
        for i in range(60)))
    Path("study.yaml").write_text(
        "name: faults\ndata: {source: rows.jsonl, labelled: [2]}\ngenerator: {model: m, engine: {engine: openai, api: "
        f"completions, base_url: 'http://127.0.0.1:{endpoint.server_port}/v1'}}}}\nrecipe: {{{recipe}}}\n"
        "mix: [{design: add_on, generated: [3], shortfall: allow}]\ntrain: [{method: probe}]\nmeasure: {n: 4}\n")
    study = load(Path("study.yaml"), overrides)
    stages = [s for s in in_order([expand(study)]) if s.name in ("load", "split", "generate", "compose")]
    context = Context(study, Store(Path("store").resolve()), Tally())
    try:
        execute(stages, context.store, handlers(context), context.events)
    finally:
        context.close()
    return committed()


def committed():
    """Title -> record of every generated set in the store."""
    records = [json.loads(path.read_text()) for path in Path("store/generate").glob("*/record.json")]
    return {record["title"]: record for record in records}


def test_rows_that_were_refused_are_asked_again_though_every_attempt_was_spent(endpoint):
    endpoint.refuses = lambda _: True
    with pytest.raises(DataError, match="the context is too short"):
        generated(endpoint, "kind: decoding, attempts: 1, samples: 3")
    endpoint.refuses, endpoint.asked = lambda _: False, 0
    (record,) = generated(endpoint, "kind: decoding, attempts: 1, samples: 3").values()
    assert Rows(**record["rows"]) == Rows(asked=6, ok=6, samples_out=6)
    assert endpoint.asked == 6


def test_a_recipes_file_that_changes_while_its_requests_are_answered_gives_no_result(endpoint):
    code = ("from divscale.generation.recipes import decoding\n"
            "def build_requests(this, sources, *, task, seed, prompt):\n"
            "    return decoding.build_requests(this, sources, task=task, seed=seed, prompt=prompt)\n")
    Path("mine.py").write_text(code)
    endpoint.before_answer = lambda: Path("mine.py").write_text(code + "# another\n")
    with pytest.raises(ConfigError, match="changed while the study ran"):
        generated(endpoint, "kind: file, path: mine.py, samples: 3")
    assert not list(Path("store/generate").glob("*/record.json"))
    endpoint.asked = 0
    (record,) = generated(endpoint, "kind: file, path: mine.py, samples: 3").values()
    assert Rows(**record["rows"]) == Rows(asked=6, ok=6, samples_out=6)
    assert endpoint.asked == 0, "what was asked alike is on file"


def about_dogs(prompt):
    return "category: dog" in prompt


def test_a_label_without_a_sample_is_an_error_that_names_it_and_a_set_without_it_is_not_committed(endpoint):
    endpoint.says_nothing_to = about_dogs
    recipe = "kind: decoding, attempts: 2, samples: 4, max_failed_share: 0.6"
    with pytest.raises(DataError, match=r"4 of 8 .* of the label dog \(0 of 4\) nothing is left") as told:
        generated(endpoint, recipe)
    assert told.value.exit_code == 4
    assert committed() == {}
    endpoint.asked = 0
    (record,) = generated(endpoint, recipe, "recipe.max_failed_share=1.0").values()
    assert (record["rows"]["ok"], record["values"]["labels_short"]) == (4, {"dog": [0, 4]})
    assert endpoint.asked == 0


def test_a_label_that_more_failed_of_than_may_is_recorded_though_the_set_is_good_enough(endpoint):
    silences = iter((True, True, False, False))
    endpoint.says_nothing_to = lambda prompt: about_dogs(prompt) and next(silences)
    (record,) = generated(endpoint, "kind: decoding, attempts: 1, samples: 4, max_failed_share: 0.25").values()
    assert record["rows"] == {"asked": 8, "ok": 6, "failed": 2, "filtered": 0, "samples_out": 6}
    assert record["values"]["labels_short"] == {"dog": [2, 4]}


def test_of_levels_of_which_one_is_refused_the_others_are_committed_and_the_rest_of_it_is_not_asked(endpoint):
    endpoint.refuses = lambda prompt: "MARK" in prompt
    Path("mine.py").write_text(
        "from divscale.generation.recipes import decoding\n"
        "import pyarrow as pa\n"
        "def build_requests(this, sources, *, task, seed, prompt):\n"
        "    found = decoding.build_requests(this, sources, task=task, seed=seed, prompt=prompt)\n"
        "    rows = found.to_pylist()\n"
        "    for row in rows:\n"
        "        row['prompt'] += ' MARK' * (this.recipe.level == (2.0,))\n"
        "    return pa.Table.from_pylist(rows, schema=found.schema)\n")
    recipe = "kind: file, path: mine.py, level: [1.0, 2.0, 3.0], attempts: 1, samples: 100"
    with pytest.raises(DataError, match=r"generate level 2, seed 0: the engine refused \d+ of 200 requests so far") as told:
        generated(endpoint, recipe, "resources.requests_per_batch=8", "resources.endpoint_concurrency=8")
    assert told.value.exit_code == 4
    assert sorted(committed()) == ["level 1, seed 0", "level 3, seed 0"]
    assert 200 < endpoint.asked < 260, "levels 1 and 3 ask alike: 200 questions"


def test_a_level_whose_requests_cannot_be_built_fails_alone(endpoint):
    Path("mine.py").write_text(
        "from divscale.generation.recipes import decoding\n"
        "def build_requests(this, sources, *, task, seed, prompt):\n"
        "    assert this.recipe.level != (2.0,) or len(sources.real) < 10, 'no such level'\n"
        "    return decoding.build_requests(this, sources, task=task, seed=seed, prompt=prompt)\n")
    with pytest.raises(ConfigError, match=r"generate level 2, seed 0: recipe.path: build_requests .* no such level"):
        generated(endpoint, "kind: file, path: mine.py, level: [1.0, 2.0], samples: 3")
    assert list(committed()) == ["level 1, seed 0"]


def test_an_endpoint_that_dies_ends_the_run_and_levels_that_were_answered_are_committed(endpoint):
    def die():
        if endpoint.asked > 8:
            raise ConnectionResetError

    endpoint.before_answer, endpoint.handle_error = die, lambda *_: None
    one_by_one = ("resources.endpoint_concurrency=1", "resources.endpoint_retries=0")
    with pytest.raises(StageFailedError, match="stopped answering"):
        generated(endpoint, "kind: decoding, temperature: [0.5, 1.0], samples: 3", *one_by_one)
    assert list(committed()) == ["temperature 0.5, seed 0"]
    endpoint.before_answer, endpoint.asked = lambda: None, 0
    assert len(generated(endpoint, "kind: decoding, temperature: [0.5, 1.0], samples: 3")) == 2
    assert endpoint.asked == 12 - 8
