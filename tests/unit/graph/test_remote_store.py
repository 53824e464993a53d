"""The store on an object store: a real S3 API server on loopback, which other processes reach too."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pyarrow as pa
import pytest
from toys import Counting, Silent, number, total

from divscale.errors import ConfigError, PreflightError, StageFailedError
from divscale.graph.drivers import Drivers
from divscale.graph.garbage import find_garbage, remove
from divscale.graph.objects import Objects
from divscale.graph.plan import missing
from divscale.graph.remote_store import RemoteStore
from divscale.graph.runner import execute
from tests.processes import free_port
from tests.s3_server import make_bucket, s3_server

BUCKETS = itertools.count()


@pytest.fixture(scope="module")
def server():
    with s3_server(free_port()) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("DIVSCALE_LEASE_S", "600")     # on a busy machine the living may be silent for a minute
        yield environment


@pytest.fixture
def uri(server):
    name = f"bucket-{next(BUCKETS)}"
    make_bucket(server, name)
    return f"s3://{name}/studies"


@pytest.fixture
def open_store(uri, tmp_path):
    """A store as another machine sees it: each with a cache of its own."""
    caches = itertools.count()
    return lambda: RemoteStore(uri, tmp_path / f"cache-{next(caches)}")


def write(store, stage, value):
    draft = store.draft(stage)
    draft.write_table("numbers", pa.table({"value": [value]}))
    return draft.commit()


def run(store, *targets, **options):
    counting = Counting(**options)
    execute(targets, store, counting.handlers(), Silent(), poll_s=0.05)
    return counting.ran


def test_what_one_machine_commits_another_finds_and_reads(open_store):
    here, there = open_store(), open_store()
    assert there.find(number(1)) is None
    write(here, number(1), 5)
    there.renew("number")
    found = there.find(number(1))
    assert found is not None and found.table("numbers").to_pydict() == {"value": [5]}
    assert [record.title for record in there.records("number")] == ["1"]


def test_of_two_writers_the_first_commit_stands(open_store):
    here, there = open_store(), open_store()
    first, second = here.draft(number(1)), there.draft(number(1))
    first.write_table("numbers", pa.table({"value": [1]}))
    second.write_table("numbers", pa.table({"value": [2]}))
    first.commit()
    assert second.commit().table("numbers").to_pydict() == {"value": [1]}
    assert there.open(number(1)).table("numbers").to_pydict() == {"value": [1]}


def test_a_folder_of_files_comes_back_whole(open_store):
    draft = open_store().draft(number(1))
    tree = draft.new_tree("model")
    (tree / "config.json").write_text("{}")
    (tree / "weights").write_bytes(bytes(7_000_000))
    draft.commit()
    back = open_store().open(number(1)).tree("model")
    assert sorted(p.name for p in back.iterdir()) == ["config.json", "weights"]
    assert (back / "weights").stat().st_size == 7_000_000


def test_bytes_that_were_changed_in_the_bucket_are_not_used(open_store, uri):
    entry = write(open_store(), number(1), 5).record.files["numbers"][0]
    key = f"number/{number(1).fingerprint}/{entry.path}"
    Objects(uri).put(key, b"x" * entry.size)
    with pytest.raises(StageFailedError, match="not those that were committed"):
        open_store().open(number(1)).table("numbers")
    Objects(uri).put(key, b"short")
    with pytest.raises(StageFailedError, match="another size"):
        open_store().find(number(1))


def save(draft, step, *, whole=True):
    """As rank 0 does: the folder of a step, the pointer, and away with the folders before."""
    folder = draft.unfinished() / "checkpoints"
    (folder / f"step-{step}").mkdir(parents=True)
    (folder / f"step-{step}" / "rank-0").write_text(f"step {step}")
    (draft.unfinished() / "metrics.jsonl").write_text(f"step {step}")
    if whole:
        (folder / ".latest.json").write_text(f'{{"tag": "step-{step}"}}')
        (folder / ".latest.json").rename(folder / "latest.json")
        for other in folder.glob("step-*"):
            if other.name != f"step-{step}":
                shutil.rmtree(other)


def held(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_checkpoint_is_kept_without_the_half_of_the_next_one(open_store, uri):
    draft = open_store().draft(number(1))
    save(draft, 1)
    save(draft, 2, whole=False)
    draft.keep_unfinished()
    assert held(open_store().draft(number(1)).unfinished()) == [
        "checkpoints/latest.json", "checkpoints/step-1/rank-0", "metrics.jsonl"]


@pytest.mark.parametrize("name", ["metrics.jsonl", "step-1/rank-0"])
def test_a_checkpoint_that_goes_while_it_is_uploaded_is_left_to_the_next_time(name, open_store, monkeypatch):
    store = open_store()
    draft = store.draft(number(1))
    save(draft, 1)
    upload, went = Objects.upload, []

    def late(self, path, key):
        if key.endswith(name) and not went:
            went.append(key)
            save(draft, 2)
        upload(self, path, key)

    monkeypatch.setattr("divscale.graph.remote_store.AT_ONCE", 1)
    monkeypatch.setattr(Objects, "upload", late)
    draft.keep_unfinished()
    assert went and held(open_store().draft(number(1)).unfinished()) == []
    draft.keep_unfinished()
    assert held(open_store().draft(number(1)).unfinished()) == [
        "checkpoints/latest.json", "checkpoints/step-2/rank-0", "metrics.jsonl"]


def test_the_checkpoint_in_the_bucket_counts_where_another_lies_in_the_cache(open_store, uri, tmp_path):
    here, there = RemoteStore(uri, tmp_path / "here"), open_store()
    draft = here.draft(number(1))
    save(draft, 1)
    draft.keep_unfinished()
    elsewhere = there.draft(number(1))
    assert (elsewhere.unfinished() / "checkpoints" / "step-1").is_dir()
    save(elsewhere, 2)
    elsewhere.keep_unfinished()
    again = RemoteStore(uri, tmp_path / "here").draft(number(1))
    assert held(again.unfinished()) == ["checkpoints/latest.json", "checkpoints/step-2/rank-0", "metrics.jsonl"]
    again.keep_unfinished()
    save(again, 3)
    assert (again.unfinished() / "checkpoints" / "step-3").is_dir()  # what this attempt wrote itself stays
    assert held(open_store().draft(number(1)).unfinished()) == [
        "checkpoints/latest.json", "checkpoints/step-2/rank-0", "metrics.jsonl"]


def test_a_checkpoint_that_could_not_be_read_leaves_the_bucket_and_is_not_uploaded_again(open_store, monkeypatch):
    draft = open_store().draft(number(1))
    save(draft, 1)
    draft.keep_unfinished()
    again = open_store().draft(number(1))
    (again.unfinished() / "checkpoints" / "latest.json").unlink()  # as training does, which begins anew then
    upload, sent = Objects.upload, []
    monkeypatch.setattr(Objects, "upload", lambda self, path, key: (sent.append(path.name), upload(self, path, key)))
    again.keep_unfinished()
    assert sent == ["metrics.jsonl"]
    assert held(open_store().draft(number(1)).unfinished()) == []  # nothing points to what an attempt would go on from
    save(again, 2)
    again.keep_unfinished()
    assert held(open_store().draft(number(1)).unfinished()) == [
        "checkpoints/latest.json", "checkpoints/step-2/rank-0", "metrics.jsonl"]


def test_finished_parts_and_kept_work_are_found_again_by_another_machine_and_swept_at_the_commit(open_store, uri):
    draft = open_store().draft(number(1))
    draft.add_shard("rows", pa.table({"a": [1]}))
    save(draft, 1)
    draft.keep_unfinished()
    save(draft, 2)
    draft.keep_unfinished()
    again = open_store().draft(number(1))
    assert [table.to_pydict() for table in again.shards("rows")] == [{"a": [1]}]
    assert held(again.unfinished()) == ["checkpoints/latest.json", "checkpoints/step-2/rank-0", "metrics.jsonl"]
    again.commit()
    assert [entry.key.rpartition("/")[2] for entry in Objects(uri).list("number")] == ["record.json"]


def test_a_rerun_makes_what_is_missing_and_nothing_else(open_store):
    assert run(open_store(), total(number(1), number(2))) == ["number 1", "number 2", "total sum"]
    assert run(open_store(), total(number(1), number(2))) == []
    assert run(open_store(), total(number(1), number(3))) == ["number 3", "total sum"]


def test_pruned_files_are_made_again_where_they_are_read(open_store, uri):
    run(open_store(), total(number(1), number(2)))
    assert open_store().prune(number(2), "numbers")
    assert not [e for e in Objects(uri).list(f"number/{number(2).fingerprint}") if e.key.endswith(".parquet")]
    store = open_store()
    assert store.find(number(2)).pruned == {"numbers"} and missing([total(number(1), number(2))], store) == []
    assert run(store, total(number(2), extra=7)) == ["number 2", "total sum"]
    assert open_store().open(number(2)).table("numbers").num_rows == 1


def test_debris_goes_and_artifacts_stay(open_store, uri):
    run(open_store(), total(number(1), number(2)))
    objects = Objects(uri)
    objects.put(f"number/{number(2).fingerprint}/model.0123/weights", b"half of it")
    objects.put(f"number/{number(3).fingerprint}/unfinished/step", b"1")
    store = open_store()
    assert [(item.path, item.size) for item in find_garbage(store)] == [("model.0123/weights", 10)]
    remove(store, find_garbage(store, unfinished=True))
    assert find_garbage(open_store(), unfinished=True) == []
    assert run(open_store(), total(number(1), number(2))) == []


def test_a_lease_is_held_by_the_living_and_taken_over_from_the_dead(open_store, uri, server, monkeypatch):
    code = ("import sys, time; from divscale.graph.drivers import Drivers; from divscale.graph.objects import Objects\n"
            "drivers = Drivers(Objects(sys.argv[1])); drivers.everything()\n"
            "print(drivers.acquire('f'), flush=True); time.sleep(600)")
    holder = subprocess.Popen([sys.executable, "-c", code, uri], stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert holder.stdout.readline() == "True\n"
        mine = Drivers(Objects(uri))
        with mine.present():
            assert not mine.acquire("f")
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            assert mine.acquire("g") and mine.living(now=True).keys() == {mine.id}
            assert mine.acquire("f")
            mine.release("f")
        other = Drivers(Objects(uri))
        with other.present():
            assert other.acquire("f")
    finally:
        holder.kill()


def test_a_driver_of_another_host_counts_as_dead_when_it_has_said_nothing_for_long(uri, monkeypatch):
    monkeypatch.setattr("divscale.graph.drivers._kernel", lambda: "another host")
    asleep = Drivers(Objects(uri))
    asleep._say()
    assert asleep.acquire("f")
    monkeypatch.undo()
    for name, value in os.environ.items():
        monkeypatch.setenv(name, value)
    mine = Drivers(Objects(uri))
    with mine.present():
        mine._lease_s = 600
        assert not mine.acquire("f")
        mine._lease_s = 2
        time.sleep(4)
        assert mine.acquire("f")


def test_a_driver_that_began_a_moment_ago_keeps_its_lease(uri):
    first, second = Drivers(Objects(uri)), Drivers(Objects(uri))
    with first.present():
        assert first.living().keys() == {first.id}
        with second.present():
            assert second.acquire("f")
            assert not first.acquire("f")


def test_a_lease_is_taken_over_also_in_a_bucket_that_keeps_versions(uri, server):
    boto3.client("s3", endpoint_url=server["AWS_ENDPOINT_URL"]).put_bucket_versioning(
        Bucket=uri.split("/")[2], VersioningConfiguration={"Status": "Enabled"})
    objects = Objects(uri)
    assert objects.create("leases/f", b"one that is dead")
    assert "version" in objects.get("leases/f")[1]
    mine = Drivers(objects)
    with mine.present():
        assert mine.acquire("f")


def test_files_that_a_driver_is_going_to_read_are_not_removed(open_store, uri):
    run(open_store(), total(number(1), number(2)))
    reader = Drivers(Objects(uri))
    reader.everything()
    try:
        reader.only({number(1).fingerprint})
        reader._say()
        store = open_store()
        assert not store.prune(number(1), "numbers") and store.prune(number(2), "numbers")
        with pytest.raises(PreflightError, match="a run is at work"):
            remove(store, find_garbage(store, needed=set()))
    finally:
        reader.nothing()
    assert open_store().prune(number(1), "numbers")


def test_who_begins_while_files_are_removed_waits_and_says_so(uri):
    remover, reader = Drivers(Objects(uri)), Drivers(Objects(uri))
    order, said = [], threading.Event()
    with remover.alone("f") as may_go:
        assert may_go
        thread = threading.Thread(target=lambda: (reader.everything(said.set), order.append("reader"), reader.nothing()))
        thread.start()
        assert said.wait(300)
        time.sleep(1)
        order.append("removed")
    thread.join(300)
    assert order == ["removed", "reader"]


def test_two_drivers_at_once_make_each_stage_once(open_store):
    stages = [number(i) for i in range(12)]
    ran: list[list[str]] = [[], []]

    def drive(i):
        ran[i] = run(open_store(), total(*stages))

    threads = [threading.Thread(target=drive, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert sorted(ran[0] + ran[1]) == sorted([*(f"number {i}" for i in range(12)), "total sum"])


class Sullen(BaseHTTPRequestHandler):
    """Passes requests on to the S3 server, but answers some with 503 and drops the connection of others."""

    behind = ""
    count = itertools.count()

    def _pass(self):
        n = next(self.count)
        if n % 5 == 1:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if n % 5 == 3:
            self.close_connection = True
            self.connection.close()
            return
        import http.client

        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host, port = self.behind.removeprefix("http://").split(":")
        back = http.client.HTTPConnection(host, int(port))
        back.request(self.command, self.path, body, dict(self.headers))
        answer = back.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "server", "date"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

    def log_message(self, *_):
        pass


def test_throttling_and_dropped_connections_are_tried_again(open_store, server, monkeypatch):
    Sullen.behind = server["AWS_ENDPOINT_URL"]
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Sullen)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
    try:
        assert run(open_store(), total(number(1), number(2))) == ["number 1", "number 2", "total sum"]
        assert run(open_store(), total(number(1), number(2))) == []
    finally:
        proxy.shutdown()


def test_a_store_that_cannot_be_reached_ends_in_one_paragraph_and_names_no_credentials(tmp_path, monkeypatch, server):
    monkeypatch.setattr("divscale.graph.objects.RETRIES", 1)
    with socket.socket() as taken, pytest.raises(PreflightError, match=r"s3://nowhere/x.*did not answer") as told:
        taken.bind(("127.0.0.1", 0))    # and nobody listens there
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        RemoteStore("s3://nowhere/x", tmp_path).prove_writable(0)
    assert server["AWS_SECRET_ACCESS_KEY"] not in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize("wrong", ["s3://KEY:SECRET@bucket/x", "ftp://host/x", "s3://bucket/x?secret_access_key=SECRET"])
def test_addresses_of_other_kinds_or_with_credentials_are_refused_without_repeating_these(wrong, tmp_path):
    with pytest.raises(ConfigError) as told:
        RemoteStore(wrong, tmp_path)
    assert "SECRET" not in str(told.value)
