"""Prompts as the generator reads them, and their length, without an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from divscale.config import Study
from divscale.remote_code import allowed
from divscale.rendering.chat import render_chat
from divscale.rendering.encode import encode_prompt
from divscale.stages.identity import model_location


@dataclass(frozen=True)
class PromptReader:
    """A generator's tokenizer and chat template; without a tokenizer words are counted.

    Attributes:
        tokenizer: Hugging Face tokenizer, or None.
        chat_template: path of a template that overrides the tokenizer's, or None.
        why_words: why there is no tokenizer; empty where there is.
    """

    tokenizer: Any
    chat_template: str | None
    why_words: str

    @property
    def unit(self) -> str:
        """What `count` counts."""
        return "tokens" if self.tokenizer is not None else "words"

    def render(self, prompt: str) -> str:
        """The prompt through the chat template, as `generation.actor` renders it."""
        if self.tokenizer is None:
            return prompt
        return render_chat(self.tokenizer, [{"role": "user", "content": prompt}], self.chat_template)

    def count(self, prompt: str) -> int:
        """Tokens of a prompt as rendered, BOS among them; or words."""
        return len(prompt.split()) if self.tokenizer is None else len(
            encode_prompt(self.tokenizer, self.render(prompt)))


def prompt_reader(study: Study) -> PromptReader:
    """The reader of the study's generator. Downloads nothing; with a tokenizer it takes some seconds of imports."""
    generator = study.generator
    if generator.model == "pretrain":
        return PromptReader(None, None, "the generator is trained on the spot and has no tokenizer before that")
    tokenizer = local_tokenizer(generator.model, generator.revision)
    why = "" if tokenizer is not None else f"the model {generator.model} is not on this machine"
    return PromptReader(tokenizer, generator.chat_template, why)


def local_tokenizer(model: str, revision: str | None) -> Any:
    """The tokenizer of a model that is on this machine, else None."""
    folder = model_location(model, revision)
    if not Path(folder).is_dir():
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=allowed())
