"""divscale's engines against bare ones: the same requests, seeds, settings and cores, in rounds that take turns.

Bare is `vllm.LLM.generate` on text in a process of its own, with the very engine arguments that divscale uses (its
engine in the same process, as divscale has it). divscale is
`GenerationFleet.generate` on a REQUESTS table, from the call to the last completion: rendering, tokenisation, Ray,
Arrow and row accounting are in it. Tokens are counted once, as written. Models are made on the spot.

Run: python benchmarks/generation_throughput.py        (some minutes; figures as JSON)
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from random_llama import MILLIONS_50, TINY, random_llama, requests

from divscale.generation.config import EngineConfig
from divscale.runtime.resources import Resources

REQUIREMENTS = {
    "one_engine_share_of_bare_50M": 0.95, "one_engine_share_of_bare_tiny": 0.85, "two_engines_over_one_50M": 1.6,
    "two_engines_over_one_tiny": 1.6}
ROUNDS = 5
CONFIG = EngineConfig(max_model_len=256)
ONE = Resources(cpus=2, generation_actors=1, object_store_gib=0.2)
ONE_CORE = ONE.model_copy(update={"cpus": 1})
TWO_OF_ONE_CORE = ONE.model_copy(update={"generation_actors": 2})
MODELS = {"50M": (MILLIONS_50, 160, range(16, 65)), "tiny": (TINY, 2400, range(8, 33))}


def main() -> int:
    figures: dict[str, Any] = {"requirements": REQUIREMENTS, "rounds": ROUNDS}
    with tempfile.TemporaryDirectory() as folder:
        for name, (architecture, count, max_tokens) in MODELS.items():
            model, millions = random_llama(Path(folder) / name, architecture)
            table = requests(count, max_tokens)
            figures[name] = {"parameters_millions": round(millions, 2), "requests": count,
                             **against_bare(model, table), **against_transformers(model, table)}
            figures[name] |= {"two_engines": two_against_one(model, table)}
    found = {"one_engine_share_of_bare_50M": figures["50M"]["share_of_bare"],
             "one_engine_share_of_bare_tiny": figures["tiny"]["share_of_bare"],
             **{f"two_engines_over_one_{name}": figures[name]["two_engines"]["factor"] for name in MODELS}}
    met = all(found[name] >= least for name, least in REQUIREMENTS.items())
    print(json.dumps({**figures, "found": found, "met": met}, indent=1))
    return 0 if met else 1


def against_bare(model: str, table: pa.Table) -> dict[str, Any]:
    """One engine that may use both cores, and bare vLLM that may do so too."""
    with ExitStack() as stack:
        bare, bare_start_s = stack.enter_context(bare_vllm(model, table))
        ours, our_start_s = stack.enter_context(divscale(model, table, ONE))
        rates, tokens, texts = take_turns({"bare": bare, "divscale": ours})
    medians = {name: statistics.median(of) for name, of in rates.items()}
    seconds = {name: tokens[name] / medians[name] for name in medians}
    return {
        "tokens": tokens, "tokens_per_s": rates, "median_tokens_per_s": medians,
        "share_of_bare": statistics.median(a / b for a, b in zip(rates["divscale"], rates["bare"], strict=True)),
        "same_texts": sum(whole(texts["bare"][key]) == whole(text) for key, text in texts["divscale"].items()) / table.num_rows,
        "start_s": {"bare": bare_start_s, "divscale": our_start_s},
        "share_of_bare_with_start": (seconds["bare"] + bare_start_s) / (seconds["divscale"] + our_start_s)}


def two_against_one(model: str, table: pa.Table) -> dict[str, Any]:
    """Two engines of one core each, and one such engine. They share no session, so they run one after the other."""
    rates: dict[str, list[float]] = {"one": [], "two": []}
    for turn in range(2):
        for name, resources in sorted({"one": ONE_CORE, "two": TWO_OF_ONE_CORE}.items(), reverse=bool(turn % 2)):
            with divscale(model, table, resources) as (run, _):
                rates[name] += [rate_of(run) for _ in range(3)]
    return {"tokens_per_s": rates, "factor": statistics.median(rates["two"]) / statistics.median(rates["one"])}


def against_transformers(model: str, table: pa.Table) -> dict[str, float]:
    """`transformers.generate` in sorted batches of 64, each to its longest request: useful tokens count."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    torch.manual_seed(0)
    rows = sorted(table.slice(0, 320).to_pylist(), key=lambda row: row["max_tokens"])
    begun, tokens = time.perf_counter(), 0
    for start in range(0, len(rows), 64):
        batch = rows[start:start + 64]
        inputs = tokenizer([row["prompt"] for row in batch], return_tensors="pt", padding=True)
        longest = max(row["max_tokens"] for row in batch)
        with torch.inference_mode():
            ids = network.generate(**{key: inputs[key] for key in ("input_ids", "attention_mask")}, do_sample=True,
                                   top_k=0, max_new_tokens=longest)[:, inputs["input_ids"].shape[1]:]
        tokenizer.batch_decode(ids, skip_special_tokens=True)
        for row, written in zip(batch, ids.tolist(), strict=True):
            stop = written.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in written else len(written)
            tokens += min(stop, row["max_tokens"])
    return {"transformers_tokens_per_s": tokens / (time.perf_counter() - begun)}


def whole(text: str) -> str:
    """A text without the replacement characters of cut UTF-8, of which vLLM's step-by-step decoder writes other numbers."""
    return text.replace("\ufffd", "")


Run = Callable[[], tuple[float, int, dict[str, str]]]     # seconds, tokens, id -> text


def take_turns(runs: dict[str, Run]) -> tuple[dict[str, list[float]], dict[str, int], dict[str, dict[str, str]]]:
    """Tokens/s of every round after a warm one, tokens, and texts."""
    rates: dict[str, list[float]] = {name: [] for name in runs}
    tokens, texts = {}, {}
    for turn in range(ROUNDS + 1):
        for name in sorted(runs, reverse=bool(turn % 2)):
            seconds, tokens[name], texts[name] = runs[name]()
            if turn:
                rates[name].append(tokens[name] / seconds)
                print(f"{name}: {rates[name][-1]:.0f} tokens/s", file=sys.stderr, flush=True)
    return rates, tokens, texts


def rate_of(run: Run) -> float:
    seconds, tokens, _ = run()
    return tokens / seconds


@contextmanager
def divscale(model: str, table: pa.Table, resources: Resources) -> Any:
    """A fleet, warm, and the seconds it took to start (Ray's included)."""
    from divscale.generation.fleet import GenerationFleet
    from divscale.runtime.session import Session

    begun = time.perf_counter()
    with Session(resources) as session:
        fleet = GenerationFleet(session, model, CONFIG, resources)
        fleet.start()
        start_s = time.perf_counter() - begun

        def run() -> tuple[float, int, dict[str, str]]:
            done: list[pa.Table] = []
            begun = time.perf_counter()
            fleet.generate(table, done.append)
            seconds = time.perf_counter() - begun
            rows = pa.concat_tables(done)
            return (seconds, sum(rows["completion_tokens"].to_pylist()),
                    dict(zip(rows["request_id"].to_pylist(), rows["completion"].to_pylist(), strict=True)))

        run()
        yield run, start_s
        fleet.close()


@contextmanager
def bare_vllm(model: str, table: pa.Table) -> Any:
    """A process that runs once for every line it reads, and the seconds it took to be ready for the first."""
    from divscale.runtime.session import worker_env

    path = Path(model) / "requests.parquet"
    pa.parquet.write_table(table, path)
    begun = time.perf_counter()
    child = subprocess.Popen([sys.executable, __file__, "bare", model, str(path)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True, env=os.environ | worker_env(ONE.cpus))
    assert child.stdin is not None and child.stdout is not None

    def answer() -> Any:
        return json.loads(next(line for line in child.stdout if line.startswith("answer ")).partition(" ")[2])

    def run() -> tuple[float, int, dict[str, str]]:
        child.stdin.write("go\n")
        child.stdin.flush()
        return tuple(answer())

    answer()
    start_s = time.perf_counter() - begun
    try:
        run()
        yield run, start_s
    finally:
        child.stdin.close()
        child.wait()


def bare(model: str, path: str) -> None:
    """The child: vLLM's own class, and nothing of divscale but the engine's arguments."""
    from divscale.generation.engines.model_folder import model_facts
    from divscale.generation.engines.vllm_engine import ENVIRONMENT, _cpu_args

    os.environ.update(ENVIRONMENT | {name: os.environ[name] for name in ENVIRONMENT if name in os.environ})
    from vllm import LLM, SamplingParams

    facts = model_facts(model, CONFIG)
    llm = LLM(model, dtype=CONFIG.dtype, max_model_len=facts.context, max_num_seqs=ONE.max_num_seqs,
              generation_config="vllm", disable_log_stats=True, seed=0, **_cpu_args(facts, ONE))
    rows = pa.parquet.read_table(path).to_pylist()
    prompts = [row["prompt"] for row in rows]
    params = [SamplingParams(temperature=row["temperature"], top_p=row["top_p"], min_p=row["min_p"], seed=row["seed"],
                             max_tokens=row["max_tokens"]) for row in rows]
    print("answer", json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        done = llm.generate(prompts, params, use_tqdm=False)
        seconds = time.perf_counter() - begun
        tokens = sum(len(out.outputs[0].token_ids) for out in done)
        texts = {row["request_id"]: out.outputs[0].text for row, out in zip(rows, done, strict=True)}
        print("answer", json.dumps([seconds, tokens, texts]), flush=True)


if __name__ == "__main__":
    import pyarrow.parquet

    if sys.argv[1:2] == ["bare"]:
        bare(*sys.argv[2:])
        sys.exit()
    sys.exit(main())
