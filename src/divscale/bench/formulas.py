"""The arithmetic: the least work that a result takes, and rates, efficiency and shares from seconds.

A floor is the least time in which a device could do the work: the larger of bytes over its copy bandwidth and FLOP over
its matmul rate, both measured in the same run (the roofline of Williams, Waterman and Patterson 2009,
doi:10.1145/1498765.1498785). Work counts nothing that a better program might leave out, so no share is above 1 but
where data stay in a cache, which copies of memory do not, or where the machine was busier while the floor was measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Bound = Literal["copy", "matmul"]


class Least(NamedTuple):
    """Work of all devices that a result takes at the least: bytes read or written, FLOP of products in `dtype`."""

    bytes: float
    flop: float
    dtype: str


def decode_steps(max_tokens: Sequence[int], seats: int) -> int:
    """Forward passes that writing so many tokens takes at the least, each giving one token to every seat.

    Args:
        max_tokens: of every request.
        seats: sequences that all engines together decode at once.
    """
    return max(max(max_tokens), -(-sum(max_tokens) // seats))


def decode_bytes(steps: int, parameters: int, bytes_each: int, engines: int) -> float:
    """Bytes of weights that decoding reads: all of them, at every step, on every engine.

    Decoding is bound by them at small batches (Pope et al. 2022, arXiv 2211.05102, section 2). The cache of keys and
    values is left out.
    """
    return float(steps) * parameters * bytes_each * engines


def forward_flop(parameters: int, tokens: float) -> float:
    """2 N a token: a multiply and an add for every weight (Kaplan et al. 2020, arXiv 2001.08361, table 1).

    N is without embeddings that are looked up; tied ones count, for they are the output layer's matrix. The share of
    attention over the context is left out.
    """
    return 2.0 * parameters * tokens


def training_flop(parameters: int, tokens: float) -> float:
    """6 N a token: the backward pass takes twice the forward one (Kaplan et al. 2020, section 2.1). N as there."""
    return 6.0 * parameters * tokens


def pair_flop(rows: int, columns: int, features: int) -> float:
    """2 N M D: all products of N rows with M rows of D features, a multiply and an add each."""
    return 2.0 * rows * columns * features


def unordered_pair_flop(rows: int, features: int) -> float:
    """N (N + 1) D: each unordered pair of N rows once, a row with itself included."""
    return float(rows) * (rows + 1) * features


def floor_seconds(least: Least, copy: float, matmul: Mapping[str, float]) -> tuple[float, Bound]:
    """Seconds that the work takes at the least, and what bounds it.

    Args:
        least: the work.
        copy: bytes/s that all devices together copy.
        matmul: FLOP/s that they multiply matrices at, by dtype.
    """
    by: dict[Bound, float] = {"copy": least.bytes / copy, "matmul": least.flop / matmul[least.dtype]}
    bound = max(by, key=lambda name: by[name])
    return by[bound], bound


def efficiency(rate: float, count: int, first_rate: float, first_count: int) -> float:
    """What a device gives beside others, over what one of the fewest devices gives. 1 is perfect scaling.

    For strong scaling it is T(1) / (n T(n)), for weak scaling T(1) / T(n): rates say both alike.
    """
    return rate / count / (first_rate / first_count)


class Spread(NamedTuple):
    """The median of the repeats, the lowest and the highest."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one repeat."""
    return Spread(statistics.median(values), min(values), max(values))


Verdict = Literal["faster", "slower", "within the spread", "one repeat alone"]


def verdict(before: Sequence[float], after: Sequence[float]) -> Verdict:
    """How the rates of two runs differ: where not even their extremes meet, one of the two is beyond the spread."""
    if len(before) < 2 or len(after) < 2:
        return "one repeat alone"
    one, other = spread(before), spread(after)
    if other.low > one.high:
        return "faster"
    return "slower" if other.high < one.low else "within the spread"
