"""Hosts made on one machine: network namespaces with addresses of their own on one bridge, a Ray node in each.

They share the file system, so a store is visible from each, and the kernel; what a network or a node does to a run is
real. Needs root, and `ip` of iproute2.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

RAY = str(Path(sys.executable).with_name("ray"))
NETWORK = "10.213.7"
PORT = 6379


def reason_not_here() -> str | None:
    """Why hosts cannot be made on this machine; None where they can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and `ip` (Debian: iproute2)"
    probe = f"probe{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode:
        return "this machine does not allow network namespaces"
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return None


class Hosts:
    """Hosts 1 to `count`; the first has the head of Ray."""

    def __init__(self, folder: Path, count: int, cpus: int) -> None:
        self.count, self._folder, self._cpus = count, folder, cpus
        self.started_again = 0      # nodes that had ended by themselves
        self._sockets = tempfile.mkdtemp(prefix="ds")   # a socket's path may be 107 bytes long
        self._nodes: dict[int, subprocess.Popen[bytes]] = {}
        self.env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
                    "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "NO_PROXY": f"{NETWORK}.0/24",
                    "RAY_gcs_rpc_server_reconnect_timeout_s": "20"}     # a driver's, whose head is gone: not a minute
        self.env.pop("RAY_ADDRESS", None)

    def address(self, host: int) -> str:
        """Of a host on their network."""
        return f"{NETWORK}.{host}"

    def network(self) -> None:
        """Make the hosts and their network."""
        ip("link", "add", "divscale0", "type", "bridge")
        ip("link", "set", "divscale0", "up")
        for host in range(1, self.count + 1):
            ip("netns", "add", f"divscale{host}")
            ip("link", "add", f"dsv{host}", "type", "veth", "peer", "name", "eth0", "netns", f"divscale{host}")
            ip("link", "set", f"dsv{host}", "master", "divscale0", "up")
            for words in (["addr", "add", f"{self.address(host)}/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                          ["link", "set", "lo", "up"]):
                ip("-n", f"divscale{host}", *words)

    def start_all(self) -> None:
        """A Ray node on every host, of which none has one."""
        for host in range(1, self.count + 1):
            self.start(host)
            if host == 1:
                self._wait_for_head()
        self.wait_for_nodes(self.count)

    def down(self) -> None:
        """End everything on the hosts, and the hosts."""
        for host in list(self._nodes):
            self.remove(host)
        for host in range(1, self.count + 1):
            subprocess.run(["ip", "link", "del", f"dsv{host}"], capture_output=True)
            subprocess.run(["ip", "netns", "del", f"divscale{host}"], capture_output=True)
        subprocess.run(["ip", "link", "del", "divscale0"], capture_output=True)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def start(self, host: int, hide: Path | None = None) -> None:
        """A Ray node on a host that has none, from which a folder is hidden."""
        own = ["--node-ip-address", self.address(host), "--num-cpus", str(self._cpus), "--block", "--disable-usage-stats",
               "--object-store-memory", str(80 << 20)]  # as small as Ray allows
        head = ["--head", "--port", str(PORT), "--include-dashboard", "false", "--temp-dir", self._sockets]
        words = head if host == 1 else ["--address", f"{self.address(1)}:{PORT}"]
        log = (self._folder / f"host{host}.log").open("ab")
        command = [RAY, "start", *words, *own]
        if hide is not None:    # a host has mounts of its own
            command = ["sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"', str(hide), *command]
        self._nodes[host] = self.popen(host, command, stdout=log, stderr=log)

    def popen(self, host: int, words: list[str], **options) -> subprocess.Popen:
        """A process on a host, in a session of its own."""
        return subprocess.Popen(self.command(host, words), start_new_session=True, **{"env": self.env, **options})

    def command(self, host: int, words: list[str]) -> list[str]:
        """What runs a command on a host."""
        return ["ip", "netns", "exec", f"divscale{host}", *words]

    def processes(self, host: int) -> list[psutil.Process]:
        """Every process on a host, also those whose parent is gone."""
        listed = subprocess.run(["ip", "netns", "pids", f"divscale{host}"], check=True, capture_output=True, text=True)
        found = []
        for pid in listed.stdout.split():
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(pid)))
        return found

    def remove(self, host: int) -> None:
        """End a host's Ray node without warning."""
        started, family = self._nodes.pop(host), []
        with suppress(psutil.NoSuchProcess):
            node = psutil.Process(started.pid)
            family = [node, *node.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=30)

    def keep(self) -> None:
        """Start nodes again that ended by themselves: Ray gives one 30 s to start, which busy cores may not."""
        for host, node in list(self._nodes.items()):
            if node.poll() is not None:
                self.started_again += 1
                self.start(host)

    def cut(self, host: int) -> None:
        """Take a host's network away."""
        ip("link", "set", f"dsv{host}", "down")

    def join(self, host: int) -> None:
        """Give it back."""
        ip("link", "set", f"dsv{host}", "up")

    def _wait_for_head(self) -> None:
        probe = ("import socket, sys, time\nfor _ in range(240):\n    try:\n"
                 "        socket.create_connection((sys.argv[1], int(sys.argv[2])), 1); sys.exit(0)\n"
                 "    except OSError: time.sleep(0.25)\nsys.exit(1)")
        words = [sys.executable, "-c", probe, self.address(1), str(PORT)]
        assert self.popen(1, words).wait() == 0, "the head did not start"

    def wait_for_nodes(self, alive: int) -> None:
        """Until so many nodes are alive, as the head sees it."""
        probe = ("import ray, sys, time\nray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR')\n"
                 "for _ in range(600):\n    alive = sum(node['Alive'] for node in ray.nodes())\n"
                 "    if alive == int(sys.argv[2]): sys.exit(0)\n    time.sleep(0.5)\nsys.exit(1)")
        words = [sys.executable, "-c", probe, f"{self.address(1)}:{PORT}", str(alive)]
        waiting = self.popen(1, words)
        while waiting.poll() is None:
            self.keep()
            time.sleep(1)
        assert waiting.returncode == 0, f"there were never {alive} nodes"


@contextmanager
def hosts(folder: Path, count: int = 3, cpus: int = 1, ray: bool = True) -> Generator[Hosts]:
    """Hosts that are gone at the end, whatever happens; with a Ray node on each."""
    made = Hosts(folder, count, cpus)
    try:
        made.network()
        if ray:
            made.start_all()
        yield made
    finally:
        made.down()


def ip(*words: str) -> None:
    """One command of iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True)
