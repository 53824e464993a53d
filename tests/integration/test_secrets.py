"""A study with planted secrets, run whole against an endpoint that repeats them: none is found in anything it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine

PLANTED = {"OPENAI_API_KEY": "sk-planted-0Aa1Bb2Cc3", "HF_TOKEN": "hf_planted4Dd5Ee6Ff", "WANDB_API_KEY": "planted7a8b9c0d1e2f", "MLFLOW_TRACKING_PASSWORD": "planted-pass-3141",
           "AWS_SECRET_ACCESS_KEY": "planted/secret+key/27", "AWS_ACCESS_KEY_ID": "AKIAPLANTED16180", "RAY_AUTH_TOKEN": "a1" * 32, "MLFLOW_TRACKING_URI": "https://ann:planted-uri-word@127.0.0.1:9"}
WORDS = [*(value for name, value in PLANTED.items() if name != "MLFLOW_TRACKING_URI"), "planted-uri-word"]
TALK = " ".join(WORDS)


class Endpoint(ThreadingHTTPServer):
    """Answers; every seventh request it refuses with words that hold the secrets. After `dies_after` it refuses all."""

    def __init__(self, dies_after: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.dies_after = 0, dies_after
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self._reply(200, {"object": "list", "data": []})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += 1
        if self.server.dies_after is not None and self.server.asked > self.server.dies_after:
            self._reply(401, {"error": {"message": f"Incorrect API key provided: {TALK}"}})
        elif self.server.asked % 7 == 0:
            self._reply(400, {"error": {"message": f"upstream https://ann:planted-uri-word@host said {TALK}"}})
        else:
            text = f" row {request['seed']} is about a {('cat', 'dog')['dog' in request['prompt']]} number {self.server.asked}"
            self._reply(200, {"id": "1", "object": "text_completion", "created": 1, "model": "m", "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]})

    def log_message(self, *_) -> None: ...

    def _reply(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def run(folder: Path, endpoint: Endpoint, verb: str = "run", *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "rows.jsonl").write_text("".join(
        json.dumps({"id": str(i), "text": f"row {i} is about a {('cat', 'dog')[i % 2]} number {i * i}", "label": ("cat", "dog")[i % 2]}) + "\n" for i in range(80)))
    (folder / "study.yaml").write_text(
        "name: planted\ndata: {source: rows.jsonl, labelled: [4]}\ngenerator: {model: m, engine: {engine: openai, api: completions, base_url: "
        f"'http://127.0.0.1:{endpoint.server_port}/v1'}}}}\nrecipe: {{kind: decoding, temperature: [0.5, 1.0], samples: 6, attempts: 1, max_failed_share: 0.5}}\n"
        "mix: [{design: add_on, generated: [3], shortfall: allow}]\ntrain: [{method: probe}]\nmeasure: {n: 6}\nseeds: {data: 2}\n")
    return subprocess.run([sys.executable, "-m", "divscale", verb, "study.yaml", "--store", "store", *more], cwd=folder, capture_output=True, text=True,
                          timeout=1500, env={**os.environ, **PLANTED, "TMPDIR": str(folder / "tmp"), "RAY_worker_niceness": "0"})


def found(folder: Path) -> list[tuple[str, str]]:
    """(file, secret) of every file below a folder that holds one; Parquet files as they are and unpacked."""
    import pyarrow.parquet as pq

    hits = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += json.dumps(pq.read_table(path).to_pylist(), default=str, ensure_ascii=False).encode()
            hits += [(str(path.relative_to(folder)), word) for word in WORDS if word.encode() in content]
    return hits


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, below which the run has its temporary files too: Ray's sockets bear no long one."""
    with tempfile.TemporaryDirectory(prefix="s", dir="/tmp", ignore_cleanup_errors=True) as name:
        (Path(name) / "tmp").mkdir()
        yield Path(name)


def test_a_whole_study_whose_endpoint_repeats_every_secret_leaves_none_of_them(folder):
    with Endpoint() as endpoint:
        done = run(folder, endpoint)
        endpoint.shutdown()
    assert done.returncode == 0, done.stderr
    assert (folder / "store" / "reports" / "planted.html").exists() and list((folder / "store" / "logs").iterdir())
    rejected = [path for path in folder.rglob("rejected*.parquet")]
    assert rejected and any(b"***" in path.read_bytes() or "***" in str(read(path)) for path in rejected), "what the endpoint said is kept, masked"
    assert found(folder) == [] and not [word for word in WORDS if word in done.stdout + done.stderr]


def test_a_run_that_ends_in_an_error_full_of_secrets_repeats_none_of_them(folder):
    with Endpoint(dies_after=5) as endpoint:
        done = run(folder, endpoint)
        endpoint.shutdown()
    assert done.returncode == 3 and "asks for another key" in done.stderr and "***" in done.stderr
    assert found(folder) == [] and not [word for word in WORDS if word in done.stdout + done.stderr]


def read(path: Path) -> list[dict]:
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()
