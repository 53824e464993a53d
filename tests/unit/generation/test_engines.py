from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch

from divscale.errors import PreflightError
from divscale.generation.config import EngineConfig
from divscale.generation.engines.model_folder import model_facts
from divscale.generation.engines.protocol import EngineRequest, to_engine_requests
from divscale.generation.engines.transformers_engine import TransformersEngine, sample
from divscale.generation.engines.vllm_engine import check_build
from divscale.runtime.resources import Resources

ROW = {"prompt": "Return the", "seed": 1, "temperature": 1.0, "top_p": 1.0, "min_p": 0.0, "max_tokens": 12,
       "json_schema": None}


@pytest.fixture(scope="module")
def engine(tiny_model):
    return TransformersEngine(tiny_model, EngineConfig(engine="transformers"), Resources(max_num_seqs=32), 0)


def run(engine, rows):
    for key, row in rows:
        request = to_engine_requests([{**ROW, **row}], [key], engine.tokenizer, engine.context)[0]
        assert isinstance(request, EngineRequest)
        engine.submit(request)
    done = {}
    while engine.busy:
        done |= {out.key: (list(out.token_ids), out.finish_reason) for out in engine.step()}
    return done


def test_every_request_comes_back_whatever_the_order_and_seeds_make_the_difference(engine):
    rows = [(str(i), {"seed": i, "prompt": "Return the path of"[: 6 + i % 12]}) for i in range(20)]
    done = run(engine, rows)
    assert done == run(engine, rows[::-1])
    assert len({tuple(ids) for ids, _ in done.values()}) == 20


def test_temperature_zero_is_greedy_and_asks_no_seed(engine):
    done = run(engine, [("a", {"temperature": 0.0, "seed": 1}), ("b", {"temperature": 0.0, "seed": 2})])
    assert done["a"] == done["b"]


def test_a_completion_ends_at_eos_or_at_its_limit(engine):
    done = run(engine, [(str(i), {"seed": i, "temperature": 3.0, "max_tokens": 40}) for i in range(96)])
    for ids, reason in done.values():
        assert reason == ("stop" if ids[-1] == engine.tokenizer.eos_token_id else "length")
        assert engine.tokenizer.eos_token_id not in ids[:-1]
        assert len(ids) == 40 or reason == "stop"
    assert {reason for _, reason in done.values()} == {"stop", "length"}


def test_the_context_bounds_what_is_written_and_a_prompt_that_fills_it_is_refused(engine):
    assert engine.context == 96
    request = to_engine_requests([{**ROW, "prompt": "x" * 90, "max_tokens": 50}], ["a"], engine.tokenizer, engine.context)[0]
    assert isinstance(request, EngineRequest)
    assert len(request.prompt_ids) + request.max_tokens == 96
    refused = to_engine_requests([{**ROW, "prompt": "x" * 96}], ["a"], engine.tokenizer, engine.context)[0]
    assert refused == "the prompt takes 97 tokens, and the model's context of 96 leaves no room to write"


@pytest.mark.parametrize(("row", "kept"), [
    ({"top_p": 0.75}, {0, 1}), ({"top_p": 0.45}, {0}), ({"min_p": 0.35}, {0, 1}), ({"min_p": 1.0}, {0}),
    ({}, {0, 1, 2, 3}),
])
def test_sampling_draws_from_what_top_p_and_min_p_leave_in_proportion(row, kept):
    p_V = torch.tensor([0.5, 0.3, 0.15, 0.05])
    request = EngineRequest("a", [0], 0, 1.0, row.get("top_p", 1.0), row.get("min_p", 0.0), 1)
    stream = torch.Generator().manual_seed(0)
    drawn = Counter(sample(p_V.log(), request, stream) for _ in range(4000))
    assert set(drawn) == kept
    mass = sum(float(p_V[i]) for i in kept)
    for token, count in drawn.items():
        assert count / 4000 == pytest.approx(float(p_V[token]) / mass, abs=0.03)


@pytest.mark.parametrize(("on_cpu", "gpus", "message"), [(True, 1, "is its CPU build"), (False, 0, "is its GPU build")])
def test_a_vllm_for_other_devices_is_refused(on_cpu, gpus, message):
    with pytest.raises(PreflightError, match=message):
        check_build(on_cpu=on_cpu, gpus=gpus)
    check_build(on_cpu=not on_cpu, gpus=gpus)


def test_facts_of_a_model_folder(tiny_model):
    facts = model_facts(tiny_model, EngineConfig(max_model_len=64))
    assert (facts.context, facts.stop_ids, facts.kv_bytes) == (64, (1,), 2 * 3 * 128 * 4)


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda f: shutil.rmtree(f), "is not a model folder"),
    (lambda f: (f / "config.json").write_text("{"), "is not a model folder"),
    (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "are refused; convert them"),
    (lambda f: (f / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "evil.M"}})), "code of its own"),
])
def test_folders_without_a_model_with_pickles_or_with_code_are_refused(tiny_model, tmp_path, spoil, message):
    folder = tmp_path / "model"
    shutil.copytree(Path(tiny_model), folder)
    spoil(folder)
    with pytest.raises(PreflightError, match=message):
        model_facts(str(folder), EngineConfig())
