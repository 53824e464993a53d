"""Rows that an endpoint refused are asked again by the next run: what was wrong may have been mended there."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from divscale.errors import DataError
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
        self.refuses, self.asked = True, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self._reply(200, {"object": "list", "data": []})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
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


def test_rows_that_were_refused_are_asked_again_though_every_attempt_was_spent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    endpoint, store = Endpoint(), Store(tmp_path / "store")
    Path("rows.jsonl").write_text("".join(
        json.dumps({"id": str(i), "text": f"row {i} is about {i * i}", "label": ("cat", "dog")[i % 2]}) + "\n"
        for i in range(60)))
    Path("study.yaml").write_text(
        "name: refused\ndata: {source: rows.jsonl, labelled: [2]}\ngenerator: {model: m, engine: {engine: openai, api: "
        f"completions, base_url: 'http://127.0.0.1:{endpoint.server_port}/v1'}}}}\n"
        "recipe: {kind: decoding, samples: 3, max_tokens: 8, attempts: 1}\n"
        "mix: [{design: add_on, generated: [3], shortfall: allow}]\ntrain: [{method: probe}]\nmeasure: {n: 4}\n")
    study = load(Path("study.yaml"))
    stages = [s for s in in_order([expand(study)]) if s.name in ("load", "split", "generate")]

    def run():
        context = Context(study, store, Tally())
        try:
            execute(stages, store, handlers(context), context.events)
        finally:
            context.close()

    with pytest.raises(DataError, match="the context is too short"):
        run()
    endpoint.refuses, endpoint.asked = False, 0
    run()
    endpoint.shutdown()
    endpoint.server_close()
    (generated,) = [store.open(stage) for stage in stages if stage.name == "generate"]
    assert generated.record.rows == Rows(asked=6, ok=6, samples_out=6)
    assert endpoint.asked == 6
