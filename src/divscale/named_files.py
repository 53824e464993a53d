"""Files and folders that a study names: data, templates, recipes, models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from divscale.config import Study
from divscale.data.sources import WORLDS
from divscale.schema import PRETRAIN

PLACES = frozenset({"source", "test", "out_of_distribution", "path", "file", "prompts", "chat_template", "include_path",
                    "model", "embedder"})
PACKAGED = (*WORLDS, "minilm", "encoder", PRETRAIN)   # names that come before a folder so called


def relative_files(study: Study) -> dict[str, str]:
    """Those by relative paths that are here: paths by the fields that name them."""
    return {".".join(field): name for field, name in _texts(study, "resources").items()
            if PLACES.intersection(field) and name not in PACKAGED and not Path(name).is_absolute()
            and Path(name).exists()}


def named_models(study: Study) -> list[tuple[str, str | None]]:
    """Models that every node of its fleets loads: by name or folder, with their revisions, sorted."""
    texts = _texts(study, *(["generator"] if study.generator.engine.engine == "openai" else []))
    found = {(model, texts.get((*field[:-1], "revision"))) for field, model in texts.items() if field[-1] == "model"}
    return sorted((model for model in found if model[0] != "encoder" and not model[0].startswith(PRETRAIN)),
                  key=lambda model: (model[0], model[1] or ""))


def _texts(study: Study, *without: str) -> dict[tuple[str, ...], str]:
    """Every text of a study by its field, but those of the sections `without`."""
    return dict(_below(json.loads(study.model_dump_json(exclude=set(without)))))


def _below(value: object, *field: str) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield field, value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in cast("Iterator[tuple[object, object]]", parts):
        yield from _below(item, *field, str(key))
