# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Keys and bytes under one URI of an object store (s3://, gs://, az://), with the conditional writes of a commit.

Through obstore, because pyarrow.fs and fsspec cannot write "only if nothing is there" or "only if it is still this".
Throttling, server errors and dropped connections are tried again with growing pauses, up to `RETRIES` times within
`RETRY_S` seconds. Credentials come from the environment, as the provider's own tools name them; an endpoint without TLS
is used only where AWS_ENDPOINT_URL itself says http://.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from divscale.errors import ConfigError, StageFailedError

SCHEMES = ("s3", "gs", "az", "abfs", "abfss")
RETRIES = 8
RETRY_S = 120
REQUEST_S = 120
AT_ONCE = 500  # keys that one request removes
TAG = ("e_tag", "version")  # S3 and Azure compare the first, Google's service the second (its generation)
Tag = Mapping[str, str]
_REASON = 300  # characters of what a storage service says


@dataclass(frozen=True)
class Entry:
    """An object: its key below the URI, bytes, and when the service says it was written."""

    key: str
    size: int
    modified: datetime


class Objects:
    """The objects below one URI.

    Args:
        uri: `s3://bucket/prefix` or alike.

    Raises:
        ConfigError: The URI is of another kind, or holds credentials.
    """

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        if parts.scheme not in SCHEMES or not parts.netloc:
            raise ConfigError(f"store {uri}: an object store is named as SCHEME://BUCKET/PREFIX with one of "
                              f"{', '.join(SCHEMES)}; or give the path of a folder.")
        if "@" in parts.netloc or parts.query:
            raise ConfigError(f"store {parts.scheme}://...: the address holds more than a bucket and a prefix. "
                              "Credentials and options come from the environment (AWS_ACCESS_KEY_ID, ...).")
        self.uri = uri.rstrip("/")
        self._store: Any = None

    def get(self, key: str) -> tuple[bytes, Tag] | None:
        """An object's bytes and its tag, which changes whenever it is written; None where there is none."""
        with self._explained(key):
            try:
                found = self._api().get(self._opened(), key)
            except FileNotFoundError:
                return None
            return bytes(found.bytes()), {part: found.meta[part] for part in TAG if found.meta.get(part) is not None}

    def put(self, key: str, body: bytes) -> None:
        """Write, whatever was there."""
        with self._explained(key):
            self._api().put(self._opened(), key, body)

    def create(self, key: str, body: bytes) -> bool:
        """Write where nothing is; False where something is already."""
        return self._conditional(key, body, "create")

    def replace(self, key: str, body: bytes, tag: Tag) -> bool:
        """Write where the object is still the one of this tag; False where it is not."""
        return self._conditional(key, body, dict(tag))

    def delete(self, keys: Sequence[str]) -> None:
        """Remove; of keys that are not there nothing is said."""
        for start in range(0, len(keys), AT_ONCE):
            with self._explained(keys[0]):
                self._api().delete(self._opened(), list(keys[start:start + AT_ONCE]))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every object whose key begins with the path `prefix`. Cost: a request for a thousand."""
        with self._explained(prefix):
            for batch in self._api().list(self._opened(), prefix=prefix or None):
                for found in batch:
                    yield Entry(found["path"], found["size"], found["last_modified"])

    def upload(self, path: Path, key: str) -> None:
        """A file's bytes; in parts that go side by side where it is large."""
        with self._explained(key):
            self._api().put(self._opened(), key, path)

    def download(self, key: str, path: Path) -> None:
        """Into a file that is whole as soon as it is there.

        Raises:
            FileNotFoundError: There is no such object.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            with self._explained(key), hidden.open("wb") as out:
                for chunk in self._api().get(self._opened(), key).stream():
                    out.write(chunk)
            hidden.rename(path)
        finally:
            hidden.unlink(missing_ok=True)

    def _conditional(self, key: str, body: bytes, mode: Any) -> bool:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._explained(key):
            try:
                self._api().put(self._opened(), key, body, mode=mode)
            except (AlreadyExistsError, PreconditionError, FileNotFoundError):
                # A repeated request may meet what its first attempt wrote.
                found = self.get(key)
                return found is not None and found[0] == body
            return True

    def _api(self) -> Any:
        import obstore

        return obstore

    def _opened(self) -> Any:
        if self._store is None:
            from obstore.store import from_url

            options: Any = {"timeout": timedelta(seconds=REQUEST_S), "connect_timeout": timedelta(seconds=10)}
            if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
                options["allow_http"] = True
            self._store = from_url(
                self.uri, client_options=options,
                retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S),
                              "backoff": {"init_backoff": timedelta(milliseconds=200),
                                          "max_backoff": timedelta(seconds=15), "base": 2}})
        return self._store

    @contextmanager
    def _explained(self, key: str) -> Generator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            reason = " ".join(str(error).split("Debug source")[0].split())[:_REASON]
            raise StageFailedError(
                f"{self.uri}/{key}: the object store refused or did not answer ({type(error).__name__}: {reason}). "
                "Check its address, the network and the credentials in the environment. What was committed before is "
                "safe; run again to go on from there.") from error
