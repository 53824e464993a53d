"""The prompts of a study: packaged per task and style of model, or a user's own file. Their words are identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from divscale.errors import ConfigError
from divscale.generation.config import RecipeConfig
from divscale.generation.recipes import get
from divscale.generation.recipes.asking import VARIABLES
from divscale.rendering.templates import load, try_out, variables
from divscale.schema import Task

Style = Literal["pretrained", "chat", "base"]
_PACKAGED = Path(__file__).parent / "templates"
_OTHER = {"pretrained": "is trained on the spot to write plain lines",
          "base": "continues its prompt (it has no chat template, or generator.engine.api is completions)"}
# For trying a user's template out; what it does with real values is seen when it is rendered.
_SAMPLE = {**VARIABLES, "label": "label", "topic": "topic", "context": "context", "examples": ["example"]}
_TEXT = {"text": "text", "label": "label", "context": "context", "answer": "answer", "structured": False}
_STAND_INS: dict[str, dict[str, Any]] = {
    "sample": _SAMPLE,
    "paraphrase": {**_TEXT, "rephrase": "question"},
    "incentive": {**_TEXT, "taboo": ["word"], "hints": ["hint"]},
    "self_instruct": {**_SAMPLE, "shown": ["text"]},
    "verbalized": {**_SAMPLE, "answers": 5, "max_probability": 0.1},
    "topics": {"label": "label", "count": 10, "known": ["topic"], "examples": ["example"]},
    "vote": {"text": "text", "context": "context", "labels": ["label"],
             "examples": [{"text": "text", "label": "label", "context": "context", "answers": ["answer"]}]},
}
_OF_TASK = {"classification": "label", "qa": "context"}  # what a prompt for a sample is about


def prompts_for(task: Task, style: Style, recipe: RecipeConfig) -> dict[str, str]:
    """Texts of the templates that a recipe's rounds use, by name.

    Args:
        task: what is written.
        style: `pretrained` is the terse form that the model trained on the spot learns, `chat` asks an instruct model,
            `base` shows examples to a base model.
        recipe: its `prompts` are paths that replace packaged ones. Variables: `label`, `examples` (up to 3 real
            texts), `context`, and what recipes add (`asking.VARIABLES`); for paraphrases `text`, `answer`, `label`,
            `context`, `structured`.

    Raises:
        ConfigError: a user's file is missing, no Jinja2 template or without what its prompts have to differ by,
            reaches for Python's internals or beyond the limits of rendering, or is for a template the recipe does not
            use; or the recipe is structured and the model answers no question.
    """
    if recipe.structured and style != "chat":
        raise ConfigError(f"recipe.structured: JSON is asked of a chat model, and this generator {_OTHER[style]}. Name "
                          "a chat model, give generator.chat_template, or leave recipe.structured out.")
    names = get(recipe).TEMPLATES
    for name in recipe.prompts:
        if name not in names:
            raise ConfigError(f"recipe.prompts.{name}: the {recipe.kind} recipe has no template of that name; it uses "
                              f"{', '.join(names)}.")
    plain = recipe.searched
    used = {this.template for level in plain.levels for this in get(recipe).rounds(plain, level)}
    prompts = {
        name: load(recipe.prompts[name]) if name in recipe.prompts else load(_file(name, style), _PACKAGED / task)
        for name in names if name in used}
    for name in recipe.prompts.keys() & prompts.keys() & _STAND_INS.keys():
        try_out(prompts[name], **_STAND_INS[name])
        says = getattr(get(recipe), "SAYS", {}).get(name)
        about = _OF_TASK.get(task) if name == "sample" and recipe.kind != "file" else None
        for variable in {says, about} - {None} - variables(prompts[name]):
            field = "agreement.prompt" if recipe.kind == "votes" else f"recipe.prompts.{name}"
            raise ConfigError(
                f"{field}: {recipe.prompts[name]} does not use the variable {variable}, so its prompts would be the "
                f"same whatever {variable} they are for. Put {{{{ {variable} }}}} into it.")
    return prompts


def _file(name: str, style: Style) -> str:
    return style if name == "sample" else f"{name}.{style}"
