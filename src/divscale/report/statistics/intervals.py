"""Means, paired differences and their intervals over seeds.

A score belongs to a unit (generation seed, data seed); training seeds are averaged inside it. Shapes: G generation
seeds, D data seeds, B bootstrap resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, nan, sqrt

import numpy as np

from divscale.report.statistics.crossing import Unit, usable

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its t interval at `CONFIDENCE`; nan bounds where one unit shows no spread.

    `bootstrap_low` and `bootstrap_high` are the percentile bootstrap over seeds. `p` tests mean = 0, two-sided;
    `p_above` mean <= 0, one-sided. `units` is the number of independent units behind it (of crossed seeds, the more
    numerous ones). `error` is the mean's standard error and `dof` its degrees of freedom; nan and 0 with one unit. Of a
    crossing that lacks some arms, all of this is of its `usable` units alone.
    """

    mean: float
    low: float
    high: float
    bootstrap_low: float
    bootstrap_high: float
    p: float
    p_above: float
    units: int
    error: float = nan
    dof: float = 0.0


def grid(values: Mapping[Unit, float] | Mapping[Unit, np.ndarray]) -> np.ndarray:
    """Values of the `usable` units, float64: y_GD where generation and data seeds are fully crossed, else y_1D; rows of
    E values give y_GDE and y_1DE.

    Units that an incomplete crossing leaves over are not in it. A data seed that brought its own generator (everything
    redrawn) is a unit of its own.
    """
    used = usable(frozenset(values))
    generations = sorted({unit[0] for unit in used}, key=lambda seed: -1 if seed is None else seed)
    data = sorted({unit[1] for unit in used})
    if len(used) == len(generations) * len(data):
        return np.array([[values[g, d] for d in data] for g in generations], dtype=np.float64)
    return np.array([[values[unit] for unit in sorted(used, key=lambda unit: unit[1])]], dtype=np.float64)


def standard_error(y_GD: np.ndarray) -> tuple[float, float]:
    """Standard error of the mean of y_GD and its degrees of freedom, both seeds being random effects.

    With one row or column, s / sqrt(n). Crossed: the variance (MS_G + MS_D - MS_GD) / (G D) of the two-way layout
    with Satterthwaite's degrees of freedom, never below that of its larger main effect. One value: (nan, 0).
    """
    g, d = y_GD.shape
    if min(g, d) == 1:
        n = g * d
        return (nan, 0.0) if n == 1 else (float(y_GD.std(ddof=1)) / sqrt(n), n - 1.0)
    mean = y_GD.mean()
    row_G, column_D = y_GD.mean(1) - mean, y_GD.mean(0) - mean
    squares = np.array([
        d * (row_G**2).sum() / (g - 1),
        g * (column_D**2).sum() / (d - 1),
        ((y_GD - mean - row_G[:, None] - column_D) ** 2).sum() / ((g - 1) * (d - 1)),
    ])
    dofs = np.array([g - 1, d - 1, (g - 1) * (d - 1)], dtype=float)
    total, largest = squares[0] + squares[1] - squares[2], int(np.argmax(squares[:2]))
    if total <= squares[largest]:
        return sqrt(squares[largest] / (g * d)), float(dofs[largest])
    return sqrt(total / (g * d)), float(total**2 / (squares**2 / dofs).sum())


def estimate(values: Mapping[Unit, float], *, bootstrap: bool = True) -> Estimate:
    """The mean of `values` with its intervals and tests of zero; bootstrap bounds are nan where they are not asked for.

    Without any spread over n units the t test has no answer; the sign test then gives the p-value (2^-n one-sided).
    """
    y_GD = grid(values)
    mean, units = float(y_GD.mean()), max(y_GD.shape)
    error, dof = standard_error(y_GD)
    if dof == 0:
        return Estimate(mean, nan, nan, nan, nan, nan, nan, units)
    if error <= 1e-12 * max(1.0, abs(mean)):
        p_above = 0.5**units if mean > 0 else 1.0
        p = min(1.0, 2 * 0.5**units) if mean else 1.0
        return Estimate(mean, mean, mean, mean, mean, p, p_above, units, error, dof)
    return _by_t(mean, error, dof, units, _bootstrap(y_GD) if bootstrap else (nan, nan))


def _by_t(mean: float, error: float, dof: float, units: int, bootstrap: tuple[float, float] = (nan, nan)) -> Estimate:
    # The special functions behind scipy.stats.t: a hundred times quicker for one value, and a study has thousands.
    from scipy.special import stdtr, stdtrit

    half = float(stdtrit(dof, (1 + CONFIDENCE) / 2)) * error
    p_above = float(stdtr(dof, -mean / error))
    p = 2 * min(p_above, 1 - p_above)
    return Estimate(mean, mean - half, mean + half, *bootstrap, p, p_above, units, error, dof)


def _bootstrap(y_GD: np.ndarray) -> tuple[float, float]:
    weight_BG, weight_BD = seed_weights(*y_GD.shape)
    means_B = ((weight_BG @ y_GD) * weight_BD).sum(1)
    low, high = np.quantile(means_B, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@lru_cache(maxsize=16)
def seed_weights(g: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a bootstrap, w_BG and w_BD, float64, each row's sum being 1: generation and data seeds are drawn
    independently, as a repeated study has other generators and other data.
    """
    rng = np.random.default_rng(0)
    weight_BG = rng.multinomial(g, np.full(g, 1 / g), size=RESAMPLES) / g
    return weight_BG, rng.multinomial(d, np.full(d, 1 / d), size=RESAMPLES) / d


def is_crossed(units: Sequence[Unit]) -> bool:
    """Whether data seeds, more than one, were seen with several generators; else every unit is a draw of its own."""
    return len(set(units)) > len({data for _, data in units}) > 1


def redrawn(units: Sequence[Unit], resamples: int) -> np.ndarray:
    """Weights of a bootstrap, w_BU float64: how often each unit is drawn in each of `resamples` resamples.

    Generation and data seeds are redrawn independently where they are crossed (a unit then counts the product), units
    where they are not.
    """
    rng = np.random.default_rng(0)

    def times(n: int) -> np.ndarray:
        return rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)

    if not is_crossed(units):
        return times(len(units))
    generation_U, data_U = seeds_of(units)
    return times(generation_U.max() + 1)[:, generation_U] * times(data_U.max() + 1)[:, data_U]


def seeds_of(units: Sequence[Unit]) -> tuple[np.ndarray, np.ndarray]:
    """Which generation and which data seed every unit has, each int64, counted from 0 in the order of the seeds."""
    generations = np.array([-1 if generation is None else generation for generation, _ in units])
    data = np.array([data for _, data in units])
    return np.unique(generations, return_inverse=True)[1], np.unique(data, return_inverse=True)[1]


def difference(a: Mapping[Unit, float], b: Mapping[Unit, float], *, bootstrap: bool = True) -> Estimate | None:
    """The paired difference a - b over the units both have; null without any."""
    shared = {unit: a[unit] - b[unit] for unit in a if unit in b}
    return estimate(shared, bootstrap=bootstrap) if shared else None


def welch(a: Mapping[Unit, float], b: Mapping[Unit, float]) -> Estimate:
    """The difference of the means a - b of units that have nothing to do with each other (Welch 1947).

    The errors of both means are those of `standard_error`, their degrees of freedom together Satterthwaite's. With one
    unit on a side, or no spread on either, there is no interval and no test: nan. `units` are those of both.
    """
    y_GD, z_GD = grid(a), grid(b)
    mean, units = float(y_GD.mean() - z_GD.mean()), max(y_GD.shape) + max(z_GD.shape)
    (error_a, dof_a), (error_b, dof_b) = standard_error(y_GD), standard_error(z_GD)
    error = sqrt(error_a**2 + error_b**2)
    if dof_a == 0 or dof_b == 0 or error <= 1e-12 * max(1.0, abs(mean)):
        return Estimate(mean, nan, nan, nan, nan, nan, nan, units)
    return _by_t(mean, error, error**4 / (error_a**4 / dof_a + error_b**4 / dof_b), units)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values (Holm 1979), in the order given; nan stays nan and is not counted."""
    order = sorted((i for i, value in enumerate(p) if value == value), key=lambda i: p[i])
    adjusted, running = [nan] * len(p), -inf
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = running
    return adjusted
