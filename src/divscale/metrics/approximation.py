"""What an approximation returns: its estimate, and the range that its error leaves."""

from __future__ import annotations

from typing import NamedTuple


class Approximation(NamedTuple):
    """An estimate of what the exact computation on the same rows would give.

    Attributes:
        value: the estimate.
        low: the exact value is at least this, as surely as the function that returns it states.
        high: at most this.
    """

    value: float
    low: float
    high: float
