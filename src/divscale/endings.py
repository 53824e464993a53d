"""How the command line ends where it does not end as meant."""

from __future__ import annotations

import errno
import os
import select
import sys
import tempfile
import traceback

from divscale.redact import redact

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def unheard(error: OSError) -> int | None:
    """The exit code where it is the terminal, or the pipe in its place, that cannot be written to; else None."""
    looked_at = select.poll()
    for stream in (1, 2):
        looked_at.register(stream, 0)
    left = [stream for stream, event in looked_at.poll(0) if event & select.POLLERR]  # nobody reads the other end
    full = not left and error.filename is None and error.errno in _FULL  # files are named
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in [*left, *([1] if full else [])]:
        os.dup2(nowhere, stream)  # what is still buffered goes there when Python ends
    if full:
        print(f"divscale: standard output cannot be written ({error.strerror}).", file=sys.stderr)
        return 1
    return 141 if left and isinstance(error, BrokenPipeError) else None  # as of a program that SIGPIPE ended


def unforeseen(error: Exception, *, resumes: bool) -> int:
    """One paragraph for what no message was written for; the traceback goes to a file."""
    with tempfile.NamedTemporaryFile("w", prefix="divscale-", suffix=".log", delete=False, encoding="utf-8") as log:
        log.write(redact("".join(traceback.format_exception(error))))
    kept = "What was finished is kept. " if resumes else ""
    print(f"divscale: something unforeseen went wrong ({type(error).__name__}: {redact(str(error))[:200]}). {kept}"
          f"The whole story is in {log.name}; please report it.", file=sys.stderr)
    return 1
