"""Jinja2 templates in a sandbox: the one place where a user's template text becomes a prompt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from jinja2 import TemplateSyntaxError, meta

from divscale.errors import ConfigError
from divscale.rendering import sandbox

# Texts that came with the package: known to be bounded, so they are rendered in this process.
_shipped: set[str] = set()


def render(template: str, **fields: object) -> str:
    """Fill a template. One that was not shipped is filled in a process of its own with bounded time and memory.

    Args:
        template: Jinja2 source. One newline at its very end, and one after a tag, is not part of the text.
        **fields: the variables it may use: text, numbers, null, and lists of them.

    Returns:
        The text, of at most `sandbox.MAX_CHARS` characters.

    Raises:
        ConfigError: the template does not parse, names a variable that is not given, reaches for Python internals
            (attributes with leading underscores, unsafe callables, mutation of an argument), or takes more time,
            memory or characters than any prompt needs.
    """
    found = _fill(template, fields)
    if "problem" in found:
        raise _refusal(template, found, fields)
    return found["text"]


def try_out(template: str, **fields: object) -> None:
    """Fill a template with stand-ins, before anything is spent.

    Raises:
        ConfigError: it does what no values make right: it reaches for Python's internals or beyond the limits, or uses
            a variable that is not among `fields`.
    """
    found = _fill(template, fields)
    if found.get("of") in ("forbidden", "limits") or found.get("problem", "").endswith("' is undefined"):
        raise _refusal(template, found, fields)


def variables(template: str) -> set[str]:
    """Names that a template takes from outside. Raises ConfigError as `check`, and for a filter that is none."""
    with _explained(template):
        return meta.find_undeclared_variables(sandbox.ENVIRONMENT.parse(template))


def _fill(template: str, fields: dict[str, object]) -> dict[str, str]:
    check(template)
    return sandbox.fill(template, fields) if template in _shipped else _renderer.fill(template, fields)


def _refusal(template: str, found: dict[str, str], fields: dict[str, object]) -> ConfigError:
    names = ", ".join(sorted(fields)) or "none"
    hint = {
        "names": f"It may use only these variables: {names}.",
        "values": f"Check what it does with its variables ({names}).",
        "forbidden": "A template may use its variables, Jinja2's filters and loops, and nothing of Python.",
        "limits": "Check its loops, and how long the texts are that it is given.",
    }[found["of"]]
    return ConfigError(f"the template {_excerpt(template)} cannot be rendered: {found['problem'].rstrip('.')}. {hint}")


def load(name_or_path: str, packaged: Path | None = None) -> str:
    """Read a template file.

    Args:
        name_or_path: name of a packaged template (without `.j2`), or the path of a file.
        packaged: folder of the packaged templates; null: only paths.

    Returns:
        The template's text, known to parse.

    Raises:
        ConfigError: there is no such file, it is not UTF-8, it is longer than a prompt may be, or it is not a Jinja2
            template.
    """
    path = packaged / f"{name_or_path}.j2" if packaged is not None else Path(name_or_path)
    shipped = packaged is not None and path.is_file()
    if not path.is_file():
        path = Path(os.path.expanduser(name_or_path))  # noqa: PTH111 (an unknown user is no error here)
    try:
        template = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        problem = (error.strerror if isinstance(error, OSError) else
                   f"byte {error.start} is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error))
        raise ConfigError(f"the template {name_or_path!r} cannot be read as UTF-8 text ({problem}). "
                          "Give the path of a Jinja2 file.") from error
    if len(template) > sandbox.MAX_CHARS:
        raise ConfigError(f"the template {name_or_path!r} has {len(template):,} characters, and a prompt may have "
                          f"{sandbox.MAX_CHARS:,}. Give a shorter one; what differs comes from the data.")
    check(template, str(path))
    if shipped:
        _shipped.add(template)
    return template


def check(template: str, where: str | None = None) -> None:
    """Raise a ConfigError if the text (of the file `where`) is not a Jinja2 template. Runs none of it."""
    with _explained(template, where):
        _parse(template)


@contextmanager
def _explained(template: str, where: str | None = None) -> Generator[None]:
    try:
        yield
    except TemplateSyntaxError as error:
        raise ConfigError(f"line {error.lineno} of the template {where or _excerpt(template)} does not parse: "
                          f"{(error.message or '').rstrip('.')}. Correct the Jinja2 syntax there.") from error
    except RecursionError as error:
        raise ConfigError(f"the template {where or _excerpt(template)} does not parse: it is nested too "
                          "deeply. Flatten its blocks and brackets.") from error


@lru_cache(maxsize=256)  # one is checked whenever it is filled, which parsing took nine tenths of
def _parse(template: str) -> None:
    sandbox.ENVIRONMENT.parse(template)     # to compile it would compute what is constant in it


class _Renderer:
    """The sandbox's process, started at the first use and again after it was ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def fill(self, template: str, fields: dict[str, object]) -> dict[str, str]:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", sandbox.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, text=True, encoding="utf-8")
            assert self._process.stdin and self._process.stdout
            try:
                self._process.stdin.write(json.dumps([template, fields]) + "\n")
                self._process.stdin.flush()
                answer = self._process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            if not answer:
                self._process.kill()
                self._process.communicate()
                self._process = None
                return {"problem": f"it takes more than {sandbox.CPU_SECONDS:g} s of computing or "
                                   f"{sandbox.MEMORY_BYTES >> 20} MiB", "of": "limits"}
            return json.loads(answer)


_renderer = _Renderer()


def _excerpt(template: str) -> str:
    line = " ".join(template.split())
    return repr(line if len(line) <= 60 else line[:57] + "...")
