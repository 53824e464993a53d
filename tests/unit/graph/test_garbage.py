import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from toys import Counting, at_work, number, total

from divscale.cli import main
from divscale.errors import PreflightError
from divscale.graph.garbage import find_garbage, remove
from divscale.graph.runner import execute
from divscale.graph.store import Store
from divscale.view import Tally


@pytest.fixture
def store(tmp_path):
    """One, two and their sum are committed; three is not, and two has a file that no record names."""
    store = Store(tmp_path / "store")
    execute([total(number(1), number(2))], store, Counting().handlers(), Tally())
    (store.draft(number(2)).folder / "model.0123").mkdir()
    (store.draft(number(2)).folder / "model.0123" / "weights").write_bytes(b"half of it")
    (store.draft(number(3)).unfinished() / "step").write_bytes(b"1")
    return store


def whole(store):
    return [stage.title for stage in (number(1), number(2), number(3), total(number(1), number(2)))
            if Store(store.root).find(stage) is not None]


def test_debris_goes_and_every_artifact_and_unfinished_work_stays(store):
    found = find_garbage(store)
    assert [(item.where.rpartition("/")[2], item.size) for item in found] == [("weights", 10)]
    assert remove(store, found) == found and find_garbage(store) == []
    assert whole(store) == ["1", "2", "sum"]
    assert (store.draft(number(3)).folder / "unfinished" / "step").exists()


def test_what_no_study_needs_goes_and_unfinished_work_when_asked(store):
    found = find_garbage(store, unfinished=True, needed={number(1).fingerprint})
    assert {item.key[1] for item in found} == {s.fingerprint for s in (
        number(2), number(3), total(number(1), number(2)))}
    remove(store, found)
    assert whole(store) == ["1"]
    assert not list(store.root.glob(f"*/{number(3).fingerprint}"))


def test_work_that_is_committed_between_the_look_and_the_removal_stays(store):
    found = find_garbage(store, unfinished=True)
    execute([number(3)], store, Counting().handlers(), Tally())
    remove(store, found)
    assert whole(store) == ["1", "2", "3", "sum"]


def test_what_a_run_is_at_work_on_stays(store):
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys; from pathlib import Path; from divscale.graph.lease import Leases;"
         "print(Leases(Path(sys.argv[1])).acquire(sys.argv[2]), flush=True); sys.stdin.read()",
         str(store.root), number(3).fingerprint], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "True\n"
        gone = remove(store, find_garbage(store, unfinished=True))
    finally:
        holder.communicate()
    assert [item.where.rpartition("/")[2] for item in gone] == ["weights"]


def test_what_a_run_of_another_study_is_going_to_read_does_not_go(store):
    unneeded = find_garbage(store, needed={number(2).fingerprint})
    with at_work(store.root, total(number(1), extra=7)) as other:
        with pytest.raises(PreflightError, match=r"a run is at work.*nothing was removed.*Wait until it has ended"):
            remove(store, unneeded)
        assert whole(store) == ["1", "2", "sum"]
        assert [item.where.rpartition("/")[2] for item in remove(store, find_garbage(store))] == ["weights"]
        other.kill()
        other.wait()
        remove(store, unneeded)
    assert whole(store) == ["2"]


def test_files_that_are_committed_anew_between_the_look_and_the_removal_stay(store):
    store.prune(number(2), "numbers")
    draft = store.draft(number(2))
    draft.write_table("numbers", pa.table({"value": [2]}))
    found = find_garbage(store)
    assert {Path(item.where).suffix for item in found} == {"", ".parquet"}
    draft.commit()
    assert [item.where.rpartition("/")[2] for item in remove(store, found)] == ["weights"]
    assert whole(store) == ["1", "2", "sum"]


def test_files_that_a_killed_run_listed_as_pruned_and_did_not_remove_go(store):
    file = store.open(number(1)).path("numbers")
    (file.parent / "pruned.json").write_text(f'["{file.name}"]')
    remove(store, find_garbage(store))
    assert not file.exists() and Store(store.root).find(number(1)).pruned == {"numbers"}


def test_the_command_shows_first_and_removes_when_told(store, capsys):
    assert main(["gc", "--store", str(store.root)]) == 0
    said = capsys.readouterr().out
    assert "model.0123/weights  (no record names it)" in said and "--yes removes it" in said
    assert find_garbage(store)
    assert main(["gc", "--store", str(store.root), "--yes"]) == 0
    assert "removed" in capsys.readouterr().out
    assert main(["gc", "--store", str(store.root)]) == 0
    assert "nothing to remove" in capsys.readouterr().out
