from __future__ import annotations

import errno
import os

import pyarrow as pa
import pytest
from toys import number

from divscale.errors import PreflightError, StageFailedError
from divscale.graph.record import Rows
from divscale.graph.store import RECORD, Store
from divscale.run import store_of


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_nothing_counts_before_the_record_and_everything_after(store):
    draft = store.draft(number(1))
    draft.write_table("numbers", pa.table({"value": [1]}))
    assert store.find(number(1)) is None
    draft.commit(rows=Rows(asked=1, ok=1), values={"a": 2})
    found = Store(store.root).find(number(1))
    assert found is not None
    assert found.table("numbers").to_pydict() == {"value": [1]}
    assert found.values == {"a": 2}
    assert found.record.config["value"] == 1
    assert found.record.rows == Rows(asked=1, ok=1)


def test_a_store_behind_a_file_uri_is_that_folder(tmp_path, monkeypatch):
    draft = store_of(f"file://{tmp_path}/store").draft(number(1))
    draft.write_table("numbers", pa.table({"value": [1]}))
    draft.commit()
    assert Store(tmp_path / "store").open(number(1)).table("numbers").to_pydict() == {"value": [1]}
    monkeypatch.setenv("DIVSCALE_STORE", f"file://{tmp_path}/store")
    assert store_of(None).find(number(1)) is not None


def test_the_first_commit_stands_and_the_second_writer_gets_it(store):
    first, second = store.draft(number(1)), store.draft(number(1))
    first.write_table("numbers", pa.table({"value": [1]}))
    second.write_table("numbers", pa.table({"value": [2]}))
    first.commit()
    assert second.commit().table("numbers").to_pydict() == {"value": [1]}
    assert store.open(number(1)).table("numbers").to_pydict() == {"value": [1]}


def test_every_file_is_listed_with_its_size_and_hash(store):
    draft = store.draft(number(1))
    tree = draft.new_tree("model")
    (tree / "config.json").write_text("{}")
    (tree / "weights").write_bytes(b"abc")
    entries = {e.path.split("/")[1]: e for e in draft.commit().record.files["model"]}
    assert entries["weights"].size == 3
    assert entries["weights"].sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert store.open(number(1)).tree("model") == tree


def test_a_file_that_was_cut_is_noticed(store):
    draft = store.draft(number(1))
    draft.write_table("numbers", pa.table({"value": list(range(100))}))
    artifact = draft.commit()
    os.truncate(artifact.path("numbers"), 10)
    with pytest.raises(StageFailedError, match=r"another size.*remove"):
        Store(store.root).find(number(1))


def test_a_broken_record_names_its_path(store):
    folder = store.draft(number(1)).folder
    (folder / RECORD).write_text("{half")
    with pytest.raises(StageFailedError, match="not a readable record"):
        store.find(number(1))


def test_finished_shards_of_an_unfinished_stage_are_found_again_and_go_with_the_commit(store):
    store.draft(number(1)).add_shard("rows", pa.table({"id": ["a"]}))
    again = store.draft(number(1))
    assert [t["id"].to_pylist() for t in again.shards("rows")] == [["a"]]
    again.add_shard("rows", pa.table({"id": ["b"]}))
    assert sorted(t["id"][0].as_py() for t in again.shards("rows")) == ["a", "b"]
    again.commit()
    assert list(again.folder.glob("shard-*")) == []


def test_a_shard_that_was_being_written_is_not_seen(store):
    draft = store.draft(number(1))
    (draft.folder / ".shard-rows.0123.parquet").write_bytes(b"half")
    assert list(draft.shards("rows")) == []


def test_a_store_that_cannot_be_written_is_said_before_anything_starts(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PreflightError, match=r"cannot be written.*--store"):
        Store(tmp_path / "file" / "store").prove_writable(1)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_before_anything_starts(code, store, monkeypatch):
    def refuse(*_):
        raise OSError(code, "no locks here")

    monkeypatch.setattr("fcntl.lockf", refuse)
    said = rf"^store {store.root}: its file system keeps no POSIX locks .*flock.*--store\.$"
    for begin in (lambda: store.prove_writable(1), store.exclusion.everything, lambda: store.exclusion.acquire("0" * 64)):
        with pytest.raises(PreflightError, match=said):
            begin()


def test_a_file_of_locks_that_is_anothers_is_said_before_anything_starts(store, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(PreflightError, match=r"cannot be written \(Permission denied\).*--store"):
        store.prove_writable(1)


def test_a_disk_that_is_too_small_is_said_before_anything_starts(store):
    with pytest.raises(PreflightError, match="GiB free, the study needs"):
        store.prove_writable(2**60)
