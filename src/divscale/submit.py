"""`divscale submit`, `divscale job`: a study as a Ray job on a cluster that runs already.

What travels is this package and the study (with the cluster file). Files that the study names, and results, stay where
they are, and every node has to see them. So a job that ended early, or was stopped, goes on where it was when the same
study is submitted again; one that still runs is followed instead of submitted twice. Secrets do not travel: the
cluster's nodes have their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from divscale.config import Study
from divscale.errors import ConfigError, PreflightError, StageFailedError
from divscale.named_files import relative_files
from divscale.redact import redact
from divscale.runtime.auth_token import send_token
from divscale.study_file import load

T = TypeVar("T")

KEY = "divscale"            # of the job's metadata: what study it is of
INTERRUPTED = 130
POLL_S = 1.0
SAY_S = 15.0                # how often a job that has not started is spoken of
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
# The Python that the cluster's Ray runs in comes first, which need not be so on the head's PATH: a job's parent is a
# worker of Ray's, and has Ray's library loaded from there.
OWN_PYTHON = (r"at=$(sed -n 's|^[^/]*\(/.*\)/lib/python[^/]*/site-packages/ray/_raylet.*|\1/bin:|p' /proc/$PPID/maps "
              '| head -n 1); export PATH="$at$PATH"; exec ')


def submit_from_terminal(
    study: str, overrides: Sequence[str], address: str | None, root: str | None, *, cluster: str | None, detach: bool,
) -> int:
    """Submit a study, or find that it runs already, and follow it to its end. Returns the job's exit code; detached, 0.

    Raises:
        ConfigError: The study is wrong, or names files or a store that the cluster's nodes cannot see.
        PreflightError: The cluster cannot be reached, or refuses.
        StageFailedError: It does not answer any more. A job may go on.
    """
    asked, store = load(study, overrides, cluster=cluster), _store(root)
    _check_files(asked)
    name, client, at = asked.name, _client(address), _at(address)
    key = hashlib.sha256(json.dumps([Path(study).read_text("utf-8"), list(overrides), store]).encode()).hexdigest()[:16]
    running = next((job for job in _ask(client.list_jobs) if (job.metadata or {}).get(KEY) == key
                    and str(job.status) not in ENDED), None)
    if running is not None:
        id = running.submission_id
        print(f"{name}: runs already as {id}; not submitted again.")
    else:
        id = _submit(client, name, key, study, overrides, store, cluster)
        print(f"{name}: submitted as {id}.")
    if detach:
        print(f"divscale job status {id}{at} says how it is, divscale job logs {id}{at} follows it, "
              f"divscale job stop {id}{at} stops it. Submitted again it goes on where it was.")
        return 0
    return follow(client, id, at)


def job_from_terminal(what: str, id: str | None, address: str | None) -> int:
    """`divscale job list|status|logs|stop`. `status` exits with the job's exit code once it has ended, 0 before; `logs`
    follows to the end and exits with it.

    Raises:
        ConfigError: No job of that id, or none is named.
        PreflightError: The cluster cannot be reached.
        StageFailedError: It does not answer any more.
    """
    client = _client(address)
    if what == "list":
        for job in _ask(client.list_jobs):
            if KEY in (job.metadata or {}):
                print(f"{job.submission_id}  {job.status}  {redact(job.entrypoint.removeprefix(OWN_PYTHON))}")
        return 0
    if id is None:
        raise ConfigError(f"job {what}: name the job; divscale job list shows them.")
    info = _info(client, id)
    if what == "logs":
        return follow(client, id, _at(address))
    if what == "stop":
        if str(info.status) in ENDED:
            print(f"{id}: {info.status} already.")
            return 0
        _ask(client.stop_job, id)
        while str((info := _info(client, id)).status) not in ENDED:
            time.sleep(POLL_S)
    print(f"{id}: {info.status}. {redact(info.message or '')}")
    return _exit_code(info) if what == "status" and str(info.status) in ENDED else 0


def follow(client: Any, id: str, at: str = "") -> int:
    """Print a job's output until it ends. Ctrl-C leaves the job alone. Returns its exit code. `at`: what shown commands
    need to find the cluster.

    Raises:
        StageFailedError: The cluster does not say how the job is.
    """
    try:
        said = time.monotonic()
        while str((info := _info(client, id)).status) == "PENDING":
            if time.monotonic() - said > SAY_S:
                said = time.monotonic()
                print(f"{id}: waits to be started: {info.message}", file=sys.stderr, flush=True)
            time.sleep(POLL_S)
        shown = 0
        while True:
            ended = str((info := _info(client, id)).status) in ENDED
            if ended:
                break
            shown = _print_while_connected(client, id, shown)
            time.sleep(POLL_S)
        _print_rest(client, id, shown, at)
    except KeyboardInterrupt:
        print(f"\ndivscale: {id} goes on without this terminal. divscale job logs {id}{at} follows it, divscale "
              f"job stop {id}{at} stops it.", file=sys.stderr)
        return INTERRUPTED
    code = _exit_code(info)
    if code:
        print(f"{id}: {info.status}, exit code {code}. Submitted again it goes on where it was.", file=sys.stderr)
    return code


def _print_while_connected(client: Any, id: str, shown: int) -> int:
    """Print what a job has said beyond `shown` characters, and what it says while the connection holds; returns what is
    shown then.
    """
    from aiohttp import ClientError

    async def tail() -> None:
        nonlocal shown
        seen = 0
        async for part in client.tail_job_logs(id):
            print(part[max(0, shown - seen):], end="", flush=True)
            seen += len(part)
            shown = max(shown, seen)

    with contextlib.suppress(ClientError, OSError, RuntimeError):  # the connection broke; the next look goes on
        asyncio.run(tail())
    return shown


def _print_rest(client: Any, id: str, shown: int, at: str) -> None:
    """Print what an ended job has said beyond `shown` characters. What it did is known, whatever it said."""
    try:
        print(_ask(client.get_job_logs, id)[shown:], end="", flush=True)
    except (ConfigError, StageFailedError):
        print(f"{id}: has ended, and the rest of its output cannot be read now; divscale job logs {id}{at} asks again.",
              file=sys.stderr)


def _submit(
    client: Any, name: str, key: str, study: str, overrides: Sequence[str], store: str, cluster: str | None,
) -> str:
    with tempfile.TemporaryDirectory(prefix="divscale-submit-") as folder:
        place = Path(folder)
        shutil.copytree(Path(__file__).parent, place / "divscale", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(study, place / "study.yaml")
        words = ["python", "-m", "divscale", "run", "study.yaml", *overrides, "--store", store]
        if cluster is not None:
            shutil.copyfile(cluster, place / "cluster.yaml")
            words += ["--cluster", "cluster.yaml"]
        stamp = time.strftime("%Y%m%d-%H%M%S")
        try:
            return client.submit_job(
                entrypoint=OWN_PYTHON + shlex.join(words),
                submission_id=f"divscale-{name}-{stamp}-{os.urandom(2).hex()}",
                runtime_env={"working_dir": folder}, metadata={KEY: key, "study": name})
        except (RuntimeError, ValueError, OSError) as error:
            raise PreflightError(f"the cluster refused the job: {redact(_first_line(error))}") from error


def _check_files(study: Study) -> None:
    found = [f"{field} {name}" for field, name in relative_files(study).items()]
    if found:
        raise ConfigError(f"submit: {' and '.join(found)}: the job runs on another machine, where relative paths lead "
                          "nowhere, and no file but the study travels. Name it by an absolute path that every node "
                          "sees; data may have a URI too (s3://bucket/file).")


def _at(address: str | None) -> str:
    return f" --address {shlex.quote(redact(address))}" if address else ""


def _store(root: str | None) -> str:
    store = root or os.environ.get("DIVSCALE_STORE")
    if not store or ("://" not in store and not Path(store).is_absolute()):
        raise ConfigError(f"submit: --store {store or 'is not given'}: the job runs on another machine, so name the "
                          "store by an absolute path that every node sees, or by a URI (s3://bucket/prefix).")
    return store


def _client(address: str | None) -> Any:
    send_token()
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    for name in ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):  # they set their own level
        logging.getLogger(name).setLevel(logging.WARNING)
    where = address or os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS")
    if not where or "://" not in where:
        raise ConfigError(f"--address {where or 'is not given'}: name the cluster's dashboard, as in "
                          "--address http://HEAD:8265 (or in $RAY_API_SERVER_ADDRESS).")
    try:
        client = JobSubmissionClient(where)
        client.list_jobs()  # of a wrong token nothing is said before something is asked
        return client
    except AuthenticationError as error:
        raise PreflightError(f"--address {redact(where)}: the cluster asks for a token, and there is none or another "
                             "one. Give its own in RAY_AUTH_TOKEN, or its file in RAY_AUTH_TOKEN_PATH.") from error
    except (ConnectionError, RuntimeError, OSError) as error:
        raise PreflightError(
            f"--address {redact(where)}: no Ray cluster answers there ({redact(_first_line(error))}). Check the "
            "address of its dashboard, the network, and the token: RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH.") from error


def _info(client: Any, id: str) -> Any:
    return _ask(client.get_job_info, id)


def _ask(what: Callable[..., T], *id: str) -> T:
    """What a cluster answers, of a job where its id is given; a question that breaks off is asked again."""
    for pause_s in (2, 4, 8, 16, None):
        try:
            return what(*id)
        except (RuntimeError, OSError) as error:
            if id and ("404" in str(error) or "does not exist" in str(error)):
                raise ConfigError(f"job {id[0]}: the cluster has no such job; divscale job list shows them.") from error
            if pause_s is None:
                raise StageFailedError(
                    f"job{''.join(f' {one}' for one in id)}: the cluster does not answer any more "
                    f"({_first_line(error)}). What runs there may go on; look again with divscale job "
                    "status.") from error
            time.sleep(pause_s)
    raise AssertionError


def _exit_code(info: Any) -> int:
    if str(info.status) == "SUCCEEDED":
        return 0
    if str(info.status) == "STOPPED":
        return INTERRUPTED
    return info.driver_exit_code if info.driver_exit_code and info.driver_exit_code > 0 else StageFailedError.exit_code


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
