from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from divscale.errors import PreflightError
from divscale.generation.config import EngineConfig
from divscale.generation.engines.protocol import EngineRequest, to_engine_requests
from divscale.generation.engines.transformers_engine import TransformersEngine
from divscale.generation.fleet import GenerationFleet
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.schema import COMPLETIONS, REQUESTS
from divscale.stages.shards import SHARD_ROWS

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "generation"))
from tiny_model import make_tiny_model

pytestmark = pytest.mark.engine

RESOURCES = Resources(cpus=2, max_num_seqs=64, requests_per_batch=64)
PROMPTS = ("Return the path", "label:", "story: Ann sat. ask:", "Raised when an operation times out; see")


def requests(n):
    rows = [{"request_id": f"r{i}", "kind": "sample", "prompt": PROMPTS[i % 4], "seed": i, "max_tokens": 4 + i % 30,
             "temperature": (0.0, 0.8, 1.0, 1.5)[i // 4 % 4], "top_p": 0.9 if i % 5 == 0 else 1.0,
             "min_p": 0.05 if i % 7 == 0 else 0.0, "ordinal": i, "attempt": 0} for i in range(n)]
    return pa.Table.from_pylist(rows, schema=REQUESTS)


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def fleet(tiny_model):
    with Session(RESOURCES) as session:
        fleet = GenerationFleet(session, tiny_model, EngineConfig(), RESOURCES)
        fleet.start()
        yield fleet
        fleet.close()


def complete(fleet, table):
    batches = []
    counts = fleet.generate(table, batches.append)
    rows = pa.concat_tables(batches).cast(COMPLETIONS).to_pylist()
    assert counts["in"] == table.num_rows == len(rows)
    return {row["request_id"]: row for row in rows}


def test_tokens_do_not_depend_on_order_or_company_and_every_row_has_its_own_stream(fleet):
    table = requests(240)
    done = complete(fleet, table)
    shuffled = table.take(pa.array(random.Random(0).sample(range(240), 240)))
    assert complete(fleet, shuffled) == done
    assert complete(fleet, table.slice(40, 3)) == {f"r{i}": done[f"r{i}"] for i in (40, 41, 42)}
    assert len({row["completion"] for row in done.values()}) > 150
    assert all(row["error"] is None and 0 < row["completion_tokens"] <= 33 for row in done.values())


def test_the_two_engines_agree_where_there_is_no_chance(fleet, tiny_model):
    table = requests(64)
    other = TransformersEngine(tiny_model, EngineConfig(engine="transformers"), RESOURCES, 0)
    greedy = [row for row in table.to_pylist() if row["temperature"] == 0]
    for row in greedy:
        request = to_engine_requests([row], [row["request_id"]], other.tokenizer, other.context)[0]
        assert isinstance(request, EngineRequest)
        other.submit(request)
    expected = {}
    while other.busy:
        expected |= {out.key: out for out in other.step()}
    done = complete(fleet, table)
    for row in greedy:
        mine, theirs = done[row["request_id"]], expected[row["request_id"]]
        assert mine["completion"] == other.tokenizer.decode(theirs.token_ids, skip_special_tokens=True)
        assert (mine["finish_reason"], mine["completion_tokens"]) == (theirs.finish_reason, len(theirs.token_ids))


def test_a_prompt_that_does_not_fit_is_a_failed_row_and_harms_no_other(fleet):
    rows = requests(8).to_pylist()
    rows[3]["prompt"] = "x" * 1_000_000
    done = complete(fleet, pa.Table.from_pylist(rows, schema=REQUESTS))
    assert "leaves no room to write" in done["r3"]["error"]
    assert done["r3"]["completion"] is None
    assert [row["error"] for key, row in done.items() if key != "r3"] == [None] * 7


def test_what_engines_leave_among_temporary_files_lies_in_the_sessions_folder(fleet):
    assert len(list(Path(fleet._session.scratch).glob("vllm_dist_*"))) >= fleet.engines


def test_nothing_asked_is_nothing_done(fleet):
    assert fleet.generate(requests(0), pytest.fail) == {"in": 0, "ok": 0, "failed": 0, "filtered": 0}


def test_a_killed_engine_is_replaced_and_the_rows_are_those_of_an_undisturbed_run(fleet):
    import ray

    table = requests(400)
    expected = complete(fleet, table)
    victim = ray.get(fleet._pool.actors[0].__ray_call__.remote(lambda _: os.getpid()))
    batches = []

    def keep(completions):
        if not batches:
            os.kill(victim, signal.SIGKILL)
        batches.append(completions)

    fleet.generate(table, keep)
    complete(fleet, table.slice(0, 8))  # if it had done all it was given, its death is met here
    assert fleet._pool.replaced == 1
    assert {row["request_id"]: row for row in pa.concat_tables(batches).to_pylist()} == expected


def test_a_model_that_is_not_there_is_refused_before_ray_starts(tmp_path):
    session = Session(RESOURCES)
    with pytest.raises(PreflightError, match="neither a folder nor in the local Hugging Face cache"):
        GenerationFleet(session, "no/such-model", EngineConfig(), RESOURCES).start()
    assert not session.started


def test_engines_killed_twice_give_the_same_rows_and_no_kill_costs_more_than_a_shard(fleet):
    import ray

    table, starts = requests(600), fleet._pool.starts
    expected = complete(fleet, table)
    arrived, redone = [], len(fleet._pool.redone)

    def keep(completions):
        arrived.append(completions)
        rows = sum(part.num_rows for part in arrived)
        if fleet._pool.starts == starts + len(killed) and rows > 150 * (len(killed) + 1) and len(killed) < 2:
            victim = ray.get(fleet._pool.actors[len(killed)].__ray_call__.remote(lambda _: os.getpid()))
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    killed = []
    fleet.generate(table, keep)
    complete(fleet, table.slice(0, 128))  # if the second had done all it was given, its death is met here
    assert len(killed) == 2
    assert fleet._pool.starts == starts + 2
    asked_again = RESOURCES.requests_per_batch * (len(fleet._pool.redone) - redone)
    assert 0 < asked_again <= 2 * (RESOURCES.max_num_seqs + 2 * RESOURCES.requests_per_batch) < 2 * SHARD_ROWS
    rows = pa.concat_tables(arrived).to_pylist()
    assert len(rows) == 600
    assert {row["request_id"]: row for row in rows} == expected


def test_prompts_beyond_the_token_budget_with_long_and_short_ones_mixed_are_the_same_bits_in_any_company(fleet):
    # the first batch of 64: 10 that are to write 30 tokens, 54 of at least 80 tokens; one step takes 4096
    rows = [{**row, "prompt": row["prompt"] if i < 10 else "x" * (79 + i % 6), "max_tokens": 30 if i < 10 else (12, 7, 2)[i // 70]}
            for i, row in enumerate(requests(200).to_pylist())]
    table = pa.Table.from_pylist(rows, schema=REQUESTS)
    done = complete(fleet, table)
    assert sum(row["prompt_tokens"] for row in done.values()) > 3 * 4096
    for seed, size in ((1, 100), (2, 30), (3, 1)):
        some = table.take(pa.array(random.Random(seed).sample(range(200), size)))
        assert complete(fleet, some) == {key: done[key] for key in some["request_id"].to_pylist()}


def test_rows_that_ask_the_same_with_other_seeds_share_no_stream_whichever_engine_serves_them(fleet):
    row = {**requests(1).to_pylist()[0], "temperature": 1.5, "max_tokens": 30}
    table = pa.Table.from_pylist([{**row, "request_id": f"s{i}", "seed": i} for i in range(128)], schema=REQUESTS)
    assert fleet.engines == 2
    done = complete(fleet, table)
    # some end with their first token, and nothing is like nothing
    written = [row["completion"] for row in done.values() if row["completion_tokens"] >= 10]
    assert len(set(written)) == len(written) > 90
