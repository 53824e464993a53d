"""Generation through an endpoint whose faults are made to order: what is asked again, what is not committed."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from divscale.errors import ConfigError, DataError
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
    """Answers with four words, or refuses; counts what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.refuses, self.asked, self.before_answer = False, 0, lambda: None
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self._reply(200, {"object": "list", "data": []})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        self.server.before_answer()
        if self.server.refuses:
            self._reply(400, {"error": {"message": "the context is too short"}})
        else:
            self._reply(200, {"id": "1", "object": "text_completion", "created": 1, "model": "m", "choices": [
                {"index": 0, "text": " four words of text", "finish_reason": "stop"}]})

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


def generated(endpoint, recipe):
    """What a small study's stages up to generation commit."""
    Path("rows.jsonl").write_text("".join(
        json.dumps({"id": str(i), "text": f"row {i} is about {i * i}", "label": ("cat", "dog")[i % 2]}) + "\n"
        for i in range(60)))
    Path("study.yaml").write_text(
        "name: faults\ndata: {source: rows.jsonl, labelled: [2]}\ngenerator: {model: m, engine: {engine: openai, api: "
        f"completions, base_url: 'http://127.0.0.1:{endpoint.server_port}/v1'}}}}\nrecipe: {{{recipe}, samples: 3}}\n"
        "mix: [{design: add_on, generated: [3], shortfall: allow}]\ntrain: [{method: probe}]\nmeasure: {n: 4}\n")
    study, store = load(Path("study.yaml")), Store(Path("store").resolve())
    stages = [s for s in in_order([expand(study)]) if s.name in ("load", "split", "generate")]
    context = Context(study, store, Tally())
    try:
        execute(stages, store, handlers(context), context.events)
    finally:
        context.close()
    (found,) = [store.open(stage) for stage in stages if stage.name == "generate"]
    return found.record.rows


def test_rows_that_were_refused_are_asked_again_though_every_attempt_was_spent(endpoint):
    endpoint.refuses = True
    with pytest.raises(DataError, match="the context is too short"):
        generated(endpoint, "kind: decoding, attempts: 1")
    endpoint.refuses, endpoint.asked = False, 0
    assert generated(endpoint, "kind: decoding, attempts: 1") == Rows(asked=6, ok=6, samples_out=6)
    assert endpoint.asked == 6


def test_a_recipes_file_that_changes_while_its_requests_are_answered_gives_no_result(endpoint):
    code = ("from divscale.generation.recipes import decoding\n"
            "def build_requests(this, sources, *, task, seed, prompt):\n"
            "    return decoding.build_requests(this, sources, task=task, seed=seed, prompt=prompt)\n")
    Path("mine.py").write_text(code)
    endpoint.before_answer = lambda: Path("mine.py").write_text(code + "# another\n")
    with pytest.raises(ConfigError, match="changed while the study ran"):
        generated(endpoint, "kind: file, path: mine.py")
    assert not list(Path("store/generate").glob("*/record.json"))
    endpoint.asked = 0
    assert generated(endpoint, "kind: file, path: mine.py") == Rows(asked=6, ok=6, samples_out=6)
    assert endpoint.asked == 0, "what was asked alike is on file"
