"""The endpoint fleet against vLLM's own server on loopback, with a small HTTP server in front that fails on purpose."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pytest

from divscale.errors import PreflightError, StageFailedError
from divscale.generation.config import EngineConfig
from divscale.generation.endpoint.fleet import EndpointFleet
from divscale.generation.engines.protocol import EngineRequest, to_engine_requests
from divscale.generation.engines.vllm_engine import VllmEngine
from divscale.generation.structured import answer_schema, read_answer
from divscale.graph.record import Rows
from divscale.graph.runner import execute
from divscale.graph.stage import in_order
from divscale.graph.store import Store
from divscale.rendering.chat import render_chat
from divscale.runtime.resources import Resources
from divscale.schema import REQUESTS
from divscale.stages.context import Context
from divscale.stages.expand import expand
from divscale.stages.handlers import handlers
from divscale.study_file import load
from divscale.view import Tally
from tests.processes import free_port

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "generation"))
from tiny_model import make_tiny_model

pytestmark = pytest.mark.engine

SECRET = "sk-tiny-31415926"
CHAT = "<s>{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}Return"
PROMPTS = ("Return the path", "label:", "story: Ann sat. ask:", "Raised when an operation times out; see")


def table(n: int, **columns) -> pa.Table:
    rows = [{"request_id": f"r{i}", "kind": "sample", "prompt": PROMPTS[i % 4], "seed": i, "max_tokens": 4 + i % 20,
             "temperature": 1.0, "top_p": 1.0, "min_p": 0.0, "ordinal": i, "attempt": 0, **columns} for i in range(n)]
    return pa.Table.from_pylist(rows, schema=REQUESTS)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """The tiny model with a tokenizer that adds BOS itself, as Llama's does, and a chat template."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    folder = make_tiny_model(tmp_path_factory.mktemp("model"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def upstream(model, tmp_path_factory):
    """`vllm serve` (what its command runs; the command itself asks for the package by another name than the CPU's)."""
    port, log = free_port(), tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--served-model-name", "tiny",
               "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager", "--max-model-len", "96",
               "--max-num-seqs", "32", "--block-size", "32", "--api-key", SECRET, "--no-enable-prefix-caching"]
    env = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "VLLM_NO_USAGE_STATS": "1",
           "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("w") as out:
        server = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        until(lambda: answers(port) or server.poll() is not None, 1200)
        assert server.poll() is None, log.read_text()[-3000:]
        yield port
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture
def front(upstream, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    server = Front(upstream)
    yield server
    server.die()


@pytest.fixture(scope="module")
def embedded(model) -> dict[str, dict]:
    """What the embedded engine writes for the greedy rows, by api: in a process of its own, because vLLM looks through
    every module that is imported, and some that other tests bring do not bear that."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(written_by_the_embedded_engine, model).result()


def written_by_the_embedded_engine(model: str) -> dict[str, dict]:
    engine = VllmEngine(model, EngineConfig(), Resources(max_num_seqs=32), 0)
    found: dict[str, dict] = {}
    for api in ("completions", "chat"):
        for row in table(8, temperature=0.0).to_pylist():
            if api == "chat":
                row["prompt"] = render_chat(engine.tokenizer, [{"role": "user", "content": row["prompt"]}])
            request = to_engine_requests([row], [row["request_id"]], engine.tokenizer, engine.context)[0]
            assert isinstance(request, EngineRequest)
            engine.submit(request)
        found[api] = {}
        while engine.busy:
            for out in engine.step():
                text = engine.tokenizer.decode(out.token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
                found[api][out.key] = text, out.finish_reason, len(out.token_ids)
    return found


class Front(ThreadingHTTPServer):
    """Hands requests on to `upstream`, but for those that `fault` has another answer to: a status with headers, or 0
    for a connection that breaks."""

    daemon_threads = True
    request_queue_size = 128    # nobody waits to be let in

    def __init__(self, upstream: int, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), FrontHandler)
        self.upstream = upstream
        self.dead = False
        self.asked: list[tuple[float, dict]] = []
        self.counting = threading.Lock()    # every request has a number of its own
        self.fault: Callable[[int, dict], tuple[int, dict] | None] = lambda _nth, _body: None
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def die(self) -> None:
        if not self.dead:
            self.dead = True
            self.shutdown()
            self.server_close()


class FrontHandler(BaseHTTPRequestHandler):
    server: Front

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        self.hand_on(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.counting:
            self.server.asked.append((time.monotonic(), json.loads(body)))
            nth = len(self.server.asked)
        fault = self.server.fault(nth, json.loads(body))
        if fault is None:
            self.hand_on(body)
        elif fault[0]:
            self.answer(fault[0], fault[1], b'{"error": {"message": "busy on purpose"}}')

    def hand_on(self, body: bytes | None) -> None:
        there = http.client.HTTPConnection("127.0.0.1", self.server.upstream)
        there.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k != "Host"})
        got = there.getresponse()
        content = got.read()
        if not self.server.dead:
            self.answer(got.status, {}, content)

    def answer(self, status: int, headers: dict, content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def make_fleet(url: str, folder: Path, *, model: str = "tiny", api: str = "completions", **resources) -> EndpointFleet:
    config = EngineConfig.model_validate({"engine": "openai", "api": api, "base_url": url})
    fleet = EndpointFleet(model, config, Resources(endpoint_concurrency=8, **resources), folder / "answers.sqlite")
    fleet.start()
    return fleet


def complete(fleet: EndpointFleet, requests: pa.Table) -> dict[str, dict]:
    batches: list[pa.Table] = []
    counts = fleet.generate(requests, batches.append)
    rows = pa.concat_tables(batches).to_pylist()
    assert counts["in"] == requests.num_rows == len(rows)
    assert counts["failed"] == sum(row["error"] is not None for row in rows)
    return {row["request_id"]: row for row in rows}


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_greedy_rows_get_the_text_of_the_embedded_engine(front, embedded, tmp_path, api):
    done = complete(make_fleet(front.url, tmp_path, api=api), table(8, temperature=0.0))
    assert {key: (row["completion"], row["finish_reason"], row["completion_tokens"])
            for key, row in done.items()} == embedded[api]


def test_a_row_is_asked_with_its_own_seed_and_sampling_parameters(front, tmp_path):
    requests = table(12, max_tokens=12)
    done = complete(make_fleet(front.url, tmp_path / "a"), requests)
    assert complete(make_fleet(front.url, tmp_path / "b"), requests) == done
    assert len({row["completion"] for row in done.values()}) == 12
    greedy = complete(make_fleet(front.url, tmp_path), table(4, max_tokens=12, temperature=0.0))
    for narrow in ({"min_p": 1.0}, {"top_p": 1e-9}):
        rows = complete(make_fleet(front.url, tmp_path), table(4, max_tokens=12, temperature=1.5, **narrow))
        assert {key: row["completion"] for key, row in rows.items()} == {
            key: row["completion"] for key, row in greedy.items()}
    sent = [body for _, body in front.asked]
    assert sorted(body["seed"] for body in sent[:12]) == list(range(12))
    assert "min_p" not in sent[0]


def test_a_chat_row_with_a_schema_comes_back_as_json_by_it(front, tmp_path):
    schema = answer_schema("classification", rephrase=False)
    done = complete(make_fleet(front.url, tmp_path, api="chat"), table(60, prompt="a", max_tokens=72, json_schema=schema))
    ended = [json.loads(row["completion"]) for row in done.values() if row["finish_reason"] == "stop"]
    assert len(ended) >= 2
    assert all(list(found) == ["text"] and type(found["text"]) is str for found in ended)
    assert {read_answer(row["completion"], "length", schema) for row in done.values() if row["finish_reason"] == "length"} == {
        "cut off at max_tokens"}


def test_429_5xx_and_broken_connections_are_tried_again_and_retry_after_is_kept(front, tmp_path):
    expected = complete(make_fleet(front.url, tmp_path / "undisturbed"), table(16))
    before = len(front.asked)
    faults = {1: (429, {"Retry-After": "2"}), 2: (503, {}), 3: (500, {}), 5: (0, {}), 7: (429, {})}
    front.fault = lambda nth, body: faults.get(nth - before)
    fleet = make_fleet(front.url, tmp_path)
    assert complete(fleet, table(16)) == expected
    assert len(front.asked) - before == fleet.sent == 16 + len(faults)
    refused, body = front.asked[before]
    assert min(at for at, again in front.asked[before + 1:] if again == body) - refused >= 2


def test_a_row_that_fails_at_every_try_is_a_row_with_its_reason(front, tmp_path):
    front.fault = lambda _, body: (500, {}) if body["seed"] == 3 else None
    done = complete(make_fleet(front.url, tmp_path, endpoint_retries=1), table(8))
    assert done["r3"]["error"] == "no answer after 2 tries (500: busy on purpose)"
    assert done["r3"]["completion"] is None
    assert [row["error"] for key, row in done.items() if key != "r3"] == [None] * 7


def test_a_row_that_takes_too_long_and_one_that_does_not_fit_are_rows_with_their_reasons(front, tmp_path):
    told = threading.Event()

    def slow(_, body):
        if body["seed"] == 2:
            told.wait()
            return (0, {})
        return None

    front.fault = slow
    rows = table(6).to_pylist()
    rows[4]["prompt"] = "x" * 1000
    fleet = make_fleet(front.url, tmp_path, endpoint_retries=0)
    done = complete(fleet, pa.Table.from_pylist(rows[:2] + rows[3:], schema=REQUESTS))
    assert done["r4"]["error"].startswith("the endpoint refuses the request (400: ")
    assert sum(row["error"] is None for row in done.values()) == 4
    # What was answered is on file, so that the time that is too short is one row's alone.
    fleet._resources = fleet._resources.model_copy(update={"endpoint_timeout_s": 1})
    try:
        done = complete(fleet, pa.Table.from_pylist(rows[:4] + rows[5:], schema=REQUESTS))
    finally:
        told.set()
    assert done["r2"]["error"] == "no answer after 1 tries (no answer in time)"
    assert sum(row["error"] is None for row in done.values()) == 4


def test_what_was_answered_is_never_asked_again(front, tmp_path):
    first = make_fleet(front.url, tmp_path)
    done = complete(first, table(20))
    assert (first.sent, first.cached) == (20, 0)
    first.close()
    second = make_fleet(front.url, tmp_path)
    assert complete(second, table(20)) == done
    assert (second.sent, second.cached) == (0, 20)
    complete(second, table(24))
    assert (second.sent, second.cached, len(front.asked)) == (4, 40, 24)
    for other in ({"temperature": 0.9}, {"top_p": 0.9}, {"min_p": 0.1}, {"seed": 7}, {"max_tokens": 9}, {"prompt": "a"}):
        complete(second, table(1, **other))
    assert second.sent == 10


def test_a_server_that_dies_midway_stops_the_run_and_the_next_goes_on(front, tmp_path):
    undisturbed = complete(make_fleet(front.url, tmp_path / "undisturbed"), table(40))
    before = len(front.asked)

    def die_after_20(nth, _):
        if nth - before == 21:
            threading.Thread(target=front.die).start()
        return (0, {}) if nth - before > 20 else None

    front.fault = die_after_20
    fleet, handed = make_fleet(front.url, tmp_path, endpoint_retries=1), []
    with pytest.raises(StageFailedError) as told:
        fleet.generate(table(40), handed.append)
    fleet.close()
    kept = sum(batch.num_rows for batch in handed)
    assert 13 <= kept <= 20
    assert all(error is None for batch in handed for error in batch["error"].to_pylist())
    assert str(told.value).startswith(f"the endpoint {front.url} stopped answering (")
    assert str(told.value).endswith(f" The {kept} answers it gave are kept and will not be asked again. Bring it back and "
                                    "run again to go on.")
    again = Front(front.upstream)
    fleet = make_fleet(again.url, tmp_path)    # another address: no part of what was asked
    assert complete(fleet, table(40)) == undisturbed
    assert (fleet.cached, fleet.sent) == (kept, 40 - kept)
    again.die()


def test_a_wrong_key_is_one_paragraph_and_no_key_is_ever_written_down(front, tmp_path, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    complete(make_fleet(front.url, tmp_path), table(4))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-2718")
    with pytest.raises(PreflightError) as told:
        make_fleet(front.url, tmp_path)
    assert str(told.value) == (
        f"generator: the endpoint {front.url} asks for another key (OPENAI_API_KEY: the one that is set is not accepted; it "
        "said: 401: Unauthorized). Set OPENAI_API_KEY in the environment that divscale is started in.")
    written = caplog.text.encode() + b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sk-" not in written


def test_a_model_that_is_not_served_and_an_address_without_a_server_are_one_paragraph(front, tmp_path):
    with pytest.raises(PreflightError) as told:
        complete(make_fleet(front.url, tmp_path, model="tinny"), table(4))
    assert str(told.value) == (
        f"generator: the endpoint {front.url} has no model 'tinny' under this address (it said: 404: The model `tinny` does "
        "not exist. Valid aliases: tiny). Give generator.model the name it is served under, and generator.engine.base_url the address that ends "
        "before /completions or /chat (usually in /v1).")
    with socket.socket() as taken, pytest.raises(PreflightError) as told:
        taken.bind(("127.0.0.1", 0))    # and nobody listens there
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        make_fleet(nobody, tmp_path)
    assert str(told.value) == (f"generator: the endpoint {nobody} does not answer (All connection attempts failed). Start "
                               "it, or correct generator.engine.base_url.")


def test_a_study_generates_through_the_endpoint_without_ray_and_another_address_redoes_nothing(front, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"id": str(i), "text": f"row {i} is about {i * i}", "label": ("cat", "dog")[i % 2]} for i in range(60)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = (f"name: served\ndata: {{source: rows.jsonl, labelled: [2]}}\ngenerator: {{model: tiny, engine: {{engine: openai, "
            f"api: completions, base_url: '{front.url}'}}}}\nrecipe: {{kind: decoding, samples: 3, max_tokens: 8, "
            "prompts: {sample: p.j2}}\n"
            "mix: [{design: add_on, generated: [3], shortfall: allow}]\ntrain: [{method: probe}]\nmeasure: {n: 4}\n")
    Path("p.j2").write_text("{{ label }}:")
    Path("study.yaml").write_text(text)
    study = load(Path("study.yaml"))
    store, events = Store(tmp_path / "store"), Tally()
    context = Context(study, store, events)
    stages = [stage for stage in in_order([expand(study)]) if stage.name in ("load", "split", "generate")]
    execute(stages, store, handlers(context), events)
    assert not context.session.started
    context.close()
    (generated,) = [store.open(stage) for stage in stages if stage.name == "generate"]
    assert generated.record.rows == Rows(asked=6, ok=6, samples_out=6)
    assert SECRET not in "".join(path.read_text() for path in store.root.glob("*/*/record.json"))
    Path("study.yaml").write_text(text.replace(front.url, "http://elsewhere.example/v1"))
    assert {stage.fingerprint for stage in stages} <= {s.fingerprint for s in in_order([expand(load(Path("study.yaml")))])}


def answers(port: int) -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
    except OSError:
        return False


def until(there: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.2)
