"""Faults drawn at random over a study that runs on three hosts, and what it ends with held against a run left alone.

    python tests/chaos_hosts.py STUDY [--faults 100] [--minutes M] [--seed 0] [--out F.json] [key.sub=value ...]

Hosts are network namespaces (tests/hosts.py), the store is a small file system of its own (tests/faults.py). Runs
follow one another, each on an empty store and with faults until it is done, until so many were dealt out. A driver that
ends early is started again, and so is a Ray node that ends by itself; both are counted. After each run: the ids of the
uninterrupted one, no row lost or doubled, no committed stage made again. Ends with 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.chaos import Records, made_again, records, run_alone, same_end
from tests.faults import Faults, HostStudy, left_out, small_disk
from tests.hosts import Hosts, hosts, reason_not_here

BY_ITSELF = "Ray node ended by itself"
OWN = frozenset({1, 3})     # divscale's own ends for what it cannot mend: a stage failed, preflight
MAY_END = {                 # what a driver may end with, but for 0; it survives all other faults
    "driver killed": frozenset({-signal.SIGKILL}), "head node killed": OWN, "raylet killed": OWN,
    "node removed and returned": OWN, "network cut for 30 s": OWN, "disk full": OWN, "store read-only": OWN, BY_ITSELF: OWN}
COUNTS = ("rows_lost", "rows_doubled", "stages_made_again", "drivers_started_again", "nodes_started_again")
BAD = COUNTS[:3]
FIRST_S = 6.0
PATIENCE_S = 120.0          # the next fault waits so long for the next commit: faults alone make no progress


def under_fire(
    arguments: list[str], store: Path, on: Hosts, reference: Path, rng: random.Random, every_s: float,
    done: list[dict[str, object]], counts: Counter[str], more: Callable[[], bool], only: tuple[str, ...] = (),
    keep: Path | None = None,
) -> None:
    """One run, with faults that are added to `done` while `more` says so; raises AssertionError where a promise is
    broken (its store and its output are copied to `keep` then). A fault comes up to `every_s` after the first commit
    since the one before. What is found is added to `counts`, under the names of `COUNTS`.
    """
    store.mkdir(parents=True, exist_ok=True)
    study = HostStudy(arguments, store, on)
    try:
        kinds = {name: fault for name, fault in Faults(study, on, rng).kinds().items() if not only or name in only}
        _under_fire(study, on, kinds, rng, every_s, done, counts, more)
        same_end(study, reference, counts)
        assert gone(study), "actors are left when the driver has ended"
    except AssertionError:
        if keep is not None:
            shutil.copytree(store, keep, dirs_exist_ok=True)
            (keep / "output.log").write_text(study.output())
        raise
    finally:
        counts["nodes_started_again"] += on.started_again
        if study.process is not None and study.process.poll() is None:
            study.process.kill()


def _under_fire(
    study: HostStudy, on: Hosts, kinds: dict[str, Callable[[], str | None]], rng: random.Random, every_s: float,
    done: list[dict[str, object]], counts: Counter[str], more: Callable[[], bool],
) -> None:
    study.start()
    committed, restarts, since = records(study.store), 0, time.monotonic()
    earlier, struck = set[str](), set[str]()    # kinds of faults since the driver before this one started, and since this one
    pending: dict[str, object] | None = None
    next_s = time.monotonic() + FIRST_S
    while True:
        code = study.process.poll()
        now = _look(study, committed, counts)
        if pending is not None and len(now) > len(committed):
            pending["recovered_s"], pending = round(time.monotonic() - since, 1), None
            next_s = time.monotonic() + every_s * rng.random()
        committed = now
        if code == 0:
            break
        if code is not None:
            assert code in may_end(earlier | struck), (
                f"exit code {code} after {sorted(earlier | struck) or 'no fault'}:\n{study.output()[-3000:]}")
            restarts += 1
            assert restarts < 60, study.output()[-3000:]
            earlier, struck = struck, set()
            counts["drivers_started_again"] += 1
            study.start()
        elif more() and time.monotonic() > next_s and (
                pending is None or time.monotonic() - since > PATIENCE_S):
            # the kinds that were dealt out least come first
            dealt = Counter(fault["fault"] for fault in done)
            kind = min(kinds, key=lambda name: (dealt[name], rng.random()))
            begun = time.monotonic()
            whom = kinds[kind]()
            since = time.monotonic()
            committed = now = _look(study, committed, counts)
            if whom is not None:
                struck.add(kind)
                pending = {"fault": kind, "at": whom, "lasted_s": round(since - begun, 1), "committed": len(now)}
                done.append(pending)
                print(json.dumps(pending), flush=True)
            else:
                next_s = time.monotonic() + 2
        ended = on.started_again
        on.keep()
        if on.started_again > ended:
            struck.add(BY_ITSELF)
        time.sleep(0.5)


def _look(study: HostStudy, committed: Records, counts: Counter[str]) -> Records:
    """The records of now, which have to hold those that were committed before."""
    now = records(study.store)
    again = made_again(committed, now)
    counts["stages_made_again"] += again
    assert not again, f"{again} committed stage(s) were made again"
    return now


def may_end(kinds: Iterable[str]) -> frozenset[int]:
    """What a driver may end with after faults of these kinds, but for 0."""
    return frozenset().union(*(MAY_END.get(kind, frozenset()) for kind in kinds))


def gone(study: HostStudy) -> bool:
    """Whether no actor is left within half a minute."""
    for _ in range(30):
        if not study.actors():
            return True
        time.sleep(1)
    return False


def main() -> None:
    """Reads the command line; see the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("study", nargs="+")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no fault after so many; runs end in peace")
    parser.add_argument("--every-s", type=float, default=10)
    parser.add_argument("--only", action="append", default=[], help="a kind of fault; again for more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reference", type=Path, help="store of an uninterrupted run")
    parser.add_argument("--keep", type=Path, help="folder for what runs that broke a promise leave")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    why = reason_not_here()
    if why:
        sys.exit(f"chaos_hosts: {why}")
    rng, dealt, broken, runs, begun = random.Random(options.seed), [], [], 0, time.monotonic()
    counts, missing, met = Counter[str](), left_out(), False
    for kind, reason in missing.items():
        print(f"left out on this machine: {kind}: {reason}", flush=True)

    def more() -> bool:
        return len(dealt) < options.faults and time.monotonic() - begun < 60 * options.minutes

    with tempfile.TemporaryDirectory(prefix="ds") as name:
        folder = Path(name)
        reference = options.reference
        if reference is None:
            reference = folder / "alone"
            run_alone(options.study, reference)
        while more():
            place = folder / f"run{runs}"
            try:
                with small_disk(place / "disk") as disk, hosts(place) as on:
                    under_fire(options.study, disk / "store", on, reference, rng, options.every_s, dealt, counts, more,
                               tuple(options.only), options.keep and options.keep / f"run{runs}")
            except AssertionError as error:
                broken.append(str(error))
                print(f"BROKEN: {error}", flush=True)
            runs += 1
            found = {
                **verdict(dealt, counts, broken, options.faults), "stages_of_a_run": len(records(reference)),
                "study": options.study, "seed": options.seed, "runs": runs, "runs_that_broke_a_promise": broken,
                "kinds_left_out": missing, **told(dealt), "wall_s": round(time.monotonic() - begun)}
            print(json.dumps(found, indent=1), flush=True)
            if options.out:
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps({**found, "dealt": dealt}, indent=1) + "\n")
            met = found["met"]
    if not met:
        sys.exit(1)


def verdict(
    dealt: list[dict[str, object]], counts: Counter[str], broken: list[str], wanted: int,
) -> dict[str, object]:
    """What was asked for, whether it was met, and the counts that say so."""
    return {"requirement": f"{wanted} faults over a study on three nodes: ends with the ids and rows of an uninterrupted "
                           "run, no row lost or doubled, no committed stage made again, no actor left",
            "met": len(dealt) >= wanted and not broken and not any(counts[name] for name in BAD),
            **{name: counts[name] for name in COUNTS}}


def told(dealt: list[dict[str, object]]) -> dict[str, object]:
    """The faults by kind, and how long after the end of each the next stage was committed."""
    kinds = sorted({str(fault["fault"]) for fault in dealt})
    after = {kind: sorted(f["recovered_s"] for f in dealt if f["fault"] == kind and "recovered_s" in f)
             for kind in kinds}
    return {"faults": len(dealt), "by_kind": {
        kind: {"faults": sum(fault["fault"] == kind for fault in dealt), "committed_again": len(after[kind]),
               "median_s": statistics.median(after[kind]) if after[kind] else None,
               "most_s": max(after[kind], default=None)} for kind in kinds}}


if __name__ == "__main__":
    main()
