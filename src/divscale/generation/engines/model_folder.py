"""What an engine must know of a model folder before it starts, and which folders it refuses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from divscale import remote_code
from divscale.errors import PreflightError
from divscale.generation.config import EngineConfig

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class ModelFacts:
    """`context` tokens a sequence may have; `stop_ids` that end one; `kv_bytes` that one token's cache takes."""

    context: int
    stop_ids: tuple[int, ...]
    kv_bytes: int


def model_facts(model_dir: str, config: EngineConfig) -> ModelFacts:
    """Read a Hugging Face model folder.

    Args:
        model_dir: folder with `config.json` and safetensors weights.
        config: limits the context and sets the dtype.

    Returns:
        The facts. `kv_bytes` is an upper bound (grouped or windowed caches may be smaller).

    Raises:
        PreflightError: no folder, no configuration, weights that are pickles, or a model that needs its own code.
    """
    folder = Path(model_dir)
    model = check_folder(folder, "the engine's model")
    text = model.get("text_config") or model
    context = min(config.max_model_len, text.get("max_position_embeddings") or config.max_model_len)
    heads = text.get("num_attention_heads", 1)
    head_dim = text.get("head_dim") or text.get("hidden_size", 0) // heads
    kv_heads = text.get("num_key_value_heads") or heads
    kv_bytes = 2 * text.get("num_hidden_layers", 0) * kv_heads * head_dim * BYTES[config.dtype]
    return ModelFacts(context, _stop_ids(folder, model), kv_bytes)


def check_folder(folder: Path, where: str) -> dict[str, Any]:
    """Refuse a model folder that cannot be loaded, or not without running code of others. Opens no weights but headers.

    Args:
        folder: a Hugging Face folder.
        where: who asks for it, for messages.

    Returns:
        Its configuration. Cost: reading the tokenizer.

    Raises:
        PreflightError: no folder, no configuration, weights that are pickles, a model that needs its own code and may
            not, weights that are cut short, a tokenizer that cannot be read.
    """
    try:
        model = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(model, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError) as error:
        raise PreflightError(f"{where}: {folder} is not a model folder: its config.json cannot be read ({error}). Give "
                             "a folder with config.json, a tokenizer and .safetensors weights.") from error
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise PreflightError(f"{where}: the model folder {folder} has no .safetensors weights. Pickled weights (.bin, "
                             ".pt) can run code and are refused; convert them to safetensors.")
    for name in ("config.json", "tokenizer_config.json"):
        _check_code(folder, name, (model if name == "config.json" else json_object(folder / name, where)), where)
    _check_modules(folder, where)
    index = json_object(folder / "model.safetensors.index.json", where)
    missing = sorted(set(index.get("weight_map", {}).values()) - {path.name for path in weights})
    if missing:
        raise PreflightError(f"{where}: the model folder {folder} lacks {len(missing)} of its weight files (the first "
                             f"is {missing[0]}). Copy or download it again.")
    for path in weights:
        if (problem := _cut_short(path)) is not None:
            raise PreflightError(f"{where}: {path} is cut short or broken ({problem}). Copy or download it again.")
    _check_tokenizer(folder / "tokenizer.json", where)
    return model


def brings_code(folder: Path) -> bool:
    """Whether a model folder names Python files of its own."""
    return any("auto_map" in json_object(folder / name, "model") for name in ("config.json", "tokenizer_config.json"))


def _check_code(folder: Path, name: str, config: dict[str, Any], where: str) -> None:
    if "auto_map" not in config:
        return
    if not remote_code.allowed():
        raise PreflightError(f"{where}: the model in {folder} brings code of its own (auto_map in {name}), which is "
                             "refused. Use a model whose architecture the engine knows, or, if you have read its code "
                             "and trust it, write allow_remote_code: true into the study.")
    if "--" in json.dumps(config["auto_map"]):
        raise PreflightError(f"{where}: the model in {folder} takes its code from another repository (auto_map in "
                             f"{name}), where it may change unseen. Put the code into the folder.")


def _check_modules(folder: Path, where: str) -> None:
    """The parts of a sentence-transformers folder hold no pickles and are classes of that package."""
    path = folder / "modules.json"
    try:
        modules = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        parts = [(str(module["type"]), str(module["path"])) for module in modules]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise PreflightError(f"{where}: {path} cannot be read ({error!r}). Copy or download it again.") from error
    for kind, part in parts:
        if not kind.startswith("sentence_transformers.") and not remote_code.allowed():
            raise PreflightError(f"{where}: the model in {folder} brings code of its own ({kind} in modules.json), "
                                 "which is refused. Use a model of sentence-transformers' own modules, or, if you have "
                                 "read its code and trust it, write allow_remote_code: true into the study.")
        if ".." in Path(part).parts or Path(part).is_absolute():
            raise PreflightError(f"{where}: {path} names {part}, which is outside of the folder. Copy or download it "
                                 "again.")
        pickles = [found for suffix in ("*.bin", "*.pt", "*.pth") for found in (folder / part).glob(suffix)]
        if part and pickles and not list((folder / part).glob("*.safetensors")):
            raise PreflightError(f"{where}: {pickles[0]} is a pickle, which can run code and is refused; convert it to "
                                 "safetensors.")


def json_object(path: Path, where: str) -> dict[str, Any]:
    """What a JSON file of a model folder holds; nothing where there is no such file.

    Raises:
        PreflightError: it is no JSON object. `where` says who asks for it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if not isinstance(found, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError) as error:
        raise PreflightError(f"{where}: {path} cannot be read ({error}). Copy or download it again.") from error
    return found


def _cut_short(path: Path) -> str | None:
    """What is wrong with the size of a safetensors file: 8 bytes of header length, the header, then the tensors."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = int.from_bytes(file.read(8), "little")
        if size < 8 or head > size - 8:
            return f"its header does not fit into its {size:,} bytes"
        try:
            tensors = json.loads(file.read(head))
            end = max((t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__"), default=0)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return "its header is no safetensors header"
    return None if size == 8 + head + end else f"it has {size:,} bytes, its header promises {8 + head + end:,}"


def _check_tokenizer(path: Path, where: str) -> None:
    if not path.is_file():
        return      # older folders have other files
    import tokenizers

    try:
        tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare ones
        raise PreflightError(f"{where}: the tokenizer {path} cannot be read ({error}). Copy or download it "
                             "again.") from error


def _stop_ids(folder: Path, model: dict[str, Any]) -> tuple[int, ...]:
    found: list[int] = []
    path = folder / "generation_config.json"
    generation = json_object(path, "the engine's model")
    for ids in (model.get("eos_token_id"), generation.get("eos_token_id")):
        found.extend(ids if isinstance(ids, list) else [] if ids is None else [ids])
    return tuple(dict.fromkeys(found))
