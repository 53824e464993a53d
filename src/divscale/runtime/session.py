"""The Ray session of a run: started when first needed, gone without trace at the end."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from divscale import remote_code
from divscale.errors import PreflightError
from divscale.runtime.auth_token import lend_token, send_token, send_token_if_asked, take_back
from divscale.runtime.pool import TELL_S
from divscale.runtime.resources import Resources
from divscale.runtime.stacks import log_stacks
from divscale.runtime.torch_build import torch_has_cuda
from divscale.runtime.visible import check_visible
from divscale.runtime.watchdog import MARKER

LOG = logging.getLogger(__name__)
GIB = 1024**3
WATCHDOG = Path(__file__).with_name("watchdog.py")
OUT_OF_TIME = "timed out during startup"  # ray._private.node: of a raylet that busy cores kept from registering


def _to_stderr(text: str) -> None:
    print(f"divscale: {text}", file=sys.stderr, flush=True)


class Session:
    """A Ray cluster, local or connected to, that the fleets of a run share.

    Nothing starts before `ensure()`. A local one listens on the loopback interface only, asks for a token, has no
    dashboard, keeps its logs in files, and dies with this process, also by SIGKILL (`runtime.watchdog`). The kernel
    kills Ray's daemons with the thread that started them; that thread therefore lives as long as the session does,
    whichever thread calls `ensure()`.

    Fleets' actors claim no CPUs (they size their threads by `Resources`), so that Ray Data and Ray Train always find
    every CPU unclaimed and nothing waits for ever.

    Args:
        resources: `address` connects (so does RAY_ADDRESS); `cpus`, `gpus` and `object_store_gib` size a local one.
        log: takes a line about what is waited for, every `TELL_S`.
        shared: A folder that every node of a cluster has to see.
        worker_env: further environment variables of all workers.
    """

    def __init__(
        self, resources: Resources, log: Callable[[str], None] = _to_stderr,
        worker_env: Mapping[str, str] = MappingProxyType({}), shared: Path | None = None,
    ) -> None:
        self.resources = resources
        self._shared = shared
        self.address = resources.address or os.environ.get("RAY_ADDRESS") or None
        self._log = log
        self._worker_env = worker_env
        self._started = False
        self.start_s = 0.0                  # that its last start took
        self.scratch: str | None = None     # of a local one: a folder for what its workers leave lying about
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._token_before: dict[str, str | None] | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()

    @property
    def is_local(self) -> bool:
        """Whether the cluster is (or would be) a local one of its own."""
        return self.address in (None, "local")

    @property
    def started(self) -> bool:
        """Whether Ray runs. A study whose results are all cached never starts it."""
        return self._started

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def ensure(self) -> Session:
        """Start Ray, or connect to it, unless that is done.

        Cost: about 3 s for a local one.

        Raises:
            PreflightError: it cannot be started or reached, or one of its nodes does not see the shared folder.
        """
        with self._lock:
            if self._started:
                return self
            begun = time.monotonic()
            failures: list[BaseException] = []
            ready = threading.Event()
            self._stop.clear()
            threading.Thread(target=self._keep, args=(ready, failures), name="divscale-ray", daemon=True).start()
            ready.wait()
            if failures:
                what, check = "a local Ray did not start", "free memory and /dev/shm, and `divscale doctor`"
                if not self.is_local:
                    what = f"Ray at {self.address} cannot be reached"
                    check = "RAY_ADDRESS and resources.address, and whether this machine is one of that cluster's nodes"
                raise PreflightError(f"{what}: {failures[0]}. Check {check}.") from failures[0]
            self._started = True
            self._await_gpu()
            if not self.is_local and self._shared is not None:
                check_visible(self._shared)
            self.start_s = time.monotonic() - begun
            here, gpus = self.here(), self.total()["gpus"]
            of = f" of {gpus}" if gpus > here["gpus"] else ""
            how = "started" if self.is_local else "connected"
            LOG.info("Ray %s: %d CPUs, %d%s GPUs", how, here["cpus"], here["gpus"], of)
            return self

    def total(self) -> dict[str, int]:
        """CPUs and GPUs of the cluster that this run may use: `cpus`, `gpus`.

        GPUs that `resources` asks for count before their nodes are there, with as many CPUs each as those that are:
        actors that wait for one bring it where the cluster grows.
        """
        here, wanted = self.here(), self.resources.gpus
        if wanted is None or self.is_local:
            return here
        cpus = here["cpus"] * wanted // here["gpus"] if here["gpus"] else here["cpus"]
        return {"cpus": min(cpus, self.resources.cpus or cpus), "gpus": wanted}

    @property
    def shared(self) -> str | None:
        """The folder that every node has to see, also one that joins later (`must_see`); null on one machine."""
        return None if self.is_local or self._shared is None else str(self._shared)

    def here(self) -> dict[str, int]:
        """Those of them that there are now."""
        import ray

        found, wanted = ray.cluster_resources(), self.resources
        cpus, gpus = int(found.get("CPU", 1)), int(found.get("GPU", 0))
        return {"cpus": max(1, min(cpus, wanted.cpus or cpus)),
                "gpus": min(gpus, gpus if wanted.gpus is None else wanted.gpus)}

    @property
    def grow(self) -> Callable[[str], None] | None:
        """For pools of actors: on a cluster they begin with what is there, and say what they wait for."""
        return None if self.is_local else self._log

    def device(self) -> str:
        """What its fleets compute on: the kind of GPU as Ray names it, or core."""
        import ray

        if not self.total()["gpus"]:
            return "core"
        named = [name.partition(":") for name in ray.cluster_resources()]
        return "+".join(sorted(kind for what, _, kind in named if what == "accelerator_type")) or "GPU"

    def close(self) -> None:
        """End it. Of a local Ray, no process is left when this returns."""
        with self._lock:
            if not self._started:
                return
            import ray

            ray.shutdown()
            if self._watchdog is not None:
                self._watchdog.communicate()    # closes its pipe; it sweeps, removes the scratch folder and ends
                self._watchdog = self.scratch = None
            self._forget_token()
            self._started = False
            self._stop.set()

    def _await_gpu(self) -> None:
        """Of a cluster that shall give GPUs and has none yet: until the first is there.

        Raises:
            PreflightError: none is after `start_timeout_s`.
        """
        if self.is_local or not self.resources.gpus or self.here()["gpus"]:
            return
        import ray

        first = ray.remote(num_cpus=0, num_gpus=1)(_nothing).remote()    # what a cluster that grows sees as demand
        until = time.monotonic() + self.resources.start_timeout_s
        while not ray.wait([first], timeout=min(TELL_S, max(0.1, until - time.monotonic())))[0]:
            if time.monotonic() >= until:
                log_stacks("no node with a GPU has come")
                ray.cancel(first, force=True)
                raise PreflightError(
                    f"Ray at {self.address}: resources.gpus is {self.resources.gpus}, and after "
                    f"{self.resources.start_timeout_s} s (resources.start_timeout_s) the cluster has none. Start nodes "
                    "with GPUs, look at `ray status` if it should do that by itself, or set resources.gpus=0.")
            self._log(f"waits for a node with a GPU: the cluster has none yet, {self.resources.gpus} are asked for")

    def _forget_token(self) -> None:
        if self._token_before is not None:
            take_back(self._token_before)
            self._token_before = None

    def _keep(self, ready: threading.Event, failures: list[BaseException]) -> None:
        try:
            if self.is_local:
                self.scratch = tempfile.mkdtemp(prefix="divscale-session-")
                self._token_before = lend_token()
                self._watchdog = _start_local(self.resources, self.scratch, self._worker_env)
            else:
                _connect(str(self.address), self._worker_env)
        except BaseException as error:  # handed to the caller's thread
            failures.append(error)
            self._forget_token()
        ready.set()
        if not failures:
            self._stop.wait()


def worker_env(threads: int | None = None) -> dict[str, str]:
    """Environment variables for actors and training workers (`runtime_env={"env_vars": ...}`).

    Args:
        threads: OpenMP and BLAS threads of the process; null: not set.

    Returns:
        The path this package was imported from, no telemetry, whether models may bring code, and the thread counts.
    """
    paths = [str(Path(__file__).resolve().parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    absolute = [str(Path(path).resolve()) for path in paths if path]
    env = {"PYTHONPATH": os.pathsep.join(dict.fromkeys(absolute)), "DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1",
           "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false",
           remote_code.VARIABLE: "1" if remote_code.allowed() else "0"}
    if threads is not None:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        env.update(dict.fromkeys(names, str(threads)))
        # Waiting OpenMP threads spin for long by default. Where anything else wants the cores, a small model then
        # crawls: with a load of 11 on 2 cores vLLM wrote 34 requests/s spinning, with one of 5 59; sleeping, 393. On
        # idle cores sleeping is slow instead: a MiniLM step took 183 ms, spinning 139, spinning for a moment 135.
        env["GOMP_SPINCOUNT"] = "20000"
    return env


def gpus_of_a_local_ray(resources: Resources) -> int | None:
    """What a local Ray is told to have; null: what it finds. It asks the driver, also where torch could use none."""
    return resources.gpus if resources.gpus is not None or torch_has_cuda() else 0


def _nothing() -> None:
    """What needs a GPU to be done, and no time."""


def _connect(address: str, more_env: Mapping[str, str]) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdigit():
        # Looked at first, because Ray's own client ends the whole process when nobody answers.
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        if "://" in address:
            send_token()    # Ray's own client has no server that workers would call
        else:
            send_token_if_asked(address)
    import ray

    ray.init(address=address, **_quiet(more_env))


def _start_local(resources: Resources, scratch: str, more_env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return _start_once(resources, scratch, more_env)
    except Exception as error:
        if OUT_OF_TIME not in str(error):
            raise
        LOG.warning("Ray gives a node 30 s to start, which were not enough; it is started once more")
    Path(scratch).mkdir(mode=0o700, exist_ok=True)  # the first one's watchdog has removed it
    return _start_once(resources, scratch, more_env)


def _start_once(resources: Resources, scratch: str, more_env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    token = secrets.token_hex(16)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's switch for machines without clusters: every daemon and worker listens on 127.0.0.1 alone.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    # Ray starts a worker for every core before anybody asks. Fleets' actors have environments of their own and cannot
    # use them: on 2 cores 2.7 of the 7.9 s of computing that a start takes.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    import ray
    from ray._private import ray_constants

    # Who has imported Ray before this (training does) has had it read the switch above already.
    ray_constants.ENABLE_RAY_CLUSTER = os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"].lower() in ("1", "true")
    # A group of its own, so that Ctrl-C on the terminal does not end it before the driver.
    watchdog = subprocess.Popen([sys.executable, "-I", "-S", str(WATCHDOG), token, scratch],
                                stdin=subprocess.PIPE, start_new_session=True)
    os.environ[MARKER] = token
    try:
        ray.init(address="local", num_cpus=resources.cpus, num_gpus=gpus_of_a_local_ray(resources),
                 include_dashboard=False, object_store_memory=int(resources.object_store_gib * GIB), **_quiet(more_env))
    except BaseException:
        ray.shutdown()
        watchdog.communicate()
        raise
    finally:
        del os.environ[MARKER]      # what the driver starts otherwise is none of the watchdog's business
    return watchdog


def _quiet(more_env: Mapping[str, str]) -> dict[str, Any]:
    return {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": {
        "env_vars": {**worker_env(), **more_env}, "worker_process_setup_hook": "divscale.runtime.logs.keep_worker_log"}}
