"""Text that JSON can hold and UTF-8 cannot: half of a surrogate pair."""

from __future__ import annotations


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def escaped(text: str) -> str:
    """The text with half pairs as the escapes of JSON that they were (`\\\\udXXX`)."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
