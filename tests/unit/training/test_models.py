import pytest

from divscale.errors import ConfigError, PreflightError
from divscale.training.config import ArchitectureConfig
from divscale.training.models import from_scratch, load, train_tokenizer

TEXTS = ["the cat sat on the mat", "a dog ran in the park", "naïve café 数据 🙂"] * 3
TINY = ArchitectureConfig(hidden_size=32, layers=1, heads=2, vocab_size=300)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 300, 64)


def test_any_text_survives_the_tokenizer(tokenizer):
    for text in ["the cat", "ÿ\x00 never seen: ∑ 🚀\n\ttabs", ""]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text


def test_the_tokenizer_does_not_depend_on_the_order_of_its_texts(tokenizer):
    again = train_tokenizer(reversed(TEXTS), 300, 64)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again("the cat sat")["input_ids"] == tokenizer("the cat sat")["input_ids"]


def test_special_tokens_stand_apart_and_survive_saving(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert [loaded.pad_token_id, loaded.bos_token_id, loaded.eos_token_id] == [0, 1, 2]
    assert loaded("the cat")["input_ids"] == tokenizer("the cat")["input_ids"]
    assert loaded("the cat")["input_ids"][0] == 1


def test_the_default_architecture_has_about_0_7_million_parameters(tokenizer):
    model = from_scratch(ArchitectureConfig(vocab_size=1000), tokenizer, "causal")
    without_embeddings = model.num_parameters() - model.get_input_embeddings().weight.numel()
    assert 500_000 < without_embeddings < 650_000
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_heads_that_do_not_divide_the_width_are_refused(tokenizer):
    with pytest.raises(ConfigError, match="no multiple of 2 x 3 heads"):
        from_scratch(ArchitectureConfig(hidden_size=64, heads=3), tokenizer, "causal")


def test_a_causal_model_becomes_a_classifier_with_a_head_of_its_own(tokenizer, tmp_path):
    import torch

    from_scratch(TINY, tokenizer, "causal").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    heads = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        model, _ = load(str(tmp_path), "classifier", ("x", "y", "z"))
        heads.append(model.score.weight.detach().clone())
    assert model.config.id2label == {0: "x", 1: "y", 2: "z"}
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(PreflightError, match="gives no causal model"):
        load(str(tmp_path), "causal", ())
