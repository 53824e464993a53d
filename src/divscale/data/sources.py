"""From a study's `data` to validated samples: the embedded worlds by name, files by path."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from divscale.data import pydocs, storyland
from divscale.data.config import DataConfig
from divscale.data.location import file_hash
from divscale.data.read import RawRows, read
from divscale.data.samples import content_hash, not_in
from divscale.data.validate import Validated, validate
from divscale.errors import ConfigError, DataError
from divscale.schema import Task

TEST, OTHER = "data.test", "data.out_of_distribution."
WORLDS: dict[str, tuple[Task, ...]] = {"pydocs": ("classification", "text"), "storyland": ("qa",)}


@dataclass(frozen=True)
class Loaded:
    """Validated real data. `test` is null where the study names no held-out file; `others` are by name."""

    train: Validated
    test: Validated | None
    others: dict[str, Validated]


def load(config: DataConfig) -> Loaded:
    """Read and validate what `config` names; not split yet.

    Labels of held-out files that the source lacks are rejected; those that `labels` does not choose are filtered, there
    too. A held-out file need not have each.

    Raises:
        ConfigError: A missing file or column, an unknown label, a world asked for another task.
        DataError: Unreadable or invalid data.
        PreflightError: pydocs on a Python without sources.
    """
    raw = _raw_world(config) if config.source in WORLDS else read(config.source, config.columns, config.task)
    train = validate(raw, config.task, labels=config.labels, max_rejected_share=config.max_rejected_share)
    kept = tuple(sorted({label for label in train.samples["label"].to_pylist() if label}))
    found = {field: validate(
        read(file, config.columns, config.task, field=field), config.task, field=field,
        labels=kept if config.labels is not None else None, held_out=True,
        known=train.labels if config.task == "classification" else None,
        max_rejected_share=config.max_rejected_share) for field, file in held_out_files(config).items()}
    others = {name: found[f"{OTHER}{name}"] for name in config.out_of_distribution}
    for name, other in others.items():
        if not not_in(other.samples, train.samples):
            raise DataError(f"{OTHER}{name}: every row of {config.out_of_distribution[name]} stands in data.source "
                            "too, so none is held out. Leave the file out, or take its rows out of the source.")
    return Loaded(train, found.get(TEST), others)


def held_out_files(config: DataConfig) -> dict[str, str]:
    """The files that are only for scoring, by the field that names them."""
    return {**({TEST: config.test} if config.test is not None else {}),
            **{f"{OTHER}{name}": file for name, file in config.out_of_distribution.items()}}


def identity(config: DataConfig) -> dict[str, str]:
    """Content hashes of what `config` names, by field ("source", "data.test", ...). The identity of external data.

    Reads files once (1 GB/s); pydocs takes a second; storyland is identified by its size and its rows.
    """
    source = content_hash(_world(config)) if config.source in WORLDS else file_hash(config.source)
    return {"source": source, **{field: file_hash(file, field) for field, file in held_out_files(config).items()}}


def _world(config: DataConfig) -> pa.Table:
    tasks = WORLDS[config.source]
    if config.task not in tasks:
        raise ConfigError(f"data.task: {config.source} is a {' or '.join(tasks)} world, not {config.task}. Set "
                          f"data.task: {tasks[0]}.")
    return pydocs.load() if config.source == "pydocs" else storyland.load(config.world_size)


def _raw_world(config: DataConfig) -> RawRows:
    table = _world(config)
    fields = type(config.columns).model_fields
    return RawRows(config.source, {name: table[name].to_pylist() for name in fields}, table.num_rows)
