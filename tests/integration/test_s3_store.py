"""A study whose store and rows lie on an S3 API server: killed, gone on with by two drivers of other machines at once."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from divscale.data import pydocs
from divscale.graph.objects import Objects
from tests.processes import free_port
from tests.s3_server import environment_of, make_bucket, s3_server

SMOKE = str(Path(__file__).parents[1] / "studies" / "smoke.yaml")
SMALL = ["generator.engine={engine: transformers, max_model_len: 96}", "train={method: probe}"]


def driver(environment, cache):
    """A driver as on a machine of its own: nothing local is shared with others."""
    return subprocess.Popen(
        [sys.executable, "-m", "divscale", "run", SMOKE, *SMALL, "data.source=s3://bucket/in/rows.parquet", "--store",
         "s3://bucket/studies"], env={**environment, "DIVSCALE_CACHE": str(cache)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def committed():
    return {entry.key: entry.modified for entry in Objects("s3://bucket/studies").list()
            if entry.key.endswith("/record.json")}


@pytest.mark.engine
@pytest.mark.long
def test_killed_and_finished_by_two_drivers_at_once_each_stage_is_made_once(tmp_path, monkeypatch):
    with s3_server(free_port()) as server:
        for name, value in server.items():
            monkeypatch.setenv(name, value)
        environment = environment_of(server)
        make_bucket(server, "bucket")
        pq.write_table(pydocs.load().select(["text", "label"]), tmp_path / "rows.parquet")
        Objects("s3://bucket/in").upload(tmp_path / "rows.parquet", "rows.parquet")

        first = driver(environment, tmp_path / "a")
        while len(before := committed()) < 8:
            assert first.poll() is None, first.stdout.read()
            time.sleep(0.5)
        first.send_signal(signal.SIGKILL)
        first.wait()
        before = committed()

        both = [driver(environment, tmp_path / name) for name in ("b", "c")]
        said = [each.communicate()[0] for each in both]
        assert [each.returncode for each in both] == [0, 0], said
        after = committed()
        assert before.items() <= after.items(), "a committed stage was made again"
        made = [int(found[1]) for text in said if (found := re.search(r"(\d+) of \d+ stages ran", text))]
        assert sum(made) == len(after) - len(before)

        third = driver(environment, tmp_path / "d")
        assert "everything is cached" in third.communicate()[0]
        left = [entry.key for entry in Objects("s3://bucket/studies").list()]
        assert not [key for key in left if "/shard-" in key or "/unfinished/" in key or key.startswith("drivers/")]
        assert "reports/smoke.html" in left
        told = b"".join(Objects("s3://bucket/studies").get(key)[0] for key in after) + "".join(said).encode()
        assert server["AWS_SECRET_ACCESS_KEY"].encode() not in told
