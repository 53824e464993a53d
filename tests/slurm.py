"""A real Slurm of two nodes on this machine: munged, slurmctld and two slurmd, all of one folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.processes import free_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "srun")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=20
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes=node1,node2 Default=YES State=UP MaxTime=30
"""


def missing_programs() -> list[str]:
    """Those of Slurm and munge that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


def _path() -> str:
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


class Slurm:
    """What a test does with it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**environment, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}

    def __call__(self, *words: str, **environment: str) -> str:
        """The output of one of its commands."""
        return subprocess.run(words, check=True, capture_output=True, text=True, cwd=self.folder,
                              env=self.environment | environment).stdout

    def job(self, number: str) -> dict[str, str]:
        """What it says of a job."""
        return dict(re.findall(r"(\w+)=(\S*)", self("scontrol", "show", "job", number)))

    def log(self, number: str) -> str:
        """What the job has printed."""
        path = self.folder / f"divscale-{number}.log"
        return path.read_text() if path.exists() else ""

    def wait(self, number: str, until: Callable[[dict[str, str]], bool], patience_s: float = 500) -> dict[str, str]:
        """What it says of a job once that is so."""
        deadline = time.monotonic() + patience_s
        while not until(told := self.job(number)):
            assert time.monotonic() < deadline, f"{told}\n{self.log(number)}"
            time.sleep(0.5)
        return told

    def ended(self, number: str) -> dict[str, str]:
        """What it says of a job that has ended, its nodes free again."""
        def over(told: dict[str, str]) -> bool:
            return told["JobState"] not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")

        return self.wait(number, over)


def processes_of(job: str) -> list[str]:
    """Command lines of what runs in a job, by the variable that Slurm gives all of it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("SLURM_JOB_ID") == job and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


@contextmanager
def slurm_of_two_nodes(folder: Path) -> Iterator[Slurm]:
    """Up, and gone with all its processes at the end."""
    slurm = Slurm(folder, dict(os.environ))
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    folder.chmod(0o755)  # munged insists
    for name in ("state", "spool-node1", "spool-node2"):
        (folder / name).mkdir()
    (folder / "slurm.conf").write_text(CONFIGURATION.format(
        host=socket.gethostname().split(".")[0], ports=free_ports(3), folder=folder, user="root"))
    started: list[Path] = []

    def start(pid_file: str, *words: str) -> None:
        started.append(folder / pid_file)
        slurm(*words)

    try:
        start("munged.pid", "munged", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
              f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
              "--num-threads=2")
        start("slurmctld.pid", "slurmctld", "-c")
        for node in ("node1", "node2"):
            start(f"slurmd-{node}.pid", "slurmd", "-N", node)
        deadline = time.monotonic() + 60
        while slurm("sinfo", "--noheader", "--states=idle", "--format=%D").strip() != "2":
            assert time.monotonic() < deadline, slurm("sinfo", "--long", "--Node")
            time.sleep(0.2)
        yield slurm
        slurm("scancel", "--user=root")
    finally:
        for path in reversed(started):
            with suppress(FileNotFoundError, ValueError, psutil.Error):
                daemon = psutil.Process(int(path.read_text()))
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(30)
