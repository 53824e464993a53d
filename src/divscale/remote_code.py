"""Whether models may bring code of their own: only where a study says `allow_remote_code: true`.

What is said holds for this process and, through their environment, for the workers that it starts
(`runtime.session.worker_env`). A folder that brings code is refused where it is not allowed
(`generation.engines.model_folder`), so the field itself is no part of a result's identity; the code is.
"""

from __future__ import annotations

import os

VARIABLE = "DIVSCALE_ALLOW_REMOTE_CODE"


def allow(said: bool) -> None:
    """Allow it, or no longer."""
    os.environ[VARIABLE] = "1" if said else "0"


def allowed() -> bool:
    """Whether it is allowed."""
    return os.environ.get(VARIABLE) == "1"
