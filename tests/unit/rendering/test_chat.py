from __future__ import annotations

import pytest

from divscale.errors import ConfigError
from divscale.rendering.chat import render_chat
from divscale.rendering.encode import encode_prompt

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
CHATML = ("{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"
          "{% if add_generation_prompt %}<|assistant|>{% endif %}")


def test_a_base_model_gets_the_contents_one_after_the_other(tokenizer):
    assert render_chat(tokenizer, MESSAGES) == "Be brief.\nHello"


def test_a_template_file_overrides(tokenizer, tmp_path):
    path = tmp_path / "chat.j2"
    path.write_text(CHATML, encoding="utf-8")
    assert render_chat(tokenizer, MESSAGES, str(path)) == "<|system|>Be brief.<|user|>Hello<|assistant|>"


def test_a_models_own_template_is_used_and_its_bos_is_not_doubled(tokenizer):
    model = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, bos_token="<s>", eos_token="</s>",
                            chat_template="{{ bos_token }}" + CHATML)
    prompt = render_chat(model, MESSAGES)
    assert prompt.startswith("<s><|system|>")
    assert encode_prompt(model, prompt).count(model.bos_token_id) == 1


def test_a_template_that_refuses_the_messages_is_a_configuration_error(tokenizer, tmp_path):
    path = tmp_path / "strict.j2"
    path.write_text("{{ raise_exception('no system turn') }}", encoding="utf-8")
    with pytest.raises(ConfigError, match="no system turn"):
        render_chat(tokenizer, MESSAGES, str(path))
