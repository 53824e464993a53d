"""The long fuzz: `python tests/fuzz/run.py --cases 10000`; what is found is printed, and summed up in a JSON file.

A case passes where it ends with exit code 0, 2, 3 or 4, one paragraph on standard error unless it is 0, in time, within
the memory, and nothing is written outside of its store. Cases run in processes that are started anew when one dies.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import psutil
from cases import Case, case

COMPUTING_S = 30.0  # of one case; a deadline of computing does not depend on what else the machine does
DEADLINE_S = 600.0
GROWTH_MIB = 700.0
ADDRESS_SPACE = 12 << 30  # above what torch maps


def checked(number: int, this: Case) -> dict[str, Any]:
    """Run a case in this process, in a new folder; `finding` says what is wrong, if anything is."""
    before = set_low_mark()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, contextlib.chdir(folder):
        for name, content in this.files.items():
            path = Path(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        begun, out, err = time.process_time(), io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code, finding = run(this), ""
        except SystemExit as error:
            code, finding = int(error.code or 0), ""
        except BaseException as error:
            code, finding = -1, f"{type(error).__name__}: {str(error)[:200]} at {traceback.extract_tb(error.__traceback__)[-1]}"
        said = err.getvalue()
        if not finding:
            finding = wrong(code, said, {str(path) for path in Path().iterdir()} - {Path(name).parts[0] for name in this.files} - {"store"})
    grown = high_mark_mib() - before
    if not finding and grown > GROWTH_MIB:
        finding = f"memory: {grown:.0f} MiB more"
    return {"number": number, "kind": this.kind, "code": code, "finding": finding, "seconds": round(time.process_time() - begun, 2), "mib": round(grown)}


def run(this: Case) -> int:
    """The exit code of the command line, or of reading data as a study does."""
    from divscale.cli import main
    from divscale.data.config import DataConfig
    from divscale.data.sources import load
    from divscale.errors import DivscaleError

    if this.task is None:
        return main([*this.words, *(("--store", "store") if this.words[0] == "plan" else ())])
    try:
        load(DataConfig.model_validate({"source": this.words[1], "task": this.task, "max_rejected_share": 1.0}))
    except DivscaleError as error:
        print(f"divscale: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def wrong(code: int, said: str, written: set[str]) -> str:
    """What is wrong with how a case ended; empty where nothing is."""
    if code not in (0, 2, 3, 4) or "unforeseen" in said or "Traceback" in said:
        return f"exit code {code}: {said[:300]}"
    if code and not said.strip():
        return "nothing said"
    if code and said.startswith("divscale: ") and len(said.splitlines()) > 1 and "Report of" not in said:
        return f"several lines: {said[:300]}"
    return f"wrote {sorted(written)}" if written else ""


def set_low_mark() -> float:
    """Forget the highest memory use so far; that of now, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return high_mark_mib()


def high_mark_mib() -> float:
    """Highest resident memory of this process since `set_low_mark`, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def work() -> None:
    """Read numbers of cases, run them, write a JSON line for each."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from divscale.stages.measure_terminal import measure_from_terminal  # noqa: F401 (what it imports takes its time)

    faulthandler.register(signal.SIGUSR1)  # a case that takes too long tells where it is
    answers.write("{}\n")  # ready
    for line in sys.stdin:
        answers.write(json.dumps(checked(int(line), case(int(line)))) + "\n")


def computing_s(pid: int) -> float:
    """Computing time of a process so far; 0 where it has ended."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


class Worker:
    """A process that runs cases."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.number, self.since, self.spent = -1, 0.0, 0.0

    def give(self, number: int) -> None:
        """Have it run a case."""
        if self.process is None:
            self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the process)
            self.process = subprocess.Popen([sys.executable, __file__, "--work"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1)
            assert self.process.stdout is not None
            self.process.stdout.readline()  # it is ready
        assert self.process.stdin is not None
        self.number, self.since, self.spent = number, time.monotonic(), computing_s(self.process.pid)
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any] | None:
        """What came of it; null while it runs."""
        process = self.process
        assert process is not None and process.stdout is not None
        if select.select([process.stdout], [], [], 0)[0]:
            line = process.stdout.readline()
            if line:
                return json.loads(line)
            finding = f"the process died ({process.wait()})"
        elif time.monotonic() - self.since > DEADLINE_S or computing_s(process.pid) - self.spent > COMPUTING_S:
            process.send_signal(signal.SIGUSR1)
            time.sleep(1)
            process.kill()
            process.wait()
            finding = f"not done in {COMPUTING_S:g} s of computing"
        else:
            return None
        self.process = None
        self.log.seek(0)
        print(self.log.read()[-3000:], file=sys.stderr)
        return {"number": self.number, "kind": case(self.number).kind, "code": None, "finding": finding, "seconds": round(time.monotonic() - self.since, 2), "mib": None}


def main() -> int:
    """Run cases, print findings, write the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", help="write the summary here")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work()
        return 0
    begun, numbers, done = time.monotonic(), iter(range(arguments.first, arguments.first + arguments.cases)), []
    idle, busy = [Worker() for _ in range(arguments.workers)], []
    while True:
        for worker in list(idle):
            if (number := next(numbers, None)) is None:
                break
            idle.remove(worker)
            worker.give(number)
            busy.append(worker)
        if not busy:
            break
        select.select([worker.process.stdout for worker in busy], [], [], 1.0)
        for worker in list(busy):
            if (found := worker.answer()) is not None:
                busy.remove(worker)
                idle.append(worker)
                done.append(found)
                if found["finding"]:
                    print(json.dumps(found), flush=True)
    for worker in idle:
        if worker.process is not None and worker.process.stdin is not None:
            worker.process.stdin.close()
            worker.process.wait()
    findings = [found for found in done if found["finding"]]
    summary = {
        "date": time.strftime("%Y-%m-%d"), "command": f"python tests/fuzz/run.py --cases {arguments.cases} --first {arguments.first}",
        "cases": len(done), "minutes": round((time.monotonic() - begun) / 60, 1),
        "by_kind": dict(sorted(Counter(found["kind"] for found in done).items())),
        "exit_codes": {str(code): count for code, count in sorted(Counter(str(found["code"]) for found in done).items())},
        "slowest_s_of_computing": max(found["seconds"] for found in done), "most_memory_mib": max(found["mib"] or 0 for found in done),
        "deadline_s_of_computing": COMPUTING_S, "memory_limit_mib": GROWTH_MIB, "findings": len(findings)}
    print(json.dumps(summary, indent=1))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
