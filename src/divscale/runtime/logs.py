"""The log of a run as JSON lines: one object a line, of the driver and of workers that have something to say."""

from __future__ import annotations

import json
import logging
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from divscale.redact import redact_all

# What a record may say beside its message (`extra`): what it is of, and how much there was of it.
FIELDS = ("run", "study", "stage", "title", "fingerprint", "rows", "failed_rows", "seconds", "exit_code", "process",
          "stack")
LOG_FILE = "DIVSCALE_LOG_FILE"


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


class Where(logging.Filter):
    """Says of every record which run of which study it is of, and which stage was at work where it does not say."""

    def __init__(self, run: str, study: str | None = None) -> None:
        super().__init__()
        self._run, self._study = run, study
        self.stage: str | None = None

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: D102
        record.run, record.study = self._run, self._study
        record.stage = getattr(record, "stage", None) or self.stage
        return True


def log_to(path: Path, where: Where) -> None:
    """Have this process's log written to a file, and no other; it is made with the first line."""
    handler = logging.FileHandler(path, delay=True, encoding="utf-8")
    handler.setFormatter(JsonLines())
    handler.addFilter(where)
    logger = logging.getLogger("divscale")
    for old in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
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
