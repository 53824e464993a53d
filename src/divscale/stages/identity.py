"""What an external model is: the hash of its weights, or the revision the hub resolved."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Literal

from divscale.embedding.minilm import minilm_folder, minilm_sha256
from divscale.errors import PreflightError
from divscale.frozen import FrozenConfig
from divscale.graph.store import file_sha256

WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")
DESCRIPTION = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "tokenizer.model")


class ModelIdentity(FrozenConfig):
    """A model by content. `unresolved` ones can be planned but not run."""

    kind: Literal["packaged", "folder", "hub", "unresolved"]
    value: str


@cache
def model_identity(model: str, revision: str | None) -> ModelIdentity:
    """Identity of a model name or folder.

    Raises:
        PreflightError: the folder holds no model.
    """
    if model == "minilm":
        return ModelIdentity(kind="packaged", value=minilm_sha256())
    if Path(model).is_dir():
        return ModelIdentity(kind="folder", value=_folder_hash(Path(model)))
    if model.startswith((".", "/", "~")) or Path(model).exists():
        raise PreflightError(
            f"model {model}: no such model folder. Give a Hugging Face folder (config.json, safetensors, tokenizer) or "
            "a hub name."
        )
    resolved = _cached_revision(model, revision)
    if resolved is None:
        return ModelIdentity(kind="unresolved", value=f"{model}@{revision or 'main'}")
    return ModelIdentity(kind="hub", value=f"{model}@{resolved}")


def model_location(model: str) -> str:
    """What to hand to a loader: a folder for the packaged encoder, the name as it is otherwise."""
    return str(minilm_folder()) if model == "minilm" else model


def _folder_hash(folder: Path) -> str:
    weights = sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))
    if not (folder / "config.json").exists() or not weights:
        raise PreflightError(
            f"model {folder}: not a model folder: it needs config.json and weights (*.safetensors). Export one with "
            "save_pretrained, or give another path."
        )
    total = hashlib.sha256()
    for path in [folder / name for name in DESCRIPTION if (folder / name).exists()] + weights:
        total.update(f"{path.name}:{file_sha256(path)}\n".encode())
    return total.hexdigest()


def _cached_revision(model: str, revision: str | None) -> str | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True)).name
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise PreflightError(f"model {model}: neither a folder nor a hub name ({error}).") from error
