"""Recipes: how generated samples are made and how their diversity is controlled. One file each, two pure functions."""

from __future__ import annotations

from types import ModuleType

from divscale.generation.config import Kind


def get(kind: Kind) -> ModuleType:
    """The module of a recipe: `build_requests` and `parse`."""
    from divscale.generation.recipes import decoding, paraphrase, topics

    return {"decoding": decoding, "topics": topics, "paraphrase": paraphrase}[kind]
