"""What an external model is: the hash of its weights, or the revision the hub resolved."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

from divscale.embedding.minilm import minilm_folder, minilm_sha256
from divscale.errors import PreflightError
from divscale.frozen import FrozenConfig
from divscale.generation.engines.model_folder import brings_code, check_folder, json_object
from divscale.graph.stage import Stage
from divscale.graph.store import file_sha256

WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf")
DESCRIPTION = ("*.json", "*.jinja", "*.txt", "*.model")  # tokenizer, templates, stop tokens, pooling
SUFFIXES = {pattern.removeprefix("*") for pattern in (*WEIGHTS, *DESCRIPTION)}


class ModelIdentity(FrozenConfig):
    """A model by content, or by name where another serves it. `unresolved` ones can be planned but not run."""

    kind: Literal["packaged", "folder", "hub", "served", "unresolved"]
    value: str


def model_identity(model: str, revision: str | None, field: str = "model") -> ModelIdentity:
    """Identity of a model name or folder. `field` is the study's field that names it, for messages.

    Raises:
        PreflightError: the folder holds no model.
    """
    if model == "minilm":
        return ModelIdentity(kind="packaged", value=minilm_sha256())
    if os.path.isdir(model):  # noqa: PTH112 (False for a name too long for a path, where pathlib raises)
        return ModelIdentity(kind="folder", value=_folder_hash(_model_folder(Path(model), field)))
    if model.startswith((".", "/", "~")) or os.path.exists(model):  # noqa: PTH110
        raise PreflightError(
            f"{field}: {model}: no such model folder. Give a Hugging Face folder (config.json, safetensors, tokenizer) "
            "or a hub name."
        )
    try:
        snapshot = _snapshot(model, revision)
    except ValueError as error:
        raise PreflightError(
            f"{field}: {model!r} is neither a folder nor a hub name (NAME or OWNER/NAME). Give one of the two."
        ) from error
    if snapshot:
        check_folder(snapshot, field)
    resolved = snapshot.name if snapshot else None
    if resolved is None:
        return ModelIdentity(kind="unresolved", value=f"{model}@{revision or 'main'}")
    return ModelIdentity(kind="hub", value=f"{model}@{resolved}")


def unresolved_model(stage: Stage) -> str | None:
    """A model of a stage that is not on this machine: its fingerprint is not that of a stage that was run."""
    return next((model["value"] for model in stage.plain_config.values()
                 if isinstance(model, dict) and model.get("kind") == "unresolved"), None)


def not_here(model: str, where: str) -> PreflightError:
    """What is said of an unresolved model; `where` is what asks for it."""
    return PreflightError(
        f"{where}: model {model} is neither a folder nor in the local Hugging Face cache. Download it (hf download "
        f"{model.partition('@')[0]}), point HF_HOME at a cache that has it, or give a folder.")


def model_location(model: str, revision: str | None) -> str:
    """The folder a loader is given: absolute, and for a hub name the snapshot that was identified."""
    if model == "minilm":
        return str(minilm_folder())
    if Path(model).is_dir():
        return str(Path(model).resolve())
    return str(_snapshot(model, revision) or model)


def is_here(model: str, revision: str | None) -> bool:
    """Whether this machine has the files of a model, by name or folder, and none is empty. Cost: nothing is hashed."""
    try:
        folder = Path(model_location(model, revision))
        shards = json_object(folder / "model.safetensors.index.json", model).get("weight_map", {})
    except (ValueError, PreflightError):  # no name that a hub could have; an encoder, or an index, that is damaged
        return False
    weights = [path for pattern in WEIGHTS for path in folder.glob(pattern)]
    return bool(weights) and all(path.is_file() and path.stat().st_size > 0 for path in {
        folder / "config.json", *weights, *(folder / name for name in shards.values())})


def has_chat_template(model: str, revision: str | None) -> bool:
    """Whether the model was taught turns. True for one that is not here yet.

    Raises:
        PreflightError: its tokenizer's settings cannot be read.
    """
    folder = Path(model_location(model, revision))
    if not folder.is_dir():
        return True
    settings = json_object(folder / "tokenizer_config.json", "the generator's model")
    return (folder / "chat_template.jinja").exists() or "chat_template" in settings


def _model_folder(folder: Path, field: str) -> Path:
    weights = sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))
    if not (folder / "config.json").exists() or not weights:
        raise PreflightError(
            f"{field}: {folder} is not a model folder: it needs config.json and weights (*.safetensors). Export one "
            "with save_pretrained, or give another path."
        )
    check_folder(folder, field)
    return folder


def _folder_hash(folder: Path) -> str:
    # Not kept from call to call: a folder may be replaced in place while a notebook goes on, and its files' contents,
    # which cost, are. 50 files take 1.2 ms.
    suffixes = {*SUFFIXES, ".py"} if brings_code(folder) else SUFFIXES
    return files_sha256(folder, (path for path in folder.rglob("*") if path.suffix in suffixes))


def files_sha256(root: Path, paths: Iterable[Path]) -> str:
    """SHA-256 over the names, relative to `root`, and the contents of files. One that has not changed is read once."""
    total = hashlib.sha256()
    for path in sorted(paths):
        state = path.stat()
        content = _content(path, state.st_size, state.st_mtime_ns)
        total.update(f"{path.relative_to(root).as_posix()}:{content}\n".encode())
    return total.hexdigest()


@cache
def _content(path: Path, _size: int, _changed_ns: int) -> str:
    return file_sha256(path)


@cache
def _snapshot(model: str, revision: str | None) -> Path | None:
    """Where the local Hugging Face cache has a hub model; raises ValueError for what is no hub name."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
