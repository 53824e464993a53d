"""Secrets stay where they are: what leaves the program as text is freed of them first.

A secret is the value of an environment variable whose name says so (HF_TOKEN, OPENAI_API_KEY, AWS_SECRET_ACCESS_KEY,
MLFLOW_TRACKING_PASSWORD, ...), and the user and password of any address (`https://user:password@host`,
`s3://KEY:SECRET@bucket`). A value below `SHORTEST` characters hides nothing and is left alone, as is one that stands
within a longer word: hashes keep their digits.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

MASK = "***"
SHORTEST = 8
_SECRET_NAME = re.compile(r"(?:^|_)(?:[A-Z]*TOKEN|[A-Z]*KEY|KEY_ID|[A-Z]*SECRET|PASS|PASSWD|PASSWORD|PASSPHRASE|"
                          r"CREDENTIALS?|SAS)$|SECRET|PASSWORD", re.IGNORECASE)
# What stands before the last @ of an address; without a colon it is a user, or a token in a user's place.
_ADDRESS = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]*://)([^\s/@\"'<>]*:[^\s\"'<>]*|[^\s/@\"'<>]+)@")
_PARAMETER = re.compile(r"([?&](?:access_key|secret_key|session_token|api[-_]?key|key|token|password|sig|signature|"
                        r"x-amz-signature|x-amz-credential|x-amz-security-token)=)[^&\s\"'<>]+", re.IGNORECASE)
_met: set[str] = set()  # of addresses that were opened


def redact(text: str) -> str:
    """`text` with every secret as `***`. Cost: some microseconds where there is none."""
    pattern = _pattern(_secrets())
    if pattern is not None:
        text = pattern.sub(MASK, text)
    if "://" in text:
        text = _PARAMETER.sub(rf"\1{MASK}", _ADDRESS.sub(rf"\1{MASK}@", text))
    return text


def redact_all(value: Any) -> Any:
    """`value` (of JSON) with every text in it redacted; keys stay."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: redact_all(item) for key, item in value.items()}
    return [redact_all(item) for item in value] if isinstance(value, (list, tuple)) else value


def remember(address: str) -> None:
    """Know the user and password of an address from now on, also where they stand alone, as in a server's answer."""
    _met.update(_credentials(address))


def _secrets() -> frozenset[str]:
    found = set(_met)
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and _SECRET_NAME.search(name):
            found.add(value.strip())
        if "@" in value and "://" in value:
            found |= _credentials(value)
    return frozenset(value for value in found if len(value) >= SHORTEST)


def _credentials(address: str) -> set[str]:
    found = _ADDRESS.search(address)
    return {form for part in found[2].split(":", 1) for form in (part, unquote(part))} if found else set()


@lru_cache(maxsize=8)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    if not secrets:
        return None
    longest_first = sorted(secrets, key=lambda value: (-len(value), value))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, longest_first))})(?![A-Za-z0-9])")
