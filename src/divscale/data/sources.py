"""From a study's `data` to validated samples: the embedded worlds by name, files by path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from divscale.data import pydocs, storyland
from divscale.data.config import DataConfig
from divscale.data.location import file_hash
from divscale.data.read import RawRows, read
from divscale.data.samples import content_hash
from divscale.data.validate import Validated, validate
from divscale.errors import ConfigError
from divscale.schema import Task

WORLDS: dict[str, Task] = {"pydocs": "classification", "storyland": "qa"}


@dataclass(frozen=True)
class Loaded:
    """Validated real data. `test` is null where the study names no held-out file."""

    train: Validated
    test: Validated | None


def load(config: DataConfig) -> Loaded:
    """Read and validate what `config` names; not split yet.

    Labels of the test file that the training data lacks are rejected, unless `labels` chooses labels: then they are
    filtered like all others not chosen.

    Raises:
        ConfigError: A missing file or column, an unknown label, a world asked for another task.
        DataError: Unreadable or invalid data.
        PreflightError: pydocs on a Python without sources.
    """
    raw = _raw_world(config) if config.source in WORLDS else read(config.source, config.columns, config.task)
    train = validate(raw, config.task, labels=config.labels, max_rejected_share=config.max_rejected_share)
    if config.test is None:
        return Loaded(train, None)
    labels = tuple(sorted({label for label in train.samples["label"].to_pylist() if label}))
    test = validate(
        read(config.test, config.columns, config.task, field="data.test"), config.task, field="data.test",
        labels=labels if config.labels is not None else None,
        known=labels if config.labels is None and config.task == "classification" else None,
        max_rejected_share=config.max_rejected_share)
    return Loaded(train, test)


def identity(config: DataConfig) -> dict[str, Any]:
    """Content hashes of what `config` names: {"source": ..., "test": ... or None}. The identity of external data.

    Reads files once (1 GB/s); pydocs takes a second; storyland is identified by its size and its rows.
    """
    source = content_hash(_world(config)) if config.source in WORLDS else file_hash(config.source)
    return {"source": source, "test": None if config.test is None else file_hash(config.test, "data.test")}


def _world(config: DataConfig) -> pa.Table:
    if config.task != WORLDS[config.source]:
        raise ConfigError(f"data.task: {config.source} is a {WORLDS[config.source]} world, not {config.task}. Set "
                          f"data.task: {WORLDS[config.source]}.")
    return pydocs.load() if config.source == "pydocs" else storyland.load(config.world_size)


def _raw_world(config: DataConfig) -> RawRows:
    table = _world(config)
    fields = type(config.columns).model_fields
    return RawRows(config.source, {name: table[name].to_pylist() for name in fields}, table.num_rows)
