"""Chat messages to a prompt: with the model's own chat template, a user's, or plain concatenation for base models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from divscale.errors import ConfigError
from divscale.rendering.templates import load, template_hash

# A base model has seen no turns: the contents follow each other, with nothing invented between them but a newline
# (as an expression, because chat templates are compiled with trim_blocks, which eats a newline after a tag).
BASE_TEMPLATE = "{% for message in messages %}{{ '' if loop.first else '\\n' }}{{ message['content'] }}{% endfor %}"


def chat_template(tokenizer: Any, path: str | None = None) -> str:
    """The template in force: the file at `path`, else the tokenizer's own, else `BASE_TEMPLATE`.

    Raises:
        ConfigError: the file cannot be read or does not parse.
    """
    if path is not None:
        return load(path)
    # A tokenizer with several named templates gives its default one.
    return tokenizer.get_chat_template() if tokenizer.chat_template else BASE_TEMPLATE


def chat_template_hash(tokenizer: Any, path: str | None = None) -> str:
    """SHA-256 in hex of the template in force, for identities."""
    return template_hash(chat_template(tokenizer, path))


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
    return render_chats(tokenizer, [messages], path)[0]


def render_chats(
    tokenizer: Any, conversations: Sequence[Sequence[Mapping[str, str]]], path: str | None = None,
) -> list[str]:
    """`render_chat` of many at once; the template is read and compiled once."""
    if not conversations:
        return []
    template = chat_template(tokenizer, path)
    try:
        return tokenizer.apply_chat_template(
            [[dict(message) for message in messages] for messages in conversations], chat_template=template,
            tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        roles = ", ".join(dict.fromkeys(message["role"] for messages in conversations for message in messages))
        raise ConfigError(f"the chat template {path or 'of the model'} refuses messages with roles {roles}: "
                          f"{error.message}. Set generator.chat_template to one that accepts them.") from error
