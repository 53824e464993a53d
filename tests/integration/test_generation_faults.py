"""Generation that fails or is killed: what was done is kept, and nothing is asked or counted twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.processes import end

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "unit" / "generation"))

pytestmark = pytest.mark.engine
ENGINES, SHARD_ROWS = 2, 60     # rows of a shard in the driver; an engine of 8 seats holds 3 batches of 8 rows at most


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from tiny_model import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("model"), context=256)


def drive(store, model, *overrides, kill_at=None):
    """Exit code (negative: a signal), sums of the numbers said by word, and what else was said."""
    process = psutil.Popen([sys.executable, str(TESTS / "generation_driver.py"), str(store), str(TESTS / "studies" / "generation.yaml"),
                            f"generator.model={model}", *overrides], stdout=subprocess.PIPE, text=True)
    said, other = Counter(), []
    try:
        for line in process.stdout:
            word, _, number = line.strip().partition(" ")
            if word in ("asked", "refused", "rows", "starts"):
                said[word] += int(number)
            else:
                other.append(line)
            if kill_at is not None and said[kill_at[0]] >= kill_at[1]:
                family = [process, *process.children(recursive=True)]
                process.kill()
                _, alive = psutil.wait_procs(family, timeout=600)
                assert not alive
                kill_at = None
        return process.wait(), said, "".join(other)
    finally:
        if process.is_running():
            end(process.pid)


def rows(store):
    """(stage, id) -> text or reason of every sample and rejected row, and how often each id is there."""
    found, times = {}, Counter()
    for record in store.glob("generate/*/record.json"):
        for role, column, says in (("samples", "request_id", "text"), ("rejected", "id", "reason")):
            for name in json.loads(record.read_text())["files"][role]:
                table = pq.read_table(record.parent / name["path"])
                for row_id, text in zip(table[column].to_pylist(), table[says].to_pylist(), strict=True):
                    key = record.parent.name, row_id.split("~")[0]
                    found[key], times[key] = (row_id, text), times[key] + 1
    return found, times


def kept(store):
    """Rows in shards that no run asks again: the engine did not refuse them."""
    return sum(pq.read_table(path)["error"].null_count for path in store.glob("generate/*/shard-*.parquet"))


def attempts(store):
    return sum(json.loads(record.read_text())["values"]["attempts"] for record in store.glob("generate/*/record.json"))


def answered(store):
    """Requests that were not refused and are answered for good: no run asks them again."""
    refused = sum(reason.startswith("the prompt takes") for _, reason in rows(store)[0].values())
    return kept(store) + attempts(store) - 2 * refused  # at both of two attempts


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model):
    """A run that stops, for some prompts do not fit, and one that goes on with more allowed: store, and what each said."""
    store = tmp_path_factory.mktemp("alone")
    return store, drive(store, model, "recipe.max_failed_share=0"), kept(store), drive(store, model)


def test_above_the_allowed_failed_share_it_exits_4_keeps_what_is_done_and_asks_none_of_it_again(finished):
    store, (code, said, message), done, (code_then, said_then, message_then) = finished
    assert code == 4, message
    assert "the engine refused" in message and "leaves no room to write" in message, message
    assert "What was finished is kept" in message
    assert 0 < done < said["rows"] <= said["asked"]
    assert code_then == 0, message_then
    assert said_then["asked"] + done == attempts(store)
    found, times = rows(store)
    assert set(times.values()) == {1}
    assert len(found) == 4 * 120


def test_levels_seeds_and_retries_of_a_study_meet_the_same_engines(finished):
    _, (_, said, _), _, (_, said_then, _) = finished
    assert (said["starts"], said_then["starts"]) == (2, 2)


@pytest.mark.long
def test_a_driver_killed_at_random_points_ends_with_the_rows_of_an_undisturbed_run(finished, tmp_path, model):
    rng, again = random.Random(0), []
    for _ in range(5):
        before = answered(tmp_path)
        code, said, message = drive(tmp_path, model, kill_at=(rng.choice(["asked", "rows"]), rng.randint(1, 90)))
        assert code == -9, message
        again.append(said["asked"] - said["refused"] - (answered(tmp_path) - before))
    code, said, message = drive(tmp_path, model)
    assert code == 0, message
    assert 0 <= min(again) <= max(again) <= ENGINES * SHARD_ROWS, again
    found, times = rows(tmp_path)
    assert set(times.values()) == {1}
    assert found == rows(finished[0])[0]
    assert not list(tmp_path.glob("generate/*/shard-*"))
