"""A Llama-architecture model of 0.7M parameters with random weights and a BPE tokenizer of its own."""

from __future__ import annotations

from pathlib import Path

TEXT = ["Return the path of a file as a string.", "label: text: story: ask: question: answer: paraphrase: ->",
        "Raised when an operation on a socket times out; see also the module asyncio."]


def make_tiny_model(folder: Path, context: int = 96) -> str:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=1000, special_tokens=["<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(
        vocab_size=1000, hidden_size=128, intermediate_size=344, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=context, bos_token_id=0, eos_token_id=1, tie_word_embeddings=True,
        initializer_range=0.06)).save_pretrained(folder)
    return str(folder)
