"""Kill a study again and again, let it go on, and compare what it ends with to a run that was left alone.

    python tests/chaos.py STUDY [--kills 10] [--seed 0] [--reference STORE] [key.sub=value ...]

Moments are uniform over the reference's wall time. Victims take turns: the driver (then the study is run again), and
an actor that is at work at that moment (engine, encoder, training worker, plain worker: the run must mend itself).
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq

ACTORS = ("ray::Generator", "ray::Encoder", "ray::RayTrainWorker", "ray::Worker")
TABLES = ("samples", "mix", "predictions", "right", "prior", "pool", "test")


class Study:
    """One study on one store, started as often as it takes."""

    def __init__(self, arguments: list[str], store: Path) -> None:
        self.command = [sys.executable, "-m", "divscale", "run", *arguments, "--store", str(store)]
        self.store = store
        self.process: psutil.Popen | None = None
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (lives as long as the study)

    def start(self) -> None:
        # a shell's background jobs ignore SIGINT, and children inherit that
        self.process = psutil.Popen(
            self.command, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        return [self.process, *self.process.children(recursive=True)]

    def kill(self, victim: str) -> str | None:
        """SIGKILL the driver or a working actor. Returns whom, or None if there was nobody."""
        assert self.process is not None
        if self.process.poll() is not None:
            return None
        if victim == "actor":
            for process in self.family():
                name = " ".join(process.cmdline()) if process.is_running() else ""
                if name.startswith(ACTORS):
                    process.kill()
                    return name.split(".")[0].split("(")[0]
        family = self.family()
        self.process.kill()
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive, f"still running 60 s after the driver was killed: {alive}"
        return "driver"

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read()


def records(store: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """(stage, fingerprint) -> (inode, mtime) of every committed record."""
    return {(p.parts[-3], p.parts[-2]): (p.stat().st_ino, p.stat().st_mtime_ns) for p in store.glob("*/*/record.json")}


def contents(store: Path) -> dict[str, object]:
    """What an artifact holds, without what may differ (file names, times): ids of every table, text of every sample."""
    found: dict[str, object] = {}
    for path in store.glob("*/*/record.json"):
        record = json.loads(path.read_text())
        key = f"{path.parts[-3]}/{path.parts[-2]}"
        found[key] = (record["config"], record["rows"])
        for role, files in record["files"].items():
            if role in TABLES:
                table = pq.read_table(path.parent / files[0]["path"])
                columns = [name for name in table.column_names if name not in ("loss", "prediction", "correct")]
                found[f"{key}/{role}"] = table.select(columns).to_pydict()
    return found


def chaos(arguments: list[str], kills: int, seed: int, reference: Path, wall_s: float, store: Path) -> dict[str, object]:
    """Run a study under fire; raises AssertionError where a promise is broken. Returns what was done."""
    rng = random.Random(seed)
    moments = sorted(rng.uniform(0, wall_s) for _ in range(kills))
    study, done, ran_s = Study(arguments, store), [], 0.0
    study.start()
    committed = records(store)
    for number, moment in enumerate(moments):
        begun = time.monotonic()
        while ran_s + time.monotonic() - begun < moment and study.process.poll() is None:
            time.sleep(0.05)
        ran_s += time.monotonic() - begun
        before = records(store)
        assert committed.items() <= before.items(), "a committed stage was made again"
        committed = before
        victim = study.kill("driver" if number % 2 == 0 else "actor")
        stage = max(before, key=lambda key: before[key][1])[0] if before else "nothing"
        done.append({"moment_s": round(moment, 1), "victim": victim, "last_committed": stage, "committed": len(before)})
        if victim == "driver":
            study.start()
    code = study.process.wait()
    assert code == 0, f"exit code {code}:\n{study.output()[-3000:]}"
    after = records(store)
    assert committed.items() <= after.items(), "a committed stage was made again"
    assert set(after) == set(records(reference)), "other fingerprints than the uninterrupted run"
    expected, found = contents(reference), contents(store)
    wrong = [key for key in expected if found.get(key) != expected[key]]
    assert not wrong, f"{len(wrong)} artifacts differ from the uninterrupted run, for example {wrong[:3]}"
    assert not [p for p in store.glob("*/*/shard-*")], "shards were left behind"
    return {"kills": done, "stages": len(after), "compared": len(expected)}


def run_alone(arguments: list[str], store: Path) -> float:
    """The uninterrupted run. Returns its wall seconds."""
    study, begun = Study(arguments, store), time.monotonic()
    study.start()
    code = study.process.wait()
    assert code == 0, study.output()[-3000:]
    return time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("study", nargs="+")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reference", type=Path, help="store of an uninterrupted run; with --wall-s")
    parser.add_argument("--wall-s", type=float)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reference, wall_s = options.reference, options.wall_s
        if reference is None:
            reference = Path(folder) / "alone"
            wall_s = run_alone(options.study, reference)
        print(json.dumps({"reference_wall_s": round(wall_s, 1)}), flush=True)
        begun = time.monotonic()
        found = chaos(options.study, options.kills, options.seed, reference, wall_s, Path(folder) / "chaos")
        print(json.dumps({**found, "wall_s": round(time.monotonic() - begun, 1)}, indent=1))


if __name__ == "__main__":
    main()
