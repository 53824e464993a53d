"""What a filter says of a row that goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gone:
    """One row that goes.

    Attributes:
        reason: one of few; rows are counted by it.
        detail: what was found in the row, in words.
        collides_with: id of the row that it repeats, where there is one.
    """

    reason: str
    detail: str
    collides_with: str | None = None


Found = dict[int, Gone]  # position among the rows that a filter was given -> why it goes
