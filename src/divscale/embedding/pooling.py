"""How a sentence-transformers folder makes one vector of a text's token vectors."""

from __future__ import annotations

import json
from pathlib import Path


def pooling(folder: Path) -> str | None:
    """`mean`, `cls_token`, `max_tokens`, `lasttoken`, ...; several joined by "+"; None where the folder does not say.

    A number about embeddings means little without it: mean and CLS vectors of one model are different spaces.
    """
    modules = folder / "modules.json"
    if not modules.exists():
        return None
    for module in json.loads(modules.read_text(encoding="utf-8")):
        settings = folder / module["path"] / "config.json"
        if module["type"].rpartition(".")[2] != "Pooling" or not settings.exists():
            continue
        found = json.loads(settings.read_text(encoding="utf-8"))
        if "pooling_mode" in found:
            return str(found["pooling_mode"])
        modes = [name.removeprefix("pooling_mode_") for name, on in found.items()
                 if name.startswith("pooling_mode_") and on is True]
        return "+".join("mean" if mode == "mean_tokens" else mode for mode in modes) or None
    return None
