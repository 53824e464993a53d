"""What a worker tells of rows as a model sees them, on real models made here."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import BertConfig, BertLMHeadModel

from divscale.errors import ConfigError, PreflightError
from divscale.metrics.diversity.vendi import vendi_score
from divscale.stages import viewing
from divscale.stages.viewing import View, look
from divscale.training.config import ArchitectureConfig
from divscale.training.encode import encode_rows
from divscale.training.gradients import row_gradients
from divscale.training.models import from_scratch, load, train_tokenizer

TEXTS = [f" {who} {what} the {where}." for who in ("Anna", "A cat", "The king", "Nobody") for what in ("sat on", "ran to")
         for where in ("hill", "sea", "old tower")]
TINY = ArchitectureConfig(hidden_size=32, layers=1, heads=2, vocab_size=300, max_length=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("proxy")
    tokenizer = train_tokenizer(TEXTS, 300, 64)
    torch.manual_seed(0)
    from_scratch(TINY, tokenizer, "causal").save_pretrained(where)
    tokenizer.save_pretrained(where)
    return str(where)


def table(texts, prompt=""):
    return pa.table({"prompt": [prompt] * len(texts), "completion": list(texts)})


def view(folder, texts, **others):
    rows = table(texts)
    return View(**{"proxy": folder, "reference": None, "learnt": rows, "read": rows, "made": frozenset(), "projected": 4096,
                   "max_length": 64, "subsamples": 3, **others})


def value(found, name):
    return found["metrics"][name]["value"]


def test_rows_that_are_all_the_same_count_as_one(folder):
    assert value(look(view(folder, TEXTS[:1] * 12)), "g_vendi") == pytest.approx(1, abs=1e-5)


def test_g_vendi_is_the_vendi_score_of_whole_gradients_within_one_percent(folder):
    model, tokenizer = load(folder, "causal", ())
    rows = encode_rows(tokenizer, table(TEXTS), "causal", (), 64, prompt_weight=0.0)
    whole_ND = np.stack([torch.cat(parts).numpy() for parts in row_gradients(model.eval(), rows, "cpu")])
    assert whole_ND.shape[1] == sum(parameter.numel() for parameter in model.parameters()) > 10_000
    exact = vendi_score(whole_ND)
    assert 3 < exact < len(TEXTS) and value(look(view(folder, TEXTS)), "g_vendi") == pytest.approx(exact, rel=0.01)


def test_the_order_of_rows_changes_no_value_and_different_rows_are_more_diverse_than_repeated_ones(folder):
    mixed = [TEXTS[i] for i in np.random.default_rng(0).permutation(len(TEXTS))]
    one, other = look(view(folder, TEXTS)), look(view(folder, mixed))
    for name in ("g_vendi", "reference_loss", "reference_perplexity"):
        assert value(one, name) == pytest.approx(value(other, name), rel=1e-5)
    assert value(look(view(folder, TEXTS[:4] * 6)), "g_vendi") < value(one, "g_vendi") / 2


def test_the_number_of_rows_in_a_pass_changes_no_value(folder, monkeypatch):
    found = []
    for rows in (1, 7, 64):
        monkeypatch.setattr(viewing, "ROWS_A_PASS", rows)
        found.append(look(view(folder, TEXTS)))
    for name in ("g_vendi", "reference_loss"):
        assert value(found[0], name) == pytest.approx(value(found[1], name), rel=1e-5) == pytest.approx(
            value(found[2], name), rel=1e-5)


def test_every_number_comes_with_its_interval_its_rows_and_what_it_cost(folder):
    found = look(view(folder, TEXTS))
    assert found["missing"] == {} and found["parameters"] > 10_000
    assert set(found["metrics"]) == {"g_vendi", "reference_loss", "reference_perplexity"}
    assert all(m["low"] < m["value"] < m["high"] and m["n"] == len(TEXTS) for m in found["metrics"].values())
    assert set(found["seconds"]) == {"g_vendi", "reference_loss"} and min(found["seconds"].values()) > 0


def test_a_reference_that_knows_nothing_has_the_perplexity_of_its_vocabulary(folder, tmp_path):
    model, tokenizer = load(folder, "causal", ())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    found = look(view(folder, TEXTS, reference=str(tmp_path)))
    assert value(found, "reference_perplexity") == pytest.approx(len(tokenizer), rel=1e-5)
    tokens = sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1 for text in TEXTS)  # and EOS
    size = sum(len(text.encode()) for text in TEXTS)
    assert value(found, "reference_loss") == pytest.approx(tokens * math.log(len(tokenizer)) / size, rel=1e-5)
    assert value(found, "g_vendi") == value(look(view(folder, TEXTS)), "g_vendi")  # the proxy's, as before


def test_what_the_gradients_are_of_may_be_other_than_what_the_reference_reads(folder):
    labelled = pa.table({"prompt": TEXTS, "completion": [" yes"] * len(TEXTS)})
    found, text = look(view(folder, TEXTS, learnt=labelled)), look(view(folder, TEXTS))
    assert value(found, "g_vendi") < value(text, "g_vendi")  # one label, whatever the text
    assert value(found, "reference_loss") == value(text, "reference_loss")


def test_a_chat_model_sees_rows_as_they_are(folder, tmp_path):
    model, tokenizer = load(folder, "causal", ())
    tokenizer.chat_template = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / "chat_template.jinja").exists()
    assert look(view(str(tmp_path), TEXTS))["metrics"] == look(view(folder, TEXTS))["metrics"]


def test_a_text_that_is_too_long_leaves_its_set_without_numbers_and_says_why(folder):
    found = look(view(folder, [*TEXTS, " word" * 100]))
    assert found["metrics"] == {} and set(found["missing"]) == {"g_vendi", "reference_loss"}
    assert "max_length is 64" in found["missing"]["g_vendi"]


def test_more_tokens_than_a_model_has_positions_for_are_refused_unless_it_was_made_here(folder):
    long = [*TEXTS, " word" * 30]
    refused = look(view(folder, long, max_length=512))
    assert isinstance(refused, ConfigError) and "measure.model_view.max_length" in str(refused)
    assert look(view(folder, long, max_length=512, made=frozenset({folder})))["missing"] == {}


def test_a_model_that_reads_both_ways_is_refused(folder, tmp_path):
    load(folder, "causal", ())[1].save_pretrained(tmp_path)
    BertLMHeadModel(BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                               vocab_size=300, max_position_embeddings=64)).save_pretrained(tmp_path)
    refused = look(view(str(tmp_path), TEXTS))
    assert isinstance(refused, PreflightError)
    assert "measure.model_view.proxy" in str(refused) and "set head" not in str(refused)
