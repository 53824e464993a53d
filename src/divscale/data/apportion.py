"""Share a whole number out over labels so that the parts are whole, fair and add up."""

from __future__ import annotations

from collections.abc import Mapping


def apportion(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Largest-remainder shares of `total`, proportional to `weights`; they add up to `total` exactly.

    Each part is its exact quota rounded down or up. Ties go by name, so with equal weights a larger total never gives
    any label fewer: mixes of rising shares are nested. Integer arithmetic, no rounding error. O(L log L).
    """
    whole = sum(weights.values())
    assert total >= 0 and whole > 0, (total, weights)
    parts = {label: total * weight // whole for label, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda label: (-(total * weights[label] % whole), label))
    for label in by_remainder[:total - sum(parts.values())]:
        parts[label] += 1
    return parts
