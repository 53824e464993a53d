"""What the text of a row is: one column, or one of the layouts that fine-tuning tools write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from divscale.errors import ConfigError

NOT_TEXT = ("id", "label")  # columns that are never taken for the text where none is named


@dataclass(frozen=True)
class Layout:
    """How texts are read: the contents of `columns`, joined by line breaks. The first one has to be there.

    A column may hold a string or a conversation, a list of turns with `content` (messages) or `value` (ShareGPT); of
    those the contents count, without the roles.
    """

    name: str
    columns: tuple[str, ...]


_KNOWN = (
    Layout("plain", ("text",)),
    Layout("messages", ("messages",)),
    Layout("ShareGPT", ("conversations",)),
    Layout("prompt and completion", ("prompt", "completion")),
    Layout("Alpaca", ("instruction", "input", "output")),
)
_NEEDED = {"prompt and completion": {"prompt", "completion"}, "Alpaca": {"instruction", "output"}}


def named(columns: str) -> Layout:
    """The layout that `--text-column C` or `C,C` asks for."""
    return Layout("named", tuple(name.strip() for name in columns.split(",") if name.strip()))


def infer(rows: Sequence[Mapping[str, Any]], where: str) -> Layout | None:
    """The layout of a data set, from its first rows; None where no column could hold text.

    A known layout is taken where it is the only one; otherwise the only column of strings.

    Raises:
        ConfigError: several layouts, or several columns, could be it.
    """
    there = {name: None for row in rows for name in row}
    found = [layout for layout in _KNOWN if _NEEDED.get(layout.name, set(layout.columns)) <= there.keys()]
    if not found:
        found = [Layout("column", (name,)) for name in there if name not in NOT_TEXT and _holds_text(rows, name)]
    if len(found) > 1:
        ways = ", ".join(f"{'+'.join(c for c in layout.columns if c in there)}" for layout in found)
        raise ConfigError(f"{where}: its text could be {ways}. Say which with --text-column (several columns of one "
                          "text with commas between them).")
    return found[0] if found else None


def text_of(row: Mapping[str, Any], layout: Layout) -> tuple[str, str | None]:
    """The text of a row, and why it has none: exactly one of them is empty ("" or None)."""
    parts: list[str] = []
    for place, name in enumerate(layout.columns):
        value = row.get(name)
        if value is None:
            if place == 0:
                return "", f"no {name}"
            continue
        contents, reason = _contents(value, name)
        if reason:
            return "", reason
        parts += contents
    text = "\n".join(part for part in parts if part.strip())
    return (text, None) if text else ("", "empty text")


def _contents(value: Any, name: str) -> tuple[list[str], str | None]:
    if isinstance(value, str):
        return [value], None
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        return [], f"{name} is neither a string nor a list of turns ({type(value).__name__})"
    found = []
    for turn in value:
        content = turn.get("content", turn.get("value"))
        if content is not None and not isinstance(content, str):
            return [], f"a turn of {name} whose content is not a string ({type(content).__name__})"
        found.append(content or "")  # a turn that only calls a tool has none
    return found, None


def _holds_text(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    values = [row[name] for row in rows if row.get(name) is not None]
    return bool(values) and all(isinstance(value, str) for value in values)
