"""Models and tokenizers: loaded, or made from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from divscale.errors import ConfigError, PreflightError
from divscale.remote_code import allowed
from divscale.training.config import ArchitectureConfig
from divscale.training.lora import adapters_base, add_adapters, open_adapters
from divscale.training.suitable import check_causal, check_positions
from divscale.training.work import Arm, Head

BOS, EOS, PAD = "<s>", "</s>", "<pad>"


def build(arm: Arm) -> tuple[Any, Any]:
    """Makes what an arm starts from, in float32 on the CPU, and its tokenizer. Weights that are not loaded come from
    `arm.seed`.

    Raises:
        PreflightError: The model's folder or name gives no such model, or for a causal head one that reads both ways.
        ConfigError: The model lacks the layers that are to get adapters or has fewer positions than a sample may have
            tokens, or there is no model to put adapters on.
    """
    import torch

    torch.manual_seed(arm.seed)
    if not isinstance(arm.model, ArchitectureConfig):
        model, tokenizer, fresh = _load(arm.model, arm.head, arm.labels, arm.revision)
        check_positions(model, arm.model, arm.max_length)
        if arm.head == "causal":
            check_causal(model, arm.model)
        return (add_adapters(model, arm.lora, arm.head, fresh) if arm.lora else model), tokenizer
    if arm.lora:
        raise ConfigError(f"training arm {arm.key}: adapters go on a model that has learnt something, and this one is "
                          "to be made from scratch; name a model, or train every weight.")
    texts = [text for name in ("prompt", "completion", "text") if name in arm.rows.column_names
             for text in arm.rows.column(name).to_pylist()]
    tokenizer = train_tokenizer(texts, arm.model.vocab_size, arm.model.max_length)
    return from_scratch(arm.model, tokenizer, arm.head, arm.labels), tokenizer


def load(model: str, head: Head, labels: tuple[str, ...], revision: str | None = None,
         base: str | None = None) -> tuple[Any, Any]:
    """Loads a model in float32 and its tokenizer; a head that the folder lacks comes from torch's generator.

    Args:
        model: A folder or name. A folder of adapters gives the model that they stand on, with them.
        base: Where that model is, if it is not where the adapters say.

    Raises:
        PreflightError: The folder or name gives no such model.
    """
    if base or (standing_on := adapters_base(model)):
        loaded, tokenizer, _ = _load(base or standing_on, head, labels, None)
        return open_adapters(loaded, model), tokenizer
    return _load(model, head, labels, revision)[:2]


def _load(model: str, head: Head, labels: tuple[str, ...], revision: str | None) -> tuple[Any, Any, list[str]]:
    # The third is the names of the weights that the folder lacks.
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=allowed())
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        # A revision in `settings` would reach the model's constructor as None for local folders; pass it only if set.
        settings: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": "sdpa"}
        settings |= {"use_safetensors": True, "trust_remote_code": allowed()}
        settings |= {"revision": revision} if revision else {}
        settings |= {"output_loading_info": True} | (_label_names(labels) if head == "classifier" else {})
        kind: Any = AutoModelForCausalLM if head == "causal" else AutoModelForSequenceClassification
        loaded, info = kind.from_pretrained(model, **settings)
    except (OSError, ValueError) as error:
        raise PreflightError(f"{model!r} gives no {head} model: {error} Give a folder with config.json, weights and a "
                             "tokenizer, or the name of a model that is on the hub or in its cache.") from error
    loaded.config.pad_token_id = tokenizer.pad_token_id
    return loaded, tokenizer, sorted(info["missing_keys"])


def checkpointed_layers(model: Any, name: str) -> list[Any]:
    """The layers of a model that can forget their activations.

    Raises:
        ConfigError: None can.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise ConfigError(f"train.gradient_checkpointing: {name} has no layers that can; set it to false.")
    return layers


def forget_activations(model: Any, layers: Iterable[Any]) -> None:
    """Lets a model's layers forget their activations and compute them again for the backward pass."""
    model.gradient_checkpointing_enable({"use_reentrant": False})
    for layer in layers:
        # transformers checkpoints in training mode alone, and that mode would switch dropout on. So the layer itself
        # is in training mode, what is in it is not, and its own dropout is nought.
        layer.training = True
        for setting in [key for key, value in vars(layer).items() if "dropout" in key and isinstance(value, float)]:
            setattr(layer, setting, 0.0)


def from_scratch(architecture: ArchitectureConfig, tokenizer: Any, head: Head, labels: tuple[str, ...] = ()) -> Any:
    """Makes a Llama with tied embeddings and weights from torch's generator; its MLP is 8/3 as wide as the model.

    Raises:
        ConfigError: `hidden_size` is no multiple of `2 * heads`.
    """
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    if architecture.hidden_size % (2 * architecture.heads):
        raise ConfigError(f"hidden_size {architecture.hidden_size} is no multiple of 2 x {architecture.heads} heads, "
                          "which rotary position embeddings need; change one of them.")
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=architecture.hidden_size, num_hidden_layers=architecture.layers,
        intermediate_size=-(-architecture.hidden_size * 8 // 3) // 8 * 8, num_attention_heads=architecture.heads,
        max_position_embeddings=architecture.max_length, initializer_range=architecture.initializer_range,
        tie_word_embeddings=True, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **(_label_names(labels) if head == "classifier" else {}))
    return LlamaForCausalLM(config) if head == "causal" else LlamaForSequenceClassification(config)


def train_tokenizer(texts: Iterable[str], vocab_size: int, max_length: int) -> Any:
    """Fits a byte-level BPE: any text has an encoding. The special tokens are 0 `<pad>`, 1 `<s>`, 2 `</s>`.

    The vocabulary is smaller than `vocab_size` if the texts have fewer merges, never smaller than 259.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    # Sorted, because merges of equal frequency are taken in the order words were met.
    bpe.train_from_iterator(sorted(texts), trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[PAD, BOS, EOS], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    bpe.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 1)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=BOS, eos_token=EOS, pad_token=PAD,
                                   model_max_length=max_length, clean_up_tokenization_spaces=False)


def _label_names(labels: tuple[str, ...]) -> dict[str, Any]:
    return {"num_labels": len(labels), "id2label": dict(enumerate(labels)),
            "label2id": {label: i for i, label in enumerate(labels)}}
