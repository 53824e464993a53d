"""THE tokenisation: generation, training and evaluation all turn text into ids here, so that none can differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from divscale.errors import DataError


def encode_prompt(tokenizer: Any, prompt: str) -> list[int]:
    """Ids of a prompt as a model sees it before it writes.

    Args:
        tokenizer: a Hugging Face tokenizer.
        prompt: text. A chat template that writes the BOS token itself does not get a second one.

    Returns:
        BOS (if the tokenizer has one), then the prompt's tokens; no other special token is added.
    """
    return encode_prompts(tokenizer, [prompt])[0]


def encode_prompts(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """`encode_prompt` of many at once. One core, a vocabulary of 1,000: 34 us a docstring sentence, one by one 48."""
    if not prompts:
        return []
    bos = tokenizer.bos_token_id
    rows = tokenizer(list(prompts), add_special_tokens=False, verbose=False)["input_ids"]
    return [list(ids) if bos is None or ids[:1] == [bos] else [bos, *ids] for ids in rows]


def encode_pair(tokenizer: Any, prompt: str, completion: str, max_length: int) -> tuple[list[int], list[int]]:
    """Ids of a prompt and its completion, and which of them are targets.

    The two texts are tokenised apart, so that `encode_prompt(prompt)` is a prefix of the ids whenever the pair fits:
    the model is trained on the very tokens it is prompted with. A pair that does not fit loses the beginning of its
    prompt (BOS stays), never a token of its completion.

    Args:
        tokenizer: a Hugging Face tokenizer.
        prompt: what is given. May be empty.
        completion: what is to be written; the tokenizer's EOS (if it has one) is added.
        max_length: most tokens of the pair.

    Returns:
        `ids`, and `targets` of the same length: 1 on the completion's tokens and EOS, 0 on the prompt's.

    Raises:
        DataError: BOS, completion and EOS alone are longer than `max_length`.
    """
    head_ids = encode_prompt(tokenizer, prompt)
    tail_ids = _plain(tokenizer, completion)
    if tokenizer.eos_token_id is not None:
        tail_ids.append(tokenizer.eos_token_id)
    keep = 1 if head_ids[:1] == [tokenizer.bos_token_id] else 0
    room = max_length - keep - len(tail_ids)
    if room < 0:
        raise DataError(f"the completion {completion[:60]!r} takes {len(tail_ids) + keep} tokens with its special "
                        f"tokens, and max_length is {max_length}. Raise max_length or shorten the text.")
    body_ids = head_ids[keep:]
    head_ids = head_ids[:keep] + body_ids[max(0, len(body_ids) - room):]
    return head_ids + tail_ids, [0] * len(head_ids) + [1] * len(tail_ids)


def _plain(tokenizer: Any, text: str) -> list[int]:
    # verbose=False: no warning about the model's length; callers decide what too long means.
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
