"""`--rates`: where else than in a study's own store it is recorded how long stages take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from divscale.errors import ConfigError
from divscale.graph.store import RECORD, Store


def rates_of(paths: Sequence[str]) -> list[tuple[str, Store]]:
    """The stores at these paths, of which the records are enough, each with words that tell it from others.

    Raises:
        ConfigError: There are no records at one.
    """
    for path in paths:
        if next(Path(path).glob(f"*/*/{RECORD}"), None) is None:
            raise ConfigError(f"--rates: {path} is no store that has recorded anything. Name the folder that a study "
                              "was run into (--store), or a copy of the record.json files in it, folders included.")
    return [(f" in {path}", Store(path)) for path in paths]
