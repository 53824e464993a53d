from __future__ import annotations

import multiprocessing
import time
from contextlib import contextmanager

import pytest
from toys import Counting, Number, Silent, number, total

from divscale.errors import DataError, PreflightError, StageFailedError
from divscale.graph.claim import alone
from divscale.graph.lease import Leases
from divscale.graph.runner import execute
from divscale.graph.stage import Stage
from divscale.graph.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def run(target, store, counting, events=None):
    execute([target], Store(store.root), counting.handlers(), events or Silent(), poll_s=0.05)


def test_a_second_run_runs_nothing(store):
    target = total(number(1), number(2))
    first, second, view = Counting(), Counting(), Silent()
    run(target, store, first)
    run(target, store, second, view)
    assert len(first.ran) == 3
    assert second.ran == []
    assert view.cached == 3
    assert store.open(target).values["sum"] == 3


def test_adding_an_arm_runs_only_what_is_new(store):
    run(total(number(1), number(2)), store, Counting())
    more = Counting()
    run(total(number(1), number(2), number(3)), store, more)
    assert more.ran == ["number 3", "total sum"]


@pytest.mark.parametrize("moment", range(5))
def test_interrupted_at_any_stage_the_next_run_goes_on_and_redoes_nothing(store, moment):
    target = total(number(1), number(2), total(number(3)))
    broken, rest = Counting(interrupt_at=moment), Counting()
    with pytest.raises(KeyboardInterrupt):
        run(target, store, broken)
    run(target, store, rest)
    assert sorted(broken.ran + rest.ran) == ["number 1", "number 2", "number 3", "total sum", "total sum"]
    assert len(broken.ran) == moment


def test_a_skipped_stage_takes_along_what_has_it_alone_and_is_missing_where_several_are_read(store):
    alone = Stage("total", 1, Number(value=0), {"terms": number(2)}, title="alone")
    target, counting = total(number(1), alone), Counting(skip=2)
    run(target, store, counting)
    assert counting.ran == ["number 1", "number 2", "total sum"]
    assert store.open(target).values["sum"] == 1
    assert store.find(number(2)) is None and store.find(alone) is None


def test_what_was_skipped_is_not_looked_at_again_until_something_new_reads_it(store):
    skipped, again, later = Counting(skip=2), Counting(), Counting()
    run(total(number(1), number(2)), store, skipped)
    run(total(number(1), number(2)), store, again)
    assert again.ran == []
    run(total(number(1), number(2), extra=5), store, later)
    assert later.ran == ["number 2", "total sum"]


def test_a_failed_stage_stops_what_needs_it_and_nothing_else(store):
    counting = Counting(refuse=2)
    left, right = total(number(1)), total(number(2))
    with pytest.raises(StageFailedError, match=r"(?s)1 stage.*number 2: refused"):
        execute([left, right], store, counting.handlers(), Silent())
    assert store.find(left) is not None
    assert store.find(right) is None


def failing(errors, *, ends_with=None):
    """Handlers under which the numbers of `errors` fail with these, and that then raise."""
    counting = Counting()

    def numbers(jobs):
        for job in jobs:
            with job.attempt():
                if job.stage.plain_config["value"] in errors:
                    raise errors[job.stage.plain_config["value"]]
                counting._numbers([job])
        if ends_with is not None:
            raise ends_with

    return {**counting.handlers(), "number": numbers}


def test_stages_that_fail_alike_are_told_once_and_end_the_run_with_their_exit_code(store):
    with pytest.raises(DataError) as told:
        execute([number(1), number(2), number(3)], store, failing({1: DataError("bad"), 2: DataError("bad")}), Silent())
    assert told.value.exit_code == 4
    assert str(told.value).count("bad") == 1
    assert "2 stage(s) failed" in str(told.value) and "number 1 and 1 more: bad" in str(told.value)
    assert store.find(number(3)) is not None


def test_stages_that_fail_for_different_kinds_of_reasons_end_the_run_with_exit_code_1(store):
    with pytest.raises(StageFailedError, match=r"(?s)number 1: bad.*number 2: no GPU") as told:
        execute([number(1), number(2)], store, failing({1: DataError("bad"), 2: PreflightError("no GPU")}), Silent())
    assert told.value.exit_code == 1


def test_what_ends_a_run_early_is_told_with_what_failed_before_it_and_what_was_made_stays(store):
    broken = PreflightError("no engine")
    with pytest.raises(PreflightError) as told:
        execute([number(1), number(2)], store, failing({1: broken}, ends_with=broken), Silent())
    assert told.value is broken
    assert store.find(number(2)) is not None
    with pytest.raises(StageFailedError, match=r"(?s)number 1: no engine.*number 4: bad"):
        execute([number(1), number(4)], store, failing({4: DataError("bad"), 1: broken}, ends_with=broken), Silent())


@contextmanager
def another_process(target, *args):
    """One that is at `target(*args, taken, seconds)` once it has said so, until it is killed."""
    context = multiprocessing.get_context("spawn")
    taken = context.Event()
    process = context.Process(target=target, args=(*args, taken, 600))
    process.start()
    try:
        assert taken.wait(300)
        yield process
    finally:
        process.kill()


def _hold(root, fingerprint, taken, seconds):
    assert Leases(root).acquire(fingerprint)
    taken.set()
    time.sleep(seconds)


def test_a_stage_another_process_holds_is_waited_for_and_free_when_it_dies(store):
    store.prove_writable(1)
    with another_process(_hold, store.root, number(1).fingerprint) as holder:
        assert not Leases(store.root).acquire(number(1).fingerprint)

        class KillsWhileWaiting(Silent):
            def waiting(self, reason):
                super().waiting(reason)
                if self.waits == 3:
                    holder.kill()
                    holder.join()

        view, counting = KillsWhileWaiting(), Counting()
        run(number(1), store, counting, view)
        assert view.waits >= 3
        assert counting.ran == ["number 1"]


def _clean(root, taken, seconds):
    with alone(root) as may_go:
        assert may_go
        taken.set()
        time.sleep(seconds)


def test_who_begins_while_another_process_removes_files_waits_and_says_so(store):
    store.prove_writable(1)
    said = []
    with another_process(_clean, store.root) as cleaner:

        class EndsItWhileWaiting(Silent):
            def waiting(self, reason):
                said.append(reason)
                if len(said) == 2:
                    cleaner.kill()
                    cleaner.join()

        counting = Counting()
        run(number(1), store, counting, EndsItWhileWaiting())
        assert said == ["another process removes files of the store; waiting for it"] * 2
        assert counting.ran == ["number 1"]


def test_what_another_driver_made_and_pruned_since_the_plan_is_not_made_again(store):
    target, counting, other = total(total(number(1)), total(number(2))), Counting(), Counting()

    class OtherIsFaster(Silent):
        def planned(self, stages, pending):
            run(total(number(1)), store, other)
            Store(store.root).prune(number(1), "numbers")

    run(target, store, counting, OtherIsFaster())
    assert other.ran == ["number 1", "total sum"]
    assert counting.ran == ["number 2", "total sum", "total sum"]


def by_two_drivers(drive, store):
    """What two processes ran that began at the same time."""
    context = multiprocessing.get_context("spawn")
    start, queue = context.Event(), context.Queue()
    drivers = [context.Process(target=drive, args=(store.root, start, queue)) for _ in range(2)]
    for driver in drivers:
        driver.start()
    start.set()
    ran = queue.get(timeout=600) + queue.get(timeout=600)
    for driver in drivers:
        driver.join()
    return ran


def _run_all(root, start, queue):
    start.wait()
    counting = Counting()
    execute([total(*(number(i) for i in range(20)))], Store(root), counting.handlers(), Silent(), poll_s=0.01)
    queue.put(counting.ran)


def test_two_drivers_on_one_store_run_each_stage_once(store):
    ran = by_two_drivers(_run_all, store)
    assert sorted(ran) == sorted([f"number {i}" for i in range(20)] + ["total sum"])


def _run_and_prune(root, start, queue):
    store, counting = Store(root), Counting()
    readers = [total(number(i)) for i in range(20)]

    def sweep(_=()):
        for i, reader in enumerate(readers):
            if store.find(reader) is not None:
                store.prune(number(i), "numbers")

    start.wait()
    execute([total(*readers)], store, counting.handlers(), Silent(), at_most={"number": 2}, afterwards=sweep, poll_s=0.01)
    sweep()
    queue.put(counting.ran)


def test_two_drivers_that_prune_what_was_read_run_each_stage_once_and_leave_nothing(store):
    ran = by_two_drivers(_run_and_prune, store)
    assert sorted(ran) == sorted([f"number {i}" for i in range(20)] + ["total sum"] * 21)
    assert not any(store.is_whole(number(i)) for i in range(20))
