"""One exception a kind of failure, each with the exit code the command line ends with.

Every message is one paragraph: what is wrong, where, and what to do.
"""

from __future__ import annotations


class DivscaleError(Exception):
    """Base of every error a user can cause or act on. `exit_code` is the process's."""

    exit_code = 1


class StageFailedError(DivscaleError, RuntimeError):
    """A stage could not finish; everything committed before it stays."""

    exit_code = 1


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
