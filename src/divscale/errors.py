"""One exception a kind of failure, each with the exit code the command line ends with.

Every message is one paragraph: what is wrong, where, and what to do. None holds a secret,
or a character that a terminal would obey.
"""

from __future__ import annotations

from divscale.redact import redact


class DivscaleError(Exception):
    """Base of every error a user can cause or act on. `exit_code` is the process's."""

    exit_code = 1

    def __init__(self, *words: object) -> None:
        super().__init__(*(visible(redact(word)) if isinstance(word, str) else word for word in words))


class StageFailedError(DivscaleError, RuntimeError):
    """A stage could not finish; everything committed before it stays."""

    exit_code = 1


class HungError(StageFailedError):
    """Something that is at work makes no progress any more."""


class DivergedError(StageFailedError):
    """The loss of a training is no longer finite: it would be the same again."""


class ConfigError(DivscaleError, ValueError):
    """The study file or the command line asks for something that cannot be."""

    exit_code = 2


class PreflightError(DivscaleError, RuntimeError):
    """The machine lacks something the study needs: a model, a device, disk, an extra."""

    exit_code = 3


class DataError(DivscaleError, ValueError):
    """The data is bad beyond the share the study allows."""

    exit_code = 4


class RowAccountingError(StageFailedError):
    """A map lost, doubled or invented rows: `in != ok + failed + filtered`, or ids repeat."""


def visible(text: str) -> str:
    """`text` with control characters and their like as escapes; line breaks stay."""
    return text if text.isprintable() else "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def one_line(error: object) -> str:
    """What a library says, fit for a message: one line, and nothing that a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in " ".join(str(error).split())).strip()
