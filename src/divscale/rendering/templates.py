"""Jinja2 templates in a sandbox: the one place where a user's template text becomes a prompt."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from divscale.errors import ConfigError

# Tags on lines of their own leave no empty lines behind, as in chat templates.
_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, trim_blocks=True,
                                             lstrip_blocks=True)


def render(template: str, **fields: object) -> str:
    """Fill a template.

    Args:
        template: Jinja2 source. One newline at its very end, and one after a tag, is not part of the text.
        **fields: the variables it may use.

    Returns:
        The text.

    Raises:
        ConfigError: the template does not parse, names a variable that is not given, or reaches for Python internals
            (attributes with leading underscores, unsafe callables, mutation of an argument).
    """
    try:
        return _compile(template).render(**fields)
    except TemplateSyntaxError as error:
        raise ConfigError(f"line {error.lineno} of the template {_excerpt(template)} does not parse: "
                          f"{_sentence(error)} Correct the Jinja2 syntax there.") from error
    except TemplateError as error:
        raise ConfigError(f"the template {_excerpt(template)} cannot be rendered: {error.message}. It may use only "
                          f"these variables: {', '.join(sorted(fields)) or 'none'}.") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, OverflowError) as error:
        raise ConfigError(f"the template {_excerpt(template)} cannot be rendered: {error}. Check what it does with "
                          f"its variables ({', '.join(sorted(fields)) or 'none'}).") from error


def load(name_or_path: str, packaged: Path | None = None) -> str:
    """Read a template file.

    Args:
        name_or_path: name of a packaged template (without `.j2`), or the path of a file.
        packaged: folder of the packaged templates; null: only paths.

    Returns:
        The template's text, known to parse.

    Raises:
        ConfigError: there is no such file, it is not UTF-8, or it is not a Jinja2 template.
    """
    path = packaged / f"{name_or_path}.j2" if packaged is not None else Path(name_or_path)
    if not path.is_file():
        path = Path(name_or_path).expanduser()
    try:
        template = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else f"byte {error.start} is not UTF-8"
        raise ConfigError(f"the template {name_or_path!r} cannot be read as UTF-8 text ({problem}). "
                          "Give the path of a Jinja2 file.") from error
    check(template, str(path))
    return template


def check(template: str, where: str | None = None) -> None:
    """Raise a ConfigError if the text (of the file `where`) is not a Jinja2 template. Runs none of it."""
    try:
        _compile(template)
    except TemplateSyntaxError as error:
        raise ConfigError(f"line {error.lineno} of the template {where or _excerpt(template)} does not parse: "
                          f"{_sentence(error)} Correct the Jinja2 syntax there.") from error


def _sentence(error: TemplateSyntaxError) -> str:
    return f"{(error.message or '').rstrip('.')}."


def template_hash(template: str) -> str:
    """SHA-256 of a template's text, in hex: what enters an identity."""
    return hashlib.sha256(template.encode()).hexdigest()


@lru_cache(maxsize=256)
def _compile(template: str) -> Template:
    return _ENVIRONMENT.from_string(template)


def _excerpt(template: str) -> str:
    line = " ".join(template.split())
    return repr(line if len(line) <= 60 else line[:57] + "...")
