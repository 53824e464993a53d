from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from divscale.errors import DataError
from divscale.rendering.encode import encode_pair, encode_prompt

SUPPRESSED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)  # in place of those that all tests have
TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40)


@settings(max_examples=150, deadline=None, suppress_health_check=SUPPRESSED)
@given(prompt=TEXT, completion=TEXT)
def test_the_prompt_is_a_prefix_of_the_pair_and_the_mask_begins_where_it_ends(tokenizer, prompt, completion):
    head = encode_prompt(tokenizer, prompt)
    ids, targets = encode_pair(tokenizer, prompt, completion, max_length=1000)
    assert ids[:len(head)] == head
    assert targets == [0] * len(head) + [1] * (len(ids) - len(head))
    assert ids[-1] == tokenizer.eos_token_id


def test_the_prompt_gets_one_bos_and_no_eos(tokenizer):
    assert encode_prompt(tokenizer, "the fox")[0] == tokenizer.bos_token_id
    assert tokenizer.eos_token_id not in encode_prompt(tokenizer, "the fox")
    assert encode_prompt(tokenizer, "") == [tokenizer.bos_token_id]


def test_a_bos_that_a_chat_template_wrote_is_not_doubled(tokenizer):
    assert encode_prompt(tokenizer, "<s>the fox") == encode_prompt(tokenizer, "the fox")


@settings(max_examples=60, deadline=None, suppress_health_check=SUPPRESSED)
@given(prompt=TEXT, max_length=st.integers(1, 40))
def test_a_pair_that_is_too_long_loses_the_beginning_of_its_prompt_only(tokenizer, prompt, max_length):
    completion = " lazy dog"
    full, targets = encode_pair(tokenizer, prompt, completion, 1000)
    wanted = sum(targets) + 1
    if max_length < wanted:
        with pytest.raises(DataError, match="max_length"):
            encode_pair(tokenizer, prompt, completion, max_length)
        return
    ids, mask = encode_pair(tokenizer, prompt, completion, max_length)
    assert len(ids) == min(max_length, len(full))
    assert ids[0] == tokenizer.bos_token_id
    assert ids[1:] == full[len(full) - len(ids) + 1:]
    assert sum(mask) == sum(targets)


def test_a_tokenizer_without_special_tokens_adds_none(tokenizer):
    bare = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer)
    ids, targets = encode_pair(bare, "the fox", " jumps", 100)
    assert bare.decode(ids) == "the fox jumps"
    assert len(ids) == len(targets)
