"""The one way from values to an HTML page: every text is escaped, what is missing raises, the style is in the page."""

from __future__ import annotations

from importlib.resources import files
from typing import Any


def filled(template: str, **values: Any) -> str:
    """A template of this folder with these values and the style sheet."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("divscale.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True)
    style = Markup(files("divscale.report").joinpath("page.css").read_text("utf-8"))
    return environment.get_template(template).render(style=style, **values)
