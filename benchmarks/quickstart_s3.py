"""The quickstart with its store and its rows on an S3 API server: killed, gone on with elsewhere, ended by two drivers.

The server is moto's on loopback (tests/s3_server.py). Every driver has a cache of its own, as on another machine. Held
against the same study on a local folder: the same ids, and no committed stage made again.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from divscale.data import pydocs  # noqa: E402
from divscale.graph.objects import Objects  # noqa: E402
from tests.processes import free_port  # noqa: E402
from tests.s3_server import environment_of, make_bucket, s3_server  # noqa: E402

REQUIREMENT = "killed twice and ended by two drivers at once: the ids of a local run, no committed stage made again"
STUDY = str(ROOT / "configs" / "quickstart.yaml")
STORE = "s3://bucket/studies"
KILL_AT = (0.2, 0.5)    # of the stages


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ds") as name, s3_server(free_port()) as server:
        folder = Path(name)
        os.environ |= server
        rows = folder / "rows.parquet"
        pq.write_table(pydocs.load().select(["text", "label"]), rows)
        make_bucket(server, "bucket")
        Objects("s3://bucket/in").upload(rows, rows.name)

        begun = time.monotonic()
        alone = driver(folder / "alone", str(rows), folder / "cache-alone")
        told = alone.communicate()[0]
        assert alone.returncode == 0, told
        local_s = time.monotonic() - begun
        expected = {path.parent.relative_to(folder / "alone").as_posix()
                    for path in (folder / "alone").glob("*/*/record.json")}

        begun, kills = time.monotonic(), []
        for number, share in enumerate(KILL_AT):
            before = committed()
            victim = driver(STORE, "s3://bucket/in/rows.parquet", folder / f"cache{number}")
            while len(committed()) < share * len(expected):
                assert victim.poll() is None, victim.communicate()[0]
                time.sleep(1)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            after = committed()
            assert before.items() <= after.items(), "a committed stage was made again"
            kills.append({"committed": len(after)})
        before = committed()
        both = [driver(STORE, "s3://bucket/in/rows.parquet", folder / f"cache-{which}") for which in "ab"]
        said = [each.communicate()[0] for each in both]
        s3_s = time.monotonic() - begun
        after = committed()
        made = [int(found[1]) if (found := re.search(r"(\d+) of \d+ stages ran", text)) else 0 for text in said]
        left = [entry.key for entry in Objects(STORE).list()
                if "/shard-" in entry.key or "/unfinished/" in entry.key or entry.key.startswith("drivers/")]
        figures = {
            "stages": len(expected), "kills": kills, "exit_codes": [each.returncode for each in both],
            "made_by_each_of_two": made, "made_at_once": len(after) - len(before),
            "stages_made_again": len(before.items() - after.items()),
            "other_ids": len({key.removesuffix("/record.json") for key in after} ^ expected), "left_behind": len(left),
            "objects": sum(1 for _ in Objects(STORE).list()),
            "mib": round(sum(entry.size for entry in Objects(STORE).list()) / 2**20, 1),
            "local_wall_s": round(local_s), "s3_wall_s_with_two_kills": round(s3_s)}
        met = (figures["exit_codes"] == [0, 0] and not figures["stages_made_again"] and not figures["other_ids"]
               and not left and sum(made) == figures["made_at_once"])
        if figures["exit_codes"] != [0, 0]:
            print(*said, sep="\n", file=sys.stderr)
        print(json.dumps({"requirement": REQUIREMENT, **figures, "met": met}, indent=1))
        return 0 if met else 1


def driver(store: Path | str, source: str, cache: Path) -> subprocess.Popen[str]:
    """A run that shares nothing local with others."""
    return subprocess.Popen(
        [sys.executable, "-m", "divscale", "run", STUDY, f"data.source={source}", "--store", str(store)], text=True,
        env={**environment_of({}), "DIVSCALE_CACHE": str(cache)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True)


def committed() -> dict[str, object]:
    """When each record was written, by its key."""
    return {entry.key: entry.modified for entry in Objects(STORE).list() if entry.key.endswith("/record.json")}


if __name__ == "__main__":
    sys.exit(main())
