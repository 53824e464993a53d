"""The prompts of a study: packaged per task and style of model, or a user's own file. Their words are identity."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from divscale.errors import ConfigError
from divscale.generation.config import RecipeConfig
from divscale.generation.recipes import get
from divscale.rendering.templates import load
from divscale.schema import Task

Style = Literal["pretrained", "chat", "base"]
_PACKAGED = Path(__file__).parent / "templates"


def prompts_for(task: Task, style: Style, recipe: RecipeConfig) -> dict[str, str]:
    """Texts of the templates that a recipe's rounds use, by name.

    Args:
        task: what is written.
        style: `pretrained` is the terse form that the model trained on the spot learns, `chat` asks an instruct model,
            `base` shows examples to a base model.
        recipe: its `prompts` are paths that replace packaged ones. Variables: `label`, `examples` (up to 3 real
            texts), `context`, and what recipes add (`asking.VARIABLES`); for paraphrases `text`, `answer`, `label`,
            `context`.

    Raises:
        ConfigError: a user's file is missing or no Jinja2 template, or is for a template the recipe does not use.
    """
    names = get(recipe).TEMPLATES
    for name in recipe.prompts:
        if name not in names:
            raise ConfigError(f"recipe.prompts.{name}: the {recipe.kind} recipe has no template of that name; it uses "
                              f"{', '.join(names)}.")
    plain = recipe.searched
    used = {this.template for level in plain.levels for this in get(recipe).rounds(plain, level)}
    return {name: load(recipe.prompts[name]) if name in recipe.prompts else load(_file(name, style), _PACKAGED / task)
            for name in names if name in used}


def _file(name: str, style: Style) -> str:
    return style if name == "sample" else f"{name}.{style}"
