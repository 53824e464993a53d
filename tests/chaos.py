"""Kill a study again and again, let it go on, and compare what it ends with to a run that was left alone.

    python tests/chaos.py STUDY [--kills 10] [--seed 0] [--reference STORE] [key.sub=value ...]

Moments are uniform over the reference's wall time, one in each of as many equal parts, and are found again in the run
under fire by what is committed, since restarts make it slower. At every other moment, and whenever no actor works, the
driver is ended, by SIGKILL and by Ctrl-C in turns (then the study is run again); at the others an actor that is at work
(engine, encoder, training worker, plain worker: the run must mend itself) is killed, of the kind that was hit least.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet as pq

ACTORS = ("ray::Generator", "ray::Encoder", "ray::RayTrainWorker", "ray::Worker")
Records = dict[tuple[str, str], tuple[int, int]]
AT_WORK = 0.2  # share of a core that a working actor uses at least
BEGUN_S = 0.05  # seconds of computing since it was first seen, after which an actor is at work, however busy the cores are
TABLES = ("samples", "mix", "predictions", "right", "prior", "pool", "test")


class Study:
    """One study on one store, started as often as it takes."""

    def __init__(self, arguments: list[str], store: Path) -> None:
        self.command = [sys.executable, "-m", "divscale", "run", *arguments, "--store", str(store)]
        self.store = store
        self.process: psutil.Popen | None = None
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (lives as long as the study)
        self.first_seen: dict[psutil.Process, float] = {}   # actor -> seconds of computing when `hunt` saw it first

    def start(self) -> None:
        # a shell's background jobs ignore SIGINT, and children inherit that
        self.process = psutil.Popen(
            self.command, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        return [self.process, *self.process.children(recursive=True)]

    def end(self) -> None:
        """End it with all that it started, where it still runs."""
        if self.process is not None and self.process.poll() is None:
            for process in self.family():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait()

    def computed(self) -> dict[psutil.Process, tuple[str, float]]:
        """Kind and seconds of computing of every actor."""
        found = {}
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                kind = next((kind for kind in ACTORS if " ".join(process.cmdline()).startswith(kind)), None)
                if kind is not None:
                    found[process] = kind, sum(process.cpu_times()[:2])
        return found

    def working(self) -> dict[str, psutil.Process]:
        """Kind -> one actor of it that computes at this moment."""
        before = self.computed()
        time.sleep(0.25)
        found = {}
        for process, (kind, used) in before.items():
            with contextlib.suppress(psutil.Error):
                if sum(process.cpu_times()[:2]) - used > AT_WORK * 0.25:
                    found[kind] = process
        return found

    def kill(self, actor: bool, hits: Counter[str]) -> str | None:
        """SIGKILL a working actor, or end the driver. Returns whom and how, or None if the study had ended."""
        assert self.process is not None
        if self.process.poll() is not None:
            return None
        if actor and (working := self.working()):
            kind = min(working, key=lambda kind: hits[kind])
            with contextlib.suppress(psutil.NoSuchProcess):     # it has just ended: then the driver is
                working[kind].kill()
                return kind
        how = min((signal.SIGKILL, signal.SIGINT), key=lambda kind: hits[kind.name])
        family = self.family()
        self.process.send_signal(how)
        code = self.process.wait(timeout=600)
        _, alive = psutil.wait_procs(family, timeout=180)
        assert not alive, f"still running after the driver ended by {how.name}: {alive}"
        if how is signal.SIGINT:
            assert code == 130 and "interrupted" in self.output(), self.output()[-3000:]
        return how.name

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read()


def records(store: Path) -> Records:
    """(stage, fingerprint) -> (inode, mtime) of every committed record."""
    return {(p.parts[-3], p.parts[-2]): (p.stat().st_ino, p.stat().st_mtime_ns) for p in store.glob("*/*/record.json")}


def made_again(before: Records, now: Records) -> int:
    """How many stages that were committed at one look are gone or other ones at a later look."""
    return sum(now.get(stage) != record for stage, record in before.items())


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


def rows_apart(expected: dict[str, object], found: dict[str, object]) -> Counter[str]:
    """Rows of an uninterrupted run's tables that a run lacks or has otherwise, and such that it has too often."""
    apart = Counter(rows_lost=0, rows_doubled=0)
    for key, table in expected.items():
        if isinstance(table, dict):
            wanted, got = _rows(table), _rows(found.get(key, {}))
            apart["rows_lost"] += (wanted - got).total()
            apart["rows_doubled"] += sum(times for row, times in (got - wanted).items() if row in wanted)
    return apart


def _rows(table: dict[str, list[object]]) -> Counter[str]:
    return Counter(repr(row) for row in zip(*table.values(), strict=True))


def place_of(moment_s: float, reference: Path, wall_s: float) -> tuple[int, float]:
    """What the uninterrupted run had done at a moment: stages committed, and seconds since the last of them."""
    commits = sorted(mtime for _, mtime in records(reference).values())
    now = commits[-1] + (moment_s - wall_s) * 1e9
    past = [commit for commit in commits if commit <= now]
    return len(past), (now - past[-1]) / 1e9 if past else moment_s


def hunt(study: Study, hits: Counter[str]) -> None:
    """Kill what is at work of every kind that was not hit yet."""
    for process, (kind, used) in study.computed().items():
        if kind not in hits and used - study.first_seen.setdefault(process, used) > BEGUN_S:
            with contextlib.suppress(psutil.NoSuchProcess):     # it has just ended
                process.kill()
                hits[kind] += 1


def await_moment(study: Study, committed: int, since_s: float, hunted: Counter[str] | None = None) -> None:
    """Wait until a study has committed so much and worked on for so long, or has ended; with `hunted`, the first actor
    of every kind that is seen at work meanwhile is killed.
    """
    begun = time.time()
    while study.process.poll() is None:
        if hunted is not None:
            hunt(study, hunted)
        commits = sorted(mtime / 1e9 for _, mtime in records(study.store).values())
        if len(commits) > committed:
            return
        if len(commits) == committed and time.time() - max([begun, *commits[-1:]]) >= since_s:
            return
        time.sleep(0.1)


def chaos(arguments: list[str], kills: int, seed: int, reference: Path, wall_s: float, store: Path, *, hunting: bool = False
          ) -> dict[str, object]:
    """Run a study under fire, its driver included; raises AssertionError where a promise is broken. Returns what was done.

    With `hunting` every moment ends the driver, and beside that the first actor of every kind that is seen at work is
    killed.
    """
    rng = random.Random(seed)
    moments = [wall_s * (part + rng.random()) / kills for part in range(kills)]
    study, done, hits = Study(arguments, store), [], Counter[str]()
    hunted = hits if hunting else None
    study.start()
    try:
        committed = records(store)
        for number, moment in enumerate(moments):
            await_moment(study, *place_of(moment, reference, wall_s), hunted)
            before = records(store)
            assert not made_again(committed, before), "a committed stage was made again"
            committed = before
            victim = study.kill(not hunting and number % 2 == 1, hits)
            hits[str(victim)] += 1
            stage = max(before, key=lambda key: before[key][1])[0] if before else "nothing"
            done.append({"moment_s": round(moment, 1), "victim": victim, "last_committed": stage, "committed": len(before)})
            if victim in ("SIGKILL", "SIGINT"):
                study.start()
        while hunting and study.process.poll() is None:
            hunt(study, hits)
            time.sleep(0.1)
        ended = same_end(study, reference)
        assert not made_again(committed, records(store)), "a committed stage was made again"
    finally:
        study.end()
    return {"kills": done, "hits": dict(hits), **ended}


def same_end(study: Study, reference: Path, counts: Counter[str] | None = None) -> dict[str, int]:
    """Wait for a study's end and hold it against the uninterrupted run's. Returns how much was compared; what
    `rows_apart` finds is added to `counts` first.

    Where a stage failed for a while (a full disk) there are reports of the other arms beside it.
    """
    code = study.process.wait()
    assert code == 0, f"exit code {code}:\n{study.output()[-3000:]}"
    store, after, wanted = study.store, set(records(study.store)), set(records(reference))
    expected, found = contents(reference), contents(store)
    if counts is not None:
        counts.update(rows_apart(expected, found))
    other = {stage for stage, _ in after - wanted} - {"report"}
    assert wanted <= after and not other, f"not as the uninterrupted run: {wanted - after} are missing, {other} are others"
    wrong = [key for key in expected if found.get(key) != expected[key]]
    assert not wrong, f"{len(wrong)} artifacts differ from the uninterrupted run, for example {wrong[:3]}"
    assert not [p for p in store.glob("*/*/shard-*")], "shards were left behind"
    return {"stages": len(after), "compared": len(expected)}


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
    parser.add_argument("--hunt", action="store_true", help="then one more run, in which one actor of every kind is killed")
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
        print(json.dumps({**found, "wall_s": round(time.monotonic() - begun, 1)}, indent=1), flush=True)
        if options.hunt:
            print(json.dumps(chaos(options.study, 0, options.seed, reference, wall_s, Path(folder) / "hunt", hunting=True),
                             indent=1))


if __name__ == "__main__":
    main()
