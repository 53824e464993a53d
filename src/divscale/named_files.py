"""Files and folders that a study names: data, templates, recipes, models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from divscale.config import Study
from divscale.data.sources import WORLDS

PLACES = ("source", "test", "out_of_distribution", "path", "file", "prompts", "chat_template", "include_path", "model",
          "embedder")
PACKAGED = (*WORLDS, "minilm", "encoder", "pretrain")   # names that come before a folder so called


def relative_files(study: Study) -> dict[str, str]:
    """Those by relative paths that are here: paths by the fields that name them."""
    return {field: name for field, name in _named(json.loads(study.model_dump_json(exclude={"resources"})))
            if name not in PACKAGED and not Path(name).is_absolute() and Path(name).exists()}


def _named(value: object, field: str = "", place: bool = False) -> Iterator[tuple[str, str]]:
    """Every text at or below one of `PLACES`, with its field."""
    if isinstance(value, str) and place:
        yield field, value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in cast("Iterator[tuple[object, object]]", parts):
        yield from _named(item, f"{field}.{key}" if field else str(key), place or key in PLACES)
