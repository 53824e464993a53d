"""What tests/chaos_hosts.py counts, which exits it allows after which faults, and what it ends with. Deals out none."""

from __future__ import annotations

import json
import signal
from collections import Counter
from contextlib import nullcontext

import pytest

from tests import chaos_hosts
from tests.chaos import made_again, rows_apart
from tests.chaos_hosts import MAY_END, may_end, verdict
from tests.faults import Faults, left_out

ROWS = {"id": ["a", "b", "c"], "text": ["one", "two", "three"]}


@pytest.mark.parametrize(("ids", "lost", "doubled"), [
    ("abc", 0, 0), ("cab", 0, 0), ("ac", 1, 0), ("abbbc", 0, 2), ("aabb", 1, 2), ("", 3, 0), ("abcd", 0, 0)])
def test_rows_that_are_lost_or_doubled_are_counted_in_any_order(ids, lost, doubled):
    texts = dict(zip(ROWS["id"], ROWS["text"], strict=True))
    found = {"id": list(ids), "text": [texts.get(id) for id in ids]}
    apart = rows_apart({"mix/f": ("config", {}), "mix/f/mix": ROWS}, {"mix/f/mix": found})
    assert apart == Counter(rows_lost=lost, rows_doubled=doubled)


def test_a_table_that_is_missing_has_lost_all_its_rows_and_a_row_with_another_text_is_lost():
    assert rows_apart({"mix/f/mix": ROWS}, {})["rows_lost"] == 3
    assert rows_apart({"mix/f/mix": ROWS}, {"mix/f/mix": ROWS | {"text": ["one", "two", "3"]}})["rows_lost"] == 1


def test_stages_that_were_made_again_or_are_gone_are_counted_and_new_ones_are_not():
    before = {("mix", "a"): (1, 1), ("mix", "b"): (2, 1), ("mix", "c"): (3, 1)}
    assert made_again(before, before | {("mix", "d"): (4, 2)}) == 0
    assert made_again(before, {("mix", "a"): (1, 1), ("mix", "b"): (9, 2)}) == 2


def test_a_driver_may_end_as_its_faults_allow_and_no_other_way():
    assert may_end([]) == may_end(["actor killed", "clock jumps by hours", "out of memory"]) == set()
    assert may_end(["driver killed"]) == {-signal.SIGKILL}
    assert may_end(["disk full", "actor killed"]) == {1, 3}
    assert not {130, -signal.SIGSEGV, -signal.SIGABRT} & may_end(MAY_END)


def test_kinds_that_this_machine_lacks_are_left_out_with_their_reasons(monkeypatch, tmp_path):
    every = set(Faults(None, None, None).kinds()) | set(left_out())
    assert set(MAY_END) - {chaos_hosts.BY_ITSELF} < every
    monkeypatch.setattr("tests.faults.FAKETIME", None)
    monkeypatch.setattr("tests.faults.MEMORY", tmp_path)
    assert set(left_out()) == {"clock jumps by hours", "out of memory"}
    assert "libfaketime" in left_out()["clock jumps by hours"] and "cgroup v1" in left_out()["out of memory"]
    assert set(Faults(None, None, None).kinds()) == every - set(left_out())


@pytest.mark.parametrize(("faults", "counts", "broken", "met"), [
    (2, {}, [], True), (1, {}, [], False), (2, {"rows_lost": 1}, [], False), (2, {"rows_doubled": 1}, [], False),
    (2, {"stages_made_again": 1}, [], False), (2, {}, ["an actor is left"], False),
    (2, {"nodes_started_again": 3, "drivers_started_again": 9}, [], True)])
def test_the_requirement_is_met_where_all_faults_were_dealt_and_nothing_was_lost(faults, counts, broken, met):
    found = verdict([{"fault": "disk full"}] * faults, Counter(counts), broken, 2)
    assert found["met"] is met
    assert {name: found[name] for name in counts} == counts


@pytest.mark.parametrize("broken", [False, True])
def test_it_ends_with_1_where_a_promise_was_broken_and_writes_what_it_found(broken, monkeypatch, tmp_path, capsys):
    def under_fire(arguments, store, on, reference, rng, every_s, done, counts, more, only, keep):
        done.append({"fault": "disk full", "recovered_s": 1.5})
        counts.update(rows_lost=int(broken))
        if broken:
            raise AssertionError("2 artifacts differ")

    monkeypatch.setattr(chaos_hosts, "reason_not_here", lambda: None)
    monkeypatch.setattr(chaos_hosts, "left_out", lambda: {"out of memory": "no cgroup"})
    monkeypatch.setattr(chaos_hosts, "small_disk", nullcontext)
    monkeypatch.setattr(chaos_hosts, "hosts", nullcontext)
    monkeypatch.setattr(chaos_hosts, "under_fire", under_fire)
    out = tmp_path / "new" / "found.json"
    words = ["chaos_hosts", "study.yaml", "--faults", "2", "--reference", str(tmp_path), "--out", str(out)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) if broken else nullcontext() as ended:
        chaos_hosts.main()
    assert not broken or ended.value.code == 1
    found = json.loads(out.read_text())
    assert (found["met"], found["rows_lost"], found["runs"]) == (not broken, 2 * broken, 2)
    assert found["runs_that_broke_a_promise"] == ["2 artifacts differ"] * 2 * broken
    assert found["kinds_left_out"] == {"out of memory": "no cgroup"} and len(found["dealt"]) == 2
    assert "left out on this machine: out of memory: no cgroup" in capsys.readouterr().out
