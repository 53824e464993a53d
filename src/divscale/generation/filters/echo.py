"""Echo: texts that repeat their prompt's instructions, or the text that they should continue."""

from __future__ import annotations

import re
from collections.abc import Sequence

from divscale.generation.filters.gone import Found, Gone
from divscale.generation.filters.words import ngrams, words

ECHOED = 8  # words in a row; fewer occur by chance ("what is the name of the")
_TAGS = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.S)


def echo(texts: Sequence[str], contexts: Sequence[str | None], templates: Sequence[str]) -> Found:
    """Rows that hold 8 words in a row of a template's fixed text, or that are themselves 8 words or more of their
    context.

    Args:
        texts: N texts.
        contexts: what each continues, or None (a question may well be in its passage's words).
        templates: Jinja2 sources of the prompts that asked for them.
    """
    fixed = {gram for template in templates for part in _TAGS.split(template) for gram in ngrams(words(part), ECHOED)}
    found: Found = {}
    for row, (text, context) in enumerate(zip(texts, contexts, strict=True)):
        said = words(text)
        told = next((gram for gram in ngrams(said, ECHOED) if gram in fixed), None)
        if told is not None:
            found[row] = Gone("echo of the prompt", told)
        elif context and len(said) >= ECHOED and f" {' '.join(said)} " in f" {' '.join(words(context))} ":
            found[row] = Gone("copy of its context", " ".join(said)[:80])
    return found
