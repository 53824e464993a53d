"""The actor's body around an engine whose pace the test sets: what real engines cannot be told to do."""

from __future__ import annotations

import threading
import time

import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from divscale.errors import HungError
from divscale.generation import actor as module
from divscale.generation.actor import Generator, Unfinished
from divscale.generation.config import EngineConfig
from divscale.generation.engines.protocol import EngineCompletion
from divscale.runtime.pool import Part
from divscale.runtime.resources import Resources
from divscale.runtime.sizes import FleetSize
from divscale.schema import REQUESTS


class Paced:
    """Finishes a request for each permit; without permits its step hangs."""

    context = 96

    def __init__(self, model):
        self.tokenizer, self.held, self.permits, self.submitted = AutoTokenizer.from_pretrained(model), [], threading.Semaphore(0), 0

    def submit(self, request):
        self.held.append(request)
        self.submitted += 1

    def step(self):
        self.permits.acquire()
        request = self.held.pop(0)
        return [EngineCompletion(request.key, request.prompt_ids, "length")]


@pytest.fixture
def paced(tiny_model, monkeypatch):
    engine = Paced(tiny_model)
    monkeypatch.setattr(module, "load_engine", lambda *_: engine)
    monkeypatch.setattr(module, "HAND_OVER_S", 0.3)
    return engine


def generator(model, chat_template=None):
    made = Generator(model, EngineConfig(), Resources(step_timeout_s=600), FleetSize(1, 1, 0), None, chat_template)
    made.load()
    return made


def finished(actor, asked, rows=None):
    """What it hands over until that many rows have come or, without a number, until nothing is left; and its last answer."""
    handed = []
    while True:
        answer = actor.generate(asked)
        handed += (answer.value if isinstance(answer, Part) else answer).to_pylist()
        if not isinstance(answer, Part) or len(handed) == rows:
            return handed, answer
        asked = answer.rest


def table(n):
    return pa.Table.from_pylist(
        [{"request_id": f"r{i}", "prompt": f"label {i}" if i != 2 else "x" * 500, "seed": i, "temperature": 1.0,
          "top_p": 1.0, "min_p": 0.0, "max_tokens": 4} for i in range(n)], schema=REQUESTS)


def test_what_is_finished_is_handed_over_though_the_rest_of_its_batch_is_slow(tiny_model, paced):
    actor = generator(tiny_model)
    paced.permits.release(2)
    handed, first = finished(actor, table(5), rows=3)
    assert isinstance(first, Part)
    assert {row["request_id"]: row["error"] is None for row in handed} == {"r0": True, "r1": True, "r2": False}
    assert first.rest.requests["request_id"].to_pylist() == ["r3", "r4"]
    paced.permits.release(2)
    assert [row["completion"] for row in finished(actor, first.rest)[0]] == ["label 3", "label 4"]
    assert paced.submitted == 4


def test_a_chat_template_comes_as_its_text_for_another_node_has_no_file_of_it(tiny_model, paced):
    paced.permits.release(1)
    done, _ = finished(generator(tiny_model, chat_template="user: {{ messages[0]['content'] }} bot:"), table(1))
    assert [row["completion"] for row in done] == ["user: label 0 bot:"]


def test_another_actor_takes_up_what_was_left_and_nothing_else(tiny_model, paced):
    paced.permits.release(2)
    asked = Unfinished(table(5).slice(3), "a dead actor's ticket")
    assert [row["request_id"] for row in finished(generator(tiny_model), asked)[0]] == ["r3", "r4"]
    assert paced.submitted == 2


def test_a_step_that_hangs_is_an_error_that_says_so(tiny_model, paced):
    actor = generator(tiny_model)
    first = actor.generate(table(2))
    assert isinstance(first, Part)
    while paced.submitted < 2:      # until then it would be said of fewer requests
        time.sleep(0.01)
    actor._step_timeout_s = 1
    with pytest.raises(HungError, match=r"no progress for \d+ s: one step of it hangs, with 2 requests in it.*step_timeout_s \(1\)"):
        finished(actor, first.rest)


def test_an_engine_that_fails_is_heard_of_by_everyone_who_waits(tiny_model, paced, monkeypatch):
    actor = generator(tiny_model)
    monkeypatch.setattr(paced, "step", lambda: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            finished(actor, table(2))
