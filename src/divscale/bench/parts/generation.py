"""Tokens that a warm generation fleet writes, from the call to the last completion, with Arrow and row accounting."""

from __future__ import annotations

import importlib.util
import time
from typing import Literal

import pyarrow as pa

from divscale.bench.formulas import Least, decode_bytes, decode_steps, forward_flop
from divscale.bench.models import made, texts
from divscale.bench.setting import Measured, Setting
from divscale.errors import StageFailedError
from divscale.generation.config import EngineConfig
from divscale.generation.engines.model_folder import BYTES
from divscale.generation.engines.transformers_engine import BATCH_ROWS
from divscale.generation.fleet import GenerationFleet
from divscale.schema import REQUESTS


def engine() -> Literal["vllm", "transformers"]:
    """vLLM where it is installed."""
    return "vllm" if importlib.util.find_spec("vllm") else "transformers"


def measure(at: Setting) -> list[Measured]:
    """Output tokens/s, each counted once, as written."""
    shape, dtype, folder = at.size.generator, at.devices.dtype, at.folder / "generator"
    parameters = made(at, folder, shape)
    table = requests(at.times * at.size.requests, at.size.max_tokens)
    config = EngineConfig(engine=engine(), dtype=dtype, max_model_len=shape.context)
    fleet = GenerationFleet(at.session, str(folder), config, at.resources)
    begun, seconds, written, read = time.perf_counter(), [], [], 0
    try:
        fleet.start()
        start_s = time.perf_counter() - begun
        for _ in range(1 + at.size.repeats):
            done: list[pa.Table] = []
            begun = time.perf_counter()
            counts = fleet.generate(table, done.append)
            seconds.append(time.perf_counter() - begun)
            if counts["failed"]:
                raise StageFailedError(f"bench generation: the engine refused {counts['failed']} of {counts['in']} "
                                       "requests, so its speed is not that of the rest. Please report it.")
            rows = pa.concat_tables(done)
            written.append(rows["completion_tokens"].to_pylist())
            read = sum(rows["prompt_tokens"].to_pylist())
    finally:
        fleet.close()
    most = at.resources.max_num_seqs
    steps = decode_steps(written[-1], at.count * (most if engine() == "vllm" else min(BATCH_ROWS, most)))
    least = Least(decode_bytes(steps, parameters, BYTES[dtype], at.count),
                  forward_flop(parameters, read + sum(written[-1])), dtype)
    return [Measured(f"written by {engine()}", "tokens/s", tuple(float(sum(of)) for of in written[1:]),
                     tuple(seconds[1:]), start_s, least)]


def requests(count: int, max_tokens: range) -> pa.Table:
    """REQUESTS of mixed lengths at temperature 1, each with a seed of its own."""
    prompts = texts(count)
    return pa.Table.from_pylist(
        [{"request_id": f"r{i}", "kind": "sample", "prompt": prompts[i], "seed": i, "top_p": 1.0, "min_p": 0.0,
          "temperature": 1.0, "max_tokens": max_tokens[i * 13 % len(max_tokens)], "ordinal": i, "attempt": 0}
         for i in range(count)], schema=REQUESTS)
