"""Intervals by subsampling without replacement at a fixed n, or by leaving rows out one at a time.

Why not the bootstrap: drawing rows with replacement plants duplicates, and a diversity score counts duplicates.
Measured on 1,000 rows, bootstrapping moved DCScore at 0.05 from 1000 to 631 and Vendi from 317 to 267.
Why a fixed n: every diversity score and several shift scores depend on n, so values compare at equal n only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from divscale.errors import ConfigError, DataError

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """An estimate at n rows and the half-width of its 95 % interval; None where one subsample gives no spread."""

    value: float
    half_width: float | None

    @property
    def low(self) -> float | None:
        """Lower end."""
        return None if self.half_width is None else self.value - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end."""
        return None if self.half_width is None else self.value + self.half_width


def subsampled(
    fn: Callable[..., Mapping[str, float]], n_rows: int | tuple[int, ...], n: int, subsamples: int, seed: int,
    growing: Collection[str] = (),
) -> dict[str, Interval]:
    """Estimate what `fn` gives on n rows, and how far another sample of the same size from the same source may be off.

    The value is the mean over `subsamples` draws of n rows without replacement, or `fn` of all rows where n is all
    there are. The half-width is Student's t times a delete-d jackknife error (Shao and Wu 1989): the spread over
    draws of b of N rows, times sqrt(b / (N - b)), with b the smaller of n and N / 2 (draws of nearly all rows would
    hardly differ and say nothing). Draws of N / 2 < n rows estimate the spread at N / 2; for quantities named in
    `growing`, effective numbers and sums that rise with n, it is scaled by value / mean at N / 2.

    Args:
        fn: takes one array of row indices a set (in random order, without repetition), returns named numbers.
        n_rows: rows of the set, or of each of several sets that are drawn independently.
        n: rows drawn of each.
        subsamples: number of draws.
        seed: of the draws. Sets of equal size, and the same seed, get the same draws.
        growing: names whose spread grows with n as their value does.

    Cost: `subsamples` calls at n rows, and as many at N / 2 where n > N / 2.

    Raises:
        DataError: a set has fewer than n rows.
        ConfigError: n below 4 or no subsamples.
    """
    sizes = (n_rows,) if isinstance(n_rows, int) else n_rows
    smallest = min(sizes)
    if smallest < n:
        raise DataError(f"{n} rows are to be measured and the smaller set has {smallest}; lower n or bring more rows.")
    if n < 4 or subsamples < 1:
        raise ConfigError(f"An interval needs n of at least 4 and one subsample or more; got n={n} and {subsamples}.")

    def draws(size: int, count: int) -> dict[str, NDArray[np.float64]]:
        results = [fn(*_rows(sizes, size, draw, seed)) for draw in range(count)]
        return {name: np.array([result[name] for result in results]) for name in results[0]}

    at_n = draws(n, 1 if n == smallest else subsamples)
    half = min(n, smallest // 2)
    at_half = at_n if half == n else draws(half, subsamples)
    return {name: _interval(values, at_half[name], math.sqrt(half / (smallest - half)), half < n, name in growing)
            for name, values in at_n.items()}


def jackknife(value: float, left_out_N: ArrayLike) -> Interval:
    """Interval of a score from its values with each row left out, for a fresh sample of as many rows.

    Half-width: Student's t at 95 % times sqrt((n - 1) / n sum_r (s_r - mean s)^2), s_r the score without row r. By
    the inequality of Efron and Stein (1981) the sum alone is, in expectation, not below the variance of the score of
    n - 1 rows, for any symmetric score and rows drawn independently; so for smooth scores the interval errs on the
    wide side. It does not apply where rows come in groups (paraphrases of one source): leave out whole groups then,
    giving one value a group. Nor where the score hangs on single pairs, such as a nearest-neighbour distance.

    Args:
        value: the score of all n rows, which the interval is around: the bias of the score at n rows is part of what
            it estimates, as everywhere here, where scores compare at equal n.
        left_out_N: s_r, n values.

    Raises:
        DataError: fewer than two values.
    """
    from scipy.special import stdtrit

    left_out = np.asarray(left_out_N, np.float64)
    n = len(left_out)
    if n < 2:
        raise DataError(f"The jackknife compares a score with rows left out, and there are {n}; give two or more.")
    variance = (n - 1) / n * float(((left_out - left_out.mean()) ** 2).sum())
    return Interval(value, float(stdtrit(n - 1, 0.975)) * math.sqrt(variance))


def ratio(numerators_N: ArrayLike, denominators_N: ArrayLike) -> Interval:
    """sum a / sum b over independent rows, as nats a byte: with the linearised error of a ratio of sums at 95 %.

    Args:
        numerators_N: a, float.
        denominators_N: b, positive; as many.
    """
    a_N, b_N = np.asarray(numerators_N, np.float64), np.asarray(denominators_N, np.float64)
    value = float(a_N.sum() / b_N.sum())
    if len(a_N) < 2:
        return Interval(value, None)
    return Interval(value, float(1.96 * (a_N - value * b_N).std(ddof=1) / (math.sqrt(len(a_N)) * b_N.mean())))


def _rows(sizes: tuple[int, ...], n: int, draw: int, seed: int) -> list[Rows]:
    return [np.random.default_rng((seed, which, n, draw)).permutation(size)[:n] for which, size in enumerate(sizes)]


def _interval(at_n: NDArray, at_half: NDArray, factor: float, smaller: bool, growing: bool) -> Interval:
    from scipy.special import stdtrit

    value, draws = float(at_n.mean()), len(at_half)
    if draws < 2:
        return Interval(value, None)
    scale = value / at_half.mean() if smaller and growing and at_half.mean() else 1.0
    variance = (scale * factor * at_half.std(ddof=1)) ** 2
    if len(at_n) > 1:  # the value is itself a mean over few draws
        variance += at_n.var(ddof=1) / len(at_n)
    return Interval(value, float(stdtrit(draws - 1, 0.975) * math.sqrt(variance)))
