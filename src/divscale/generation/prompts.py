"""The prompts of a study: packaged per task and style of model, or a user's own file. Their words are identity."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from divscale.generation.config import RecipeConfig
from divscale.rendering.templates import load
from divscale.schema import Task

Style = Literal["pretrained", "chat", "base"]
_PACKAGED = Path(__file__).parent / "templates"


def prompts_for(task: Task, style: Style, recipe: RecipeConfig) -> dict[str, str]:
    """Template texts by kind: `sample`, and `paraphrase` for the paraphrase recipe.

    Args:
        task: what is written.
        style: `pretrained` is the terse form that the model trained on the spot learns, `chat` asks an instruct model,
            `base` shows examples to a base model.
        recipe: `prompt` and `paraphrase_prompt` are paths that replace the packaged ones. Variables: `label`, `topic`,
            `examples` (up to 3 real texts), `context`; for paraphrases `text`, `answer`, `label`, `context`.

    Raises:
        ConfigError: a user's file is missing or no Jinja2 template.
    """
    prompts = {"sample": load(recipe.prompt) if recipe.prompt else load(style, _PACKAGED / task)}
    if recipe.kind == "paraphrase":
        own = recipe.paraphrase_prompt
        prompts["paraphrase"] = load(own) if own else load(f"paraphrase.{style}", _PACKAGED / task)
    return prompts
