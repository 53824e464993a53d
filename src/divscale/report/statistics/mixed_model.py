"""What moves the score, arms of all levels, sizes and seeds together: a mixed model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from math import log
from typing import Any

import numpy as np

from divscale.report.model import ReportInput
from divscale.report.naming import higher_is_better
from divscale.report.statistics.intervals import Unit, is_crossed, seeds_of

MOST_CORRELATED = 0.999  # of two terms that tell the same, the later is left out


@dataclass(frozen=True)
class Term:
    """A fixed effect: change of the score for one standard deviation of the term (interactions: of both), with its 95 %
    interval and two-sided p-value (Wald).
    """

    name: str
    effect: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class MixedModel:
    """A linear mixed model of the score.

    Attributes:
        terms: Fixed effects, without the intercept.
        between: Standard deviation of the score between generation seeds and between data seeds where they are crossed,
            else between units (a data seed with its generator); by name.
        within: Standard deviation that is left.
        arms, units: What it was fitted on.
        left_out: Terms that do not vary, or say what another says.
        warning: What the fit complained of; null: nothing.
    """

    terms: tuple[Term, ...]
    between: dict[str, float]
    within: float
    arms: int
    units: int
    left_out: tuple[str, ...]
    warning: str | None


def rows_of(report: ReportInput, metric: str, levels: Sequence[float]) -> list[dict[str, Any]]:
    """The arms with a level and a finite score, with what their generated set was measured to be.

    Returns:
        Per arm: `score` (higher is better), `level` (its place on the dial, 0 to 1), `labelled`, `size` (its
        logarithm), `parameters` (of the model, likewise), `share`, `filter`, `method`, `model`, `mix` (model, design,
        and rows asked for, real and generated), `unit` (generation and data seed), and every measure of its generated
        set by name. What is not known is missing or null.
    """
    measures: dict[tuple, dict[str, float]] = {}
    for row in report.sets.to_pylist():
        measures.setdefault((row["level"], row["filter"], row["generation_seed"]), {})[row["metric"]] = row["value"]
    sign = 1 if higher_is_better(metric) else -1
    place = {level: i / max(1, len(levels) - 1) for i, level in enumerate(levels)}
    found = []
    for arm in report.arms.to_pylist():
        score = arm[metric]
        if arm["level"] is None or score is None or not np.isfinite(score):
            continue
        known = measures.get((arm["level"], arm["filter"], arm["generation_seed"]), {})
        found.append({
            **known, "score": sign * score, "level": place[arm["level"]], "labelled": arm["labelled"],
            "size": log(max(1, arm["labelled"])), "share": arm["generated_share"], "filter": arm["filter"],
            "method": arm["method"], "model": arm["model"],
            "parameters": log(arm["parameters"]) if arm["parameters"] else None,
            "mix": (arm["model"], arm["design"], arm["labelled"], arm["generated"]),
            "unit": (arm["generation_seed"], arm["data_seed"])})
    return found


def mixed_model(rows: Sequence[dict[str, Any]], terms: Sequence[str]) -> MixedModel | None:
    """Fits score on level, its square, `terms` and the interactions of level with size, share and parameters.

    A random intercept takes up what the arms of one draw share: of a unit, or of a generation seed and of a data seed
    where those are crossed. Every term is standardised; what does not
    vary, or repeats another (correlation above `MOST_CORRELATED`), is left out and named. Maximum likelihood through
    statsmodels' MixedLM. Cost: about a second for 1,000 arms.

    Args:
        rows: As from `rows_of`; those that lack a term are not used.
        terms: Names of further columns: `size`, `share`, `parameters`, a measure of shift, correctness.

    Returns:
        Null with fewer than two units, or fewer than three arms more than there are terms.
    """
    import pandas
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    wanted = ["level", *terms]
    used = [row for row in rows if all(is_known(row.get(name)) for name in wanted)]
    units = [row["unit"] for row in used]
    if len(set(units)) < 2:
        return None
    columns, left_out = _design(used, wanted)
    if len(used) < len(columns) + 4:
        return None
    frame = pandas.DataFrame({"Intercept": np.ones(len(used)), **columns})
    values = np.array([row["score"] for row in used], dtype=np.float64)
    scale = float(values.std()) or 1.0  # of scores near 0 the fit takes any spread for nought
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted, between = _fitted(pandas.Series(values / scale), frame, units)
    means = fitted.params
    complaints = [str(found.message) for found in caught if issubclass(found.category, ConvergenceWarning)]
    bounds = fitted.conf_int()
    found = tuple(
        Term(name, scale * float(means[name]), scale * float(bounds.loc[name][0]), scale * float(bounds.loc[name][1]),
             float(fitted.pvalues[name]))
        for name in columns)
    return MixedModel(found, {what: scale * spread for what, spread in between.items()},
                      scale * float(np.sqrt(fitted.scale)), len(used), len(set(units)), tuple(left_out),
                      complaints[0] if complaints else None)


def _fitted(scores: Any, frame: Any, units: Sequence[Unit]) -> tuple[Any, dict[str, float]]:
    """The fit, and the standard deviations of its random intercepts.

    Its Hessian is singular where a spread is estimated as nought; the model is then the likeliest one without it, in
    the end an ordinary regression.
    """
    from statsmodels.regression.linear_model import OLS

    drawn: dict[str, np.ndarray] = {"units": np.unique([repr(unit) for unit in units], return_inverse=True)[1]}
    if is_crossed(units):
        generation, data = seeds_of(units)
        drawn = {"generation seeds": generation, "data seeds": data}
    for kept in range(len(drawn), 0, -1):
        fits = []
        for names in combinations(drawn, kept):
            with suppress(np.linalg.LinAlgError):
                fits.append(_with_intercepts(scores, frame, {name: drawn[name] for name in names}))
        if fits:
            fitted, between = max(fits, key=lambda fit: fit[0].llf)
            return fitted, {name: between.get(name, 0.0) for name in drawn}
    return OLS(scores, frame).fit(), dict.fromkeys(drawn, 0.0)


def _with_intercepts(scores: Any, frame: Any, drawn: Mapping[str, np.ndarray]) -> tuple[Any, dict[str, float]]:
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    if len(drawn) == 1:
        ((name, of_arm),) = drawn.items()
        fitted: Any = MixedLM(scores, frame, groups=of_arm).fit(reml=False)
        return fitted, {name: float(np.sqrt(fitted.cov_re.iloc[0, 0]))}
    shown = [np.eye(of_arm.max() + 1)[of_arm] for of_arm in drawn.values()]
    names = [[[f"{i}" for i in range(one.shape[1])]] for one in shown]
    components = VCSpec(list(drawn), names, [[one] for one in shown])
    everything = np.zeros(len(scores))  # one group: crossed seeds leave no two arms apart
    fitted = MixedLM(scores, frame, groups=everything, exog_vc=components).fit(reml=False)
    return fitted, dict(zip(drawn, map(float, np.sqrt(fitted.vcomp)), strict=True))


def _design(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    columns = {name: _standardised([row[name] for row in rows]) for name in names}
    if columns["level"].any():
        columns["level squared"] = _standardised(columns["level"] ** 2)
        for name in ("size", "share", "parameters"):
            if name in columns:
                columns[f"level x {name}"] = columns["level"] * columns[name]
                columns[f"level squared x {name}"] = columns["level squared"] * columns[name]
    kept: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        if _adds(values, list(kept.values())):
            kept[name] = values
    return kept, [name for name in columns if name not in kept]


def _adds(values: np.ndarray, before: list[np.ndarray]) -> bool:
    # Whether the others, and a constant, leave anything of it unsaid.
    known = np.column_stack([np.ones(len(values)), *before])
    rest = values - known @ np.linalg.lstsq(known, values, rcond=None)[0]
    spread = float(((values - values.mean()) ** 2).sum())
    return spread > 0 and bool((rest**2).sum() > (1 - MOST_CORRELATED**2) * spread)


def _standardised(values: Sequence[float] | np.ndarray) -> np.ndarray:
    # What does not vary becomes nought, which adds nothing to any other.
    array = np.asarray(values, dtype=np.float64)
    spread = array.std() if len(array) else 0.0
    return (array - array.mean()) / spread if spread > 1e-12 else np.zeros(len(array))


def is_known(value: Any) -> bool:
    """Whether a number is there and finite."""
    return value is not None and bool(np.isfinite(value))
