"""Models that an arm cannot start from are refused when they are loaded, whatever their architecture is called."""

from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import (
    BertConfig,
    BertLMHeadModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from divscale.errors import ConfigError, PreflightError
from divscale.training.config import OptimConfig
from divscale.training.models import build, train_tokenizer
from divscale.training.work import Arm

SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
                         "vocab_size": 300, "max_position_embeddings": 64}
ONE_LABEL: dict[str, Any] = {"num_labels": 1}
GPT2 = GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=300, n_positions=64)
PAIRS = pa.table({"prompt": ["a"], "completion": ["b"]})
LABELLED = pa.table({"text": ["a"], "label": ["x"]})


def built(tmp_path, model, max_length=64):
    train_tokenizer(["a b c"], 300, 64).save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    causal = not isinstance(model, RobertaForSequenceClassification)
    return build(Arm("a", str(tmp_path), "causal" if causal else "classifier", PAIRS if causal else LABELLED,
                     OptimConfig(steps=1), str(tmp_path / "out"), labels=() if causal else ("x",), max_length=max_length))


def test_a_causal_model_that_sees_later_tokens_is_refused(tmp_path):
    with pytest.raises(PreflightError, match=r"train\.head: .* \(BertLMHeadModel\) reads both ways"):
        built(tmp_path, BertLMHeadModel(BertConfig(**SMALL)))


@pytest.mark.parametrize("make", [
    lambda: BertLMHeadModel(BertConfig(**SMALL, is_decoder=True)),
    lambda: LlamaForCausalLM(LlamaConfig(**SMALL)),
    lambda: GPT2LMHeadModel(GPT2),
], ids=["a decoder of BERT's kind", "Llama", "GPT-2"])
def test_models_that_see_earlier_tokens_alone_are_taken(tmp_path, make):
    built(tmp_path, make())


def test_asking_draws_nothing_from_the_generator_that_initial_weights_come_from(tmp_path):
    built(tmp_path, LlamaForCausalLM(LlamaConfig(**SMALL)))
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))


@pytest.mark.parametrize(("make", "positions"), [
    (lambda: LlamaForCausalLM(LlamaConfig(**SMALL)), 64),
    (lambda: GPT2LMHeadModel(GPT2), 64),
    (lambda: RobertaForSequenceClassification(RobertaConfig(**SMALL, **ONE_LABEL, pad_token_id=1)), 62),
], ids=["Llama", "GPT-2", "RoBERTa"])
def test_samples_may_be_as_long_as_the_model_has_positions_and_no_longer(tmp_path, make, positions):
    model, _ = built(tmp_path, make(), positions)
    with torch.inference_mode():
        model(input_ids=torch.full((1, positions), 5), attention_mask=torch.ones(1, positions, dtype=torch.long))
    with pytest.raises(ConfigError, match=rf"train\.max_length: {positions + 1} tokens .* \({positions}\)\. Lower"):
        built(tmp_path, make(), positions + 1)
