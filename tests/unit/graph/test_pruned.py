"""Files of a committed artifact that were removed to save space."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest
from toys import Counting, Silent, at_work, number, total

from divscale.graph.garbage import find_garbage
from divscale.graph.plan import make_plan, missing
from divscale.graph.runner import execute
from divscale.graph.stage import Stage
from divscale.graph.store import Store


@pytest.fixture
def store(tmp_path):
    """One, two and their sum are committed; the number of two was pruned."""
    store = Store(tmp_path / "store")
    execute([total(number(1), number(2))], store, Counting().handlers(), Silent())
    store.prune(number(2), "numbers")
    return store


def again(store, target):
    counting = Counting()
    execute([target], store, counting.handlers(), Silent())
    return counting.ran


def test_a_pruned_artifact_keeps_its_record_and_nothing_that_stands_is_made_again(store):
    found = Store(store.root).find(number(2))
    assert found.pruned == {"numbers"} and found.record.rows.ok == 1 and not found.path("numbers").exists()
    assert not store.is_whole(number(2)) and store.is_whole(number(1))
    assert again(Store(store.root), total(number(1), number(2))) == []
    assert find_garbage(store) == []


def test_what_reads_pruned_files_anew_has_them_made_again_and_the_plan_says_so(store):
    target = total(number(1), number(2), extra=5)
    step = next(step for step in make_plan([target], store) if step.stage.title == "2")
    assert (step.cached, step.reason) == (False, "its numbers was removed to save space, and is needed again")
    assert again(Store(store.root), target) == ["number 2", "total sum"]
    assert Store(store.root).open(target).values["sum"] == 8
    assert Store(store.root).is_whole(number(2)) and Store(store.root).open(number(2)).table("numbers").num_rows == 1
    assert find_garbage(store) == []


def test_what_reads_the_record_alone_does_not(store):
    readers = total(number(1), number(2), extra=5)
    light = Stage(readers.name, 1, readers.config, readers.inputs, "light", light=frozenset({"terms"}))
    assert light.fingerprint == readers.fingerprint
    assert [stage.title for stage in missing([light], store)] == ["light"]


def test_files_that_were_made_again_can_be_pruned_again(store):
    again(store, total(number(1), number(2), extra=5))
    store.prune(number(2), "numbers")
    assert Store(store.root).find(number(2)).pruned == {"numbers"}
    assert again(Store(store.root), total(number(1), number(2), extra=6)) == ["number 2", "total sum"]


def test_a_run_that_is_killed_between_the_list_and_the_files_leaves_nothing_half(store):
    (store.root / "number" / number(1).fingerprint / "pruned.json").write_text(
        '["' + store.open(number(1)).path("numbers").name + '"]')
    fresh = Store(store.root)
    assert fresh.find(number(1)).pruned == {"numbers"}
    assert again(Store(store.root), total(number(1), extra=9)) == ["number 1", "total sum"]
    assert [Path(item.where).suffix for item in find_garbage(fresh)] == [".parquet"], "the file that was to go"


def test_a_second_writer_does_not_replace_what_is_whole(store):
    draft = store.draft(number(1))
    draft.write_table("numbers", pa.table({"value": [7]}))
    before = store.open(number(1)).record
    assert draft.commit().record == before


def test_a_hand_out_has_at_most_so_many_stages_and_each_is_followed_by_a_call(tmp_path):
    handed, calls = [], []
    counting = Counting()

    def numbers(jobs):
        handed.append(len(jobs))
        counting.handlers()["number"](jobs)

    execute([total(*map(number, range(5)))], Store(tmp_path), counting.handlers() | {"number": numbers}, Silent(),
            at_most={"number": 2}, afterwards=lambda _: calls.append(len(counting.ran)))
    assert handed == [2, 2, 1] and calls == [2, 4, 5, 6]


def test_files_that_another_driver_is_going_to_read_stay_until_it_has_read_them(store):
    with at_work(store.root, total(number(1), extra=7)):
        assert not store.prune(number(1), "numbers") and store.is_whole(number(1))
    assert store.find(total(number(1), extra=7)).values["sum"] == 8
    assert store.prune(number(1), "numbers") and not store.is_whole(number(1))


def test_files_that_another_driver_could_do_without_stay_too_while_it_may_look_at_them(store):
    reader = total(number(1), extra=7)
    with at_work(store.root, Stage(reader.name, 1, reader.config, reader.inputs, light=frozenset({"terms"}))):
        assert not store.prune(number(1), "numbers")


def test_a_driver_that_was_killed_holds_no_files(store):
    with at_work(store.root, total(number(1), extra=7)) as other:
        other.kill()
        other.wait()
        assert store.prune(number(1), "numbers")


def test_files_that_no_other_driver_reads_go_while_one_is_at_work(store):
    with at_work(store.root, total(number(3), extra=7)):
        assert store.prune(number(1), "numbers")


def model(store, value, files=30):
    draft = store.draft(number(value))
    tree = draft.new_tree("model")
    for i in range(files):
        (tree / str(i)).write_bytes(b"abc")
    draft.commit()


def at_once(*works):
    """Each in a thread of its own; what one raises is raised."""
    errors = []

    def guarded(work):
        try:
            work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_a_look_while_another_run_prunes_does_not_blame_the_disk(tmp_path):
    for value in range(20):
        model(Store(tmp_path), value)
        found = []
        at_once(lambda value=value: Store(tmp_path).prune(number(value), "model"),
                *[lambda value=value, found=found: found.extend(Store(tmp_path).find(number(value)) for _ in range(20))] * 3)
        assert len(found) == 60 and all(found)


def test_two_runs_prune_the_same_files_at_once(tmp_path):
    for value in range(40):
        model(Store(tmp_path), value, files=2)
        at_once(*[lambda value=value: Store(tmp_path).prune(number(value), "model")] * 4)
        assert Store(tmp_path).find(number(value)).pruned == {"model"}
