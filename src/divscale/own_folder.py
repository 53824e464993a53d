"""The folder of `divscale train` or `evaluate`: what it was made from; one process at a time is at work in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from divscale.errors import ConfigError
from divscale.graph.lease import Leases

CONFIG = "config.json"
ALL_OF_IT = "0" * 32  # the only stage there is: one thing to hold a lease on


@contextmanager
def claimed(folder: Path, config: Mapping[str, Any], contents: Mapping[str, str]) -> Iterator[None]:
    """Hold the folder, which is made, while its result is looked for or made in it.

    Args:
        folder: where.
        config: what was asked for.
        contents: what that names by a path, by field: its content. Another content is another result.

    Raises:
        ConfigError: it cannot be written, another process is at work in it, or it holds another result.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        leases = Leases(folder)
        ours = leases.acquire(ALL_OF_IT)
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not ours:
        raise ConfigError(f"--out: another process is at work in {folder}. Wait until it has ended, or name another "
                          "folder.")
    try:
        _check(folder, {"config": dict(config), "contents": dict(contents)})
        yield
    finally:
        leases.release(ALL_OF_IT)


def _check(folder: Path, wanted: dict[str, Any]) -> None:
    path = folder / CONFIG
    if not path.exists() or _is_begun_alone(folder):
        try:
            write_whole(path, wanted)
        except OSError as error:
            raise _unwritable(folder, error) from error
        return
    held = json.loads(path.read_text(encoding="utf-8"))
    if held.get("config") != wanted["config"]:
        raise ConfigError(f"--out: {folder} holds what another configuration made ({CONFIG} there). Name another "
                          "folder, or remove this one.")
    changed = [name for name, content in wanted["contents"].items() if held["contents"].get(name) != content]
    if changed:
        raise ConfigError(f"--out: {folder} holds what was made before {' and '.join(changed)} changed: the "
                          "configuration names the same, and what lies there is another content. Name another folder, "
                          "or remove this one.")


def _is_begun_alone(folder: Path) -> bool:
    """Whether nothing but what was asked for lies here, as after a mistake that ended a run before it had made any."""
    others = (path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file())
    return {*others} - {CONFIG, "locks", "logs"} == set()


def check_apart(folder: Path, model: str) -> None:
    """Raises ConfigError: `folder` lies in the folder of the model that is asked, whose files say which one it is."""
    if folder.resolve().is_relative_to(Path(model).resolve()):
        raise ConfigError(f"--out: {folder} lies in the model's own folder, whose files say which model it is. Name "
                          "another folder.")


def write_whole(path: Path, value: Any) -> None:
    """Write JSON so that the file is there whole or not at all."""
    hidden = path.with_name(f".{path.name}")
    hidden.write_text(json.dumps(value, indent=1), encoding="utf-8")
    hidden.replace(path)


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(f"--out: {folder} cannot be written ({error.strerror}). Name a folder that can.")
