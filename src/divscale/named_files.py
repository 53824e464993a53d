"""Files and folders that a study names: data, templates, recipes, models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from divscale.config import Study
from divscale.data.sources import WORLDS
from divscale.schema import PRETRAIN

PLACES = ("source", "test", "out_of_distribution", "path", "file", "prompts", "chat_template", "include_path", "model",
          "embedder")
PACKAGED = (*WORLDS, "minilm", "encoder", PRETRAIN)   # names that come before a folder so called


def relative_files(study: Study) -> dict[str, str]:
    """Those by relative paths that are here: paths by the fields that name them."""
    return {field: name for field, name in _named(json.loads(study.model_dump_json(exclude={"resources"})))
            if name not in PACKAGED and not Path(name).is_absolute() and Path(name).exists()}


def named_models(study: Study) -> list[tuple[str, str | None]]:
    """Models that every node of its fleets loads: by name or folder, with their revisions, sorted."""
    served = {"generator"} if study.generator.engine.engine == "openai" else set[str]()
    found = set(_models(json.loads(study.model_dump_json(exclude=served))))
    return sorted((model for model in found if model[0] != "encoder" and not model[0].startswith(PRETRAIN)),
                  key=lambda model: (model[0], model[1] or ""))


def _models(value: object) -> Iterator[tuple[str, str | None]]:
    if isinstance(value, dict):
        section = cast("dict[str, object]", value)
        if isinstance(model := section.get("model"), str):
            yield model, cast("str | None", section.get("revision"))
    for item in cast("list[object]", list(value.values()) if isinstance(value, dict) else
                     value if isinstance(value, list) else []):
        yield from _models(item)


def _named(value: object, field: str = "", place: bool = False) -> Iterator[tuple[str, str]]:
    """Every text at or below one of `PLACES`, with its field."""
    if isinstance(value, str) and place:
        yield field, value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in cast("Iterator[tuple[object, object]]", parts):
        yield from _named(item, f"{field}.{key}" if field else str(key), place or key in PLACES)
