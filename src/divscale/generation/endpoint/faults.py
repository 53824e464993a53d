"""What an endpoint's errors mean: for a row, for the run, and for the user."""

from __future__ import annotations

import os
from typing import Any

from divscale.errors import DivscaleError, PreflightError, StageFailedError
from divscale.redact import redact

KEY = "OPENAI_API_KEY"
# Rows in a row that failed at every try, and no answer between: then it is not the rows.
GIVE_UP = 16


def refused(error: Any, url: str, model: str) -> DivscaleError | None:
    """The paragraph for an error that every request would meet; null for one that is the row's own."""
    import openai

    if isinstance(error, (openai.AuthenticationError, openai.PermissionDeniedError)):
        key = "it is not set" if not os.environ.get(KEY) else "the one that is set is not accepted"
        return PreflightError(f"generator: the endpoint {url} asks for another key ({KEY}: {key}; it said: "
                              f"{said(error)}). Set {KEY} in the environment that divscale is started in.")
    if isinstance(error, openai.NotFoundError):
        return PreflightError(f"generator: the endpoint {url} has no model {model!r} under this address (it said: "
                              f"{said(error)}). Give generator.model the name it is served under, and "
                              "generator.engine.base_url the address that ends before /completions or /chat "
                              "(usually in /v1).")
    return None


def unreachable(error: Any, url: str, kept: int) -> DivscaleError:
    """The paragraph for an endpoint that stopped answering, or never began."""
    if kept == 0:
        return PreflightError(f"generator: the endpoint {url} does not answer ({said(error)}). Start it, or correct "
                              "generator.engine.base_url.")
    return StageFailedError(f"the endpoint {url} stopped answering ({said(error)}). The {kept} answers it gave are "
                            "kept and will not be asked again. Bring it back and run again to go on.")


def said(error: BaseException) -> str:
    """What went wrong in a line: the endpoint's own words where there are some, without the key."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        text = "no answer in time"
    elif isinstance(error, openai.APIStatusError):
        body: Any = error.body      # of the JSON that came, what stands under "error", where there is such
        words = body.get("message") if isinstance(body, dict) else None
        text = f"{error.status_code}: {words or error.response.reason_phrase or error.message}"
    else:
        text = str(error.__cause__ or error)
    text = " ".join(text.split()).rstrip(".")
    text = redact(text)
    return text if len(text) <= 300 else f"{text[:297]}..."
