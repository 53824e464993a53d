"""Garbage that shows in any language: loops, few letters, broken encodings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from divscale.generation.filters.gone import Found, Gone

LETTERS = 0.5     # least share of letters, unless real texts have fewer
LOOP_SHARE = 0.5  # of a text that one repeated piece may make
LONGEST_PIECE, TIMES = 8, 4  # words, and how often in a row they make a loop
_CHARACTERS = re.compile(r"(\S.{0,11}?)\1{7,}", re.S)  # up to 12 characters, 8 times in a row


def garbage(texts: Sequence[str], real: Sequence[str]) -> Found:
    """Rows that are no text in any language.

    broken characters: U+FFFD, control characters, lone surrogates, or bytes of UTF-8 read as Latin-1 or Windows-1252.
    repetition: one piece of up to 8 words repeated 4 times in a row or more (or of up to 12 characters, 8 times)
        makes half of the text.
    few letters: fewer than half of the characters that are no white space are letters or marks, and fewer than in 99 %
        of the real texts (formulas, code).

    Args:
        texts: N texts.
        real: real texts, for what is usual; may be empty.

    Cost: about 40 us for a sentence.
    """
    shares = [letter_share(text) for text in real]
    least = min(LETTERS, float(np.quantile(shares, 0.01))) if shares else LETTERS
    found: Found = {}
    for row, text in enumerate(texts):
        if broken := broken_characters(text):
            found[row] = Gone("broken characters", broken)
        elif loop := _word_loop(text.split()) or _character_loop(text):
            found[row] = Gone("repetition", loop)
        elif (share := letter_share(text)) < least:
            found[row] = Gone("few letters", f"{share:.0%} letters, {least:.0%} or more stay")
    return found


def letter_share(text: str) -> float:
    """Letters and combining marks of all characters that are no white space; 0 for none."""
    characters = [c for c in text if not c.isspace()]
    letters = sum(unicodedata.category(c)[0] in "LM" for c in characters)
    return letters / len(characters) if characters else 0.0


def broken_characters(text: str) -> str:
    """What is broken about a text's characters, in words; empty where nothing is."""
    for c in text:
        if c == "\ufffd" or (unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n\r"):
            return f"U+{ord(c):04X}"
    if not text.isascii():
        for encoding in ("cp1252", "latin-1"):
            try:
                return f"reads as {text.encode(encoding).decode('utf-8')[:40]!r}"
            except UnicodeError:
                continue
    return ""


def _word_loop(words: Sequence[str]) -> str:
    """The words that repeat in a row and make `LOOP_SHARE` of all; empty if none."""
    for period in range(1, min(LONGEST_PIECE, len(words) // TIMES) + 1):
        run = 0
        for i in range(period, len(words)):
            run = run + 1 if words[i] == words[i - period] else 0
            covered = run + period
            if run and covered >= max(TIMES * period, LOOP_SHARE * len(words)):
                return f"{' '.join(words[i - period + 1: i + 1])!r} {covered // period} times in a row"
    return ""


def _character_loop(text: str) -> str:
    for match in _CHARACTERS.finditer(text):
        if len(match[0]) >= LOOP_SHARE * len(text):
            return f"{match[1]!r} {len(match[0]) // len(match[1])} times in a row"
    return ""
