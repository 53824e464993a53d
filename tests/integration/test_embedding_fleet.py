from __future__ import annotations

import os
import random
import signal

import numpy as np
import pytest

from divscale.embedding.config import EmbedderConfig
from divscale.embedding.fleet import EmbeddingFleet
from divscale.embedding.minilm import minilm_folder
from divscale.errors import HungError, PreflightError
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session

pytestmark = pytest.mark.engine

RESOURCES = Resources(cpus=2, texts_per_batch=16)
TEXTS = [f"Return the {noun} of a {thing}{' if it is there' * (i % 4)}." for i, (noun, thing) in enumerate(
    (noun, thing) for noun in ("path", "size", "owner", "date") for thing in ("file", "socket", "message", "task"))]


@pytest.fixture(scope="module")
def session():
    with Session(RESOURCES) as session:
        yield session


@pytest.fixture(scope="module")
def fleet(session):
    fleet = EmbeddingFleet(session, EmbedderConfig(), RESOURCES)
    fleet.start()
    yield fleet
    fleet.close()


def test_vectors_are_the_encoders_own_in_the_order_of_the_texts(fleet):
    from sentence_transformers import SentenceTransformer

    x_ND = fleet.embed(TEXTS, lambda _: None)
    expected_ND = SentenceTransformer(str(minilm_folder()), device="cpu").encode(TEXTS, normalize_embeddings=True)
    assert x_ND.dtype == np.float32
    np.testing.assert_allclose(x_ND, expected_ND, atol=5e-7)
    np.testing.assert_allclose(np.linalg.norm(x_ND, axis=1), 1, atol=1e-6)


def test_a_vector_does_not_depend_on_the_texts_beside_it(fleet):
    x_ND = fleet.embed(TEXTS, lambda _: None)
    for i in (0, 7, 15):
        np.testing.assert_allclose(fleet.embed([TEXTS[i]], lambda _: None)[0], x_ND[i], atol=5e-7)
        np.testing.assert_allclose(fleet.embed([TEXTS[i], "word " * 200], lambda _: None)[0], x_ND[i], atol=5e-7)


def test_repeated_texts_are_embedded_once_and_come_back_in_every_place(fleet):
    order = [random.Random(0).randrange(len(TEXTS)) for _ in range(500)]
    told = []
    x_ND = fleet.embed([TEXTS[i] for i in order], told.append)
    assert sum(told) == 500
    assert len(told) == 1   # 16 distinct texts are one batch
    np.testing.assert_allclose(x_ND, fleet.embed(TEXTS, told.append)[order], atol=5e-7)


def test_no_texts_give_no_vectors(fleet):
    assert len(fleet.embed([], lambda _: None)) == 0


def test_an_actor_that_is_stopped_ends_the_pass_with_its_stack_in_the_log(session, caplog, monkeypatch):
    import ray

    resources = RESOURCES.model_copy(update={"embedding_actors": 1, "texts_per_batch": 128, "step_timeout_s": 4})
    stopped = EmbeddingFleet(session, EmbedderConfig(), resources)
    stopped.start()
    monkeypatch.setattr("divscale.runtime.stacks.LIMIT_S", 600.0)
    silence_s, stopped._pool._silence_s = stopped._pool._silence_s, 600.0   # what is at work takes the time it takes
    assert len(stopped.embed(TEXTS, lambda _: None)) == len(TEXTS)
    stopped._pool._silence_s = silence_s
    (actor,) = stopped._pool.actors
    pid = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
    try:
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(HungError, match="an actor of the embedding fleet has not replied for 8 s"):
            stopped.embed(TEXTS, lambda _: None)
    finally:
        os.kill(pid, signal.SIGKILL)
        stopped.close()
    assert any(f"worker Encoder (process {pid}): stopped" in record.getMessage() for record in caplog.records)


def test_an_encoder_that_is_not_there_is_a_preflight_error(session):
    with pytest.raises(PreflightError, match="cannot be loaded"):
        EmbeddingFleet(session, EmbedderConfig(model="/no/such/encoder"), RESOURCES).start()
