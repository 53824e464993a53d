"""The log of a run as JSON lines: one object a line, of the driver and of workers that have something to say."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

from divscale.errors import one_line
from divscale.redact import redact_all

# What a record may say beside its message (`extra`): what it is of, and how much there was of it.
FIELDS = ("run", "study", "stage", "title", "fingerprint", "rows", "failed_rows", "seconds", "exit_code", "process",
          "stack")
LOG_FILE = "DIVSCALE_LOG_FILE"
_ABOUT: ContextVar[dict[str, str | None] | None] = ContextVar("about", default=None)


class JsonLines(logging.Formatter):
    """A record as one line of JSON, without secrets; what is null is left out."""

    def format(self, record: logging.LogRecord) -> str:  # noqa: D102
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname, "logger": record.name, "message": record.getMessage(),
            **{name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}}
        if record.exc_info:
            line["exception"] = record.exc_text or self.formatException(record.exc_info)
        return json.dumps(redact_all(line), default=str)


class LogFile(logging.FileHandler):
    """A file of `JsonLines`, made with the first. Where it cannot be written that is said once, on stderr: the run goes
    on, and ends where what it makes cannot be written either.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, delay=True, encoding="utf-8")
        self.setFormatter(JsonLines())
        self._told = False

    def emit(self, record: logging.LogRecord) -> None:  # noqa: D102
        try:
            super().emit(record)
        except OSError:  # it cannot even be made
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: D102, N802
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # the record is wrong, not the file
            super().handleError(record)
        elif not self._told:
            self._told = True
            print(f"divscale: the log {self.baseFilename} cannot be written ({one_line(error)}); what is "
                  "missing in it is said nowhere else.", file=sys.stderr)

    def close(self) -> None:  # noqa: D102
        with suppress(OSError):  # the lines that could not be written
            super().close()


class Where(logging.Filter):
    """Says of every record which run of which study it is of, and which stage was at work where it does not say: that
    of `about`, else of the whole process.
    """

    def __init__(self, run: str, study: str | None = None) -> None:
        super().__init__()
        self._run, self._study = run, study
        self.stage: str | None = None

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: D102
        record.run, record.study = self._run, self._study
        for name, value in (_ABOUT.get() or {"stage": self.stage}).items():
            if getattr(record, name, None) is None:
                setattr(record, name, value)
        return True


@contextmanager
def about(stage: str | None, title: str | None, fingerprint: str | None) -> Generator[None]:
    """What this thread logs within is of one stage; what is null is not known."""
    token = _ABOUT.set({"stage": stage, "title": title, "fingerprint": fingerprint})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def log_to(path: Path, where: Where) -> None:
    """Have this process's log written to a file, and no other; it is made with the first line."""
    handler = LogFile(path)
    handler.addFilter(where)
    logger = logging.getLogger("divscale")
    for old in [h for h in logger.handlers if isinstance(h, LogFile)]:
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def worker_log_env(log: Path) -> dict[str, str]:
    """Environment variables by which workers know where the run's log is."""
    return {LOG_FILE: str(log)}


def keep_worker_log() -> None:
    """Called by Ray in every worker that starts: its log goes beside the driver's, if it has anything to say."""
    log = Path(os.environ.get(LOG_FILE, ""))
    if log.parent.is_dir() and log.name:  # a node need not see the folder: object stores have it where the driver is
        log_to(log.with_name(f"{log.stem}.{socket.gethostname()}-{os.getpid()}.jsonl"), Where(log.stem))
