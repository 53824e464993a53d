"""Chat messages to a prompt: with the model's own chat template, a user's, or plain concatenation for base models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from divscale.errors import ConfigError
from divscale.rendering.templates import load

# A base model has seen no turns: the contents follow each other, with nothing invented between them but a newline
# (as an expression, because chat templates are compiled with trim_blocks, which eats a newline after a tag).
BASE_TEMPLATE = "{% for message in messages %}{{ '' if loop.first else '\\n' }}{{ message['content'] }}{% endfor %}"


def render_chat(tokenizer: Any, messages: Sequence[Mapping[str, str]], path: str | None = None) -> str:
    """Messages as the prompt of the assistant's next turn.

    Args:
        tokenizer: a Hugging Face tokenizer.
        messages: each with `role` and `content`.
        path: a Jinja2 chat template that overrides the tokenizer's.

    Returns:
        The prompt, special tokens of the template included as text (`encode_prompt` adds no second BOS).

    Raises:
        ConfigError: the template cannot be read, does not parse, or refuses the messages (some allow no system turn).
    """
    return render_chats(tokenizer, [messages], None if path is None else load(path))[0]


def render_chats(
    tokenizer: Any, conversations: Sequence[Sequence[Mapping[str, str]]], template: str | None = None,
) -> list[str]:
    """`render_chat` of many at once, by the text of a template: what renders need not have its file."""
    if not conversations:
        return []
    own = tokenizer.get_chat_template() if tokenizer.chat_template else BASE_TEMPLATE  # of several the default one
    try:
        return tokenizer.apply_chat_template(
            [[dict(message) for message in messages] for messages in conversations], chat_template=template or own,
            tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        roles = ", ".join(dict.fromkeys(message["role"] for messages in conversations for message in messages))
        whose = "generator.chat_template" if template else "the model's chat template"
        raise ConfigError(f"{whose} refuses messages with roles {roles}: {error.message}. Set generator.chat_template "
                          "to one that accepts them.") from error
