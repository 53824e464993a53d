"""cluster/ray-up/hosts.yaml, with other addresses: `ray up` brings up Ray on three hosts by SSH, a study runs there,
`ray down` and `ray stop` end it. Each host has a network, processes, a home and temporary files of its own.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.hosts import NETWORK, RAY, Hosts, hosts, ip, reason_not_here

pytestmark = [pytest.mark.engine, pytest.mark.long]

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "tests" / "studies" / "smoke.yaml"
SMALL = "'generator.engine={engine: transformers, max_model_len: 96}' train.1.optim.steps=2"
ALONE = 'mount --bind "$0"/passwd /etc/passwd && mkdir -p /tmp/ray /run/sshd && mount -t tmpfs tmpfs /tmp/ray && exec "$@"'


@contextmanager
def reached_by_ssh(on: Hosts, folder: Path):
    """An SSH server on every host, which lets in who has the key in `folder`; the token is in each host's home."""
    for name in ("key", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    token, servers = secrets.token_hex(32), []
    ip("addr", "add", f"{NETWORK}.254/24", "dev", "divscale0")
    try:
        for host in range(1, on.count + 1):
            home = folder / f"home{host}"
            (home / ".ray").mkdir(parents=True)
            (home / ".ray" / "auth_token").write_text(token)
            (home / ".ray" / "auth_token").chmod(0o600)
            users = Path("/etc/passwd").read_text()
            (home / "passwd").write_text(re.sub(r"^(root:[^:]*:0:0:[^:]*:)[^:]*", rf"\g<1>{home}", users, flags=re.MULTILINE))
            config = folder / f"sshd{host}"
            config.write_text(
                f"ListenAddress {on.address(host)}\nHostKey {folder / 'host_key'}\nPidFile none\nUsePAM no\n"
                f"AuthorizedKeysFile {folder / 'key.pub'}\nStrictModes no\nPermitRootLogin prohibit-password\n"
                "Subsystem sftp internal-sftp\n")
            servers.append(on.popen(host, [
                "unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c", ALONE, str(home),
                "/usr/sbin/sshd", "-D", "-E", str(folder / f"sshd{host}.log"), "-f", str(config)], env=os.environ))
        yield
    finally:
        for server in servers:
            server.kill()       # and with the first process of its namespace all others
            server.wait()


class Working:
    """Which of Ray's actors and tasks were at work on which host, as long as the context is open."""

    def __init__(self, on: Hosts) -> None:
        self.seen: set[tuple[int, str]] = set()
        self._on, self._ended = on, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Working:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.5):
            for host in range(1, self._on.count + 1):
                for process in self._on.processes(host):
                    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                        if (title := " ".join(process.cmdline())).startswith("ray::"):
                            self.seen.add((host, title.strip()))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """hosts.yaml for the hosts of this test, and the environment that is here."""
    text = (ROOT / "cluster" / "ray-up" / "hosts.yaml").read_text()
    text = text.replace("[192.0.2.11, 192.0.2.12, 192.0.2.13]", f"[{NETWORK}.2, {NETWORK}.3]")
    text = text.replace("192.0.2.10", f"{NETWORK}.1").replace("_workers: 3", "_workers: 2")
    text = text.replace("ssh_user: divscale", "ssh_user: root").replace("~/.ssh/id_ed25519", str(tmp_path / "key"))
    text = text.replace("/opt/divscale/.venv/bin", str(Path(sys.executable).parent))
    assert "192.0.2" not in text and "/opt/divscale" not in text.split("provider:")[1]
    path = tmp_path / "hosts.yaml"
    path.write_text(text)
    return path


def test_ray_up_starts_three_hosts_a_study_runs_there_and_ray_ends_on_all(tmp_path, file):
    reason = reason_not_here()
    if reason is None and not (shutil.which("rsync") and Path("/usr/sbin/sshd").exists()):
        reason = "ray up needs SSH servers and rsync (Debian: openssh-server, rsync)"
    if reason is not None:
        pytest.skip(reason)
    env = os.environ | {"HOME": str(tmp_path / "here"), "RAY_TMPDIR": str(tmp_path / "ray"), "RAY_USAGE_STATS_ENABLED": "0"}
    for name in ("here", "ray"):
        (tmp_path / name).mkdir()

    def ray(*words: str) -> str:
        done = subprocess.run([RAY, *words], env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        return done.stdout

    with hosts(tmp_path, ray=False) as on, reached_by_ssh(on, tmp_path):
        ray("up", "--yes", "--no-config-cache", "--disable-usage-stats", str(file))
        until = time.monotonic() + 240
        bin = Path(sys.executable).parent
        while True:
            alive = ray("exec", str(file), f"RAY_AUTH_MODE=token {bin / 'ray'} status")
            nodes = re.findall(r"^ (\d+) \S+$", alive.partition("Active:")[2].partition("Pending:")[0], re.MULTILINE)
            if sum(map(int, nodes)) == 3:
                break
            assert time.monotonic() < until, alive
            time.sleep(3)
        words = f"run {SMOKE} {SMALL} resources.generation_actors=3 --store {tmp_path / 'store'}"
        with Working(on) as working:
            said = ray("exec", str(file), f"RAY_ADDRESS=auto {bin / 'divscale'} {words}")
        assert "stages ran in" in said, said
        assert {host for host, title in working.seen if title.startswith("ray::Generator")} == {1, 2, 3}, working.seen
        ray("down", "--yes", str(file))
        for host in (1, 2, 3):  # `ray down` asks the head alone, for a `ray` on its PATH
            ssh = ["ssh", "-i", str(tmp_path / "key"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
            subprocess.run([*ssh, f"root@{on.address(host)}", str(bin / "ray"), "stop"], env=env, check=True)
        until = time.monotonic() + 30
        while left := {host: process for host in (1, 2, 3) for process in on.processes(host) if "raylet" in process.name()}:
            assert time.monotonic() < until, left
            time.sleep(1)
