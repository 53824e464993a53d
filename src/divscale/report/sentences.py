"""What was asked and found, in three sentences made from the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite

from divscale.report.diversity import direction, measured
from divscale.report.model import ReportInput
from divscale.report.naming import (
    AMOUNTS,
    FILTERS,
    amount_name,
    factor,
    higher_is_better,
    level_name,
    listed,
    mix_name,
    mixed_rows,
    number,
    p_value,
    rows_name,
    score_name,
    unit,
)
from divscale.report.statistics.amounts import Amounts
from divscale.report.statistics.curves import ALONE, Curve, CurveKey, Point, main_curves, seed_counts
from divscale.report.statistics.intervals import Estimate
from divscale.report.statistics.verdict import ALPHA, Verdict
from divscale.schema import CORRECT, MATCHED


def headline_method(found: Sequence[Curve]) -> str | None:
    """The way of training with most points: the one the sentences are about."""
    counts = Counter(curve.key.method for curve in found for _ in curve.points)
    return counts.most_common(1)[0][0] if counts else None


def answer(report: ReportInput, levels: Sequence[float], found: Sequence[Curve], references: dict[CurveKey, Point],
           amounts: Sequence[Amounts]) -> tuple[str, str, str]:
    """What was asked and found, in three sentences made from the numbers of the way of training with most points.

    Args:
        report: With arms on the test set that verdicts are about.
        levels: From least to most diverse.
        found, references: Curves and arms without a level, of the report's first metric.
        amounts: How much to mix in.
    """
    lead = headline_method(found)
    main = main_curves(found, lead) if lead else []
    leading = [curve for curve in main if curve.key.model == main[0].key.model]
    asked, best, rest = three_sentences(report, leading, levels, references)
    return asked, best, rest + by_model(report, main) + (by_amount(report, leading[0], amounts) if leading else "")


def by_amount(report: ReportInput, main: Curve, amounts: Sequence[Amounts]) -> str:
    """The best amount of the mixes that were tried in several, with text as generated and the main curve's rows."""
    text, rows = "", rows_name(report, main.key.labelled)
    ways = {"add_on": f"on top of {rows}", "constant_total": f"in place of as many of {rows}", ALONE: "alone"}
    for one in amounts:
        key = one.key
        if key.design in ways and (key.method, key.model, key.labelled, key.filter) == (
                *main.key[:2], main.key.labelled, "none"):
            tried = listed([amount_name(amount) for amount in one.amounts], "or")
            text += (f" Of {tried} generated rows {ways[key.design]}, at {level_name(report, one.level)}, "
                     f"{amount_name(key.generated)} scored best, {_value(main.metric, one.score)}"
                     f"{_over_real(main.metric, one.over_real, one.p_holm, _real(report, key))}: "
                     f"{AMOUNTS[one.verdict.shape]}.")
    return text


def by_model(report: ReportInput, main: Sequence[Curve]) -> str:
    """The best level of every model, with fewest labels and text as generated; nothing where there is one model."""
    models = list(dict.fromkeys(curve.key.model for curve in main))
    scarce = [next(c for c in main if c.key.model == model) for model in models]
    if len(scarce) < 2:
        return ""
    found = [f"{_best_point(c).level or 0.0:g} for {c.key.model} ({_value(c.metric, _best_point(c).score)}"
             f"{', an interior optimum' if c.verdict.shape == 'interior_optimum' else ''})" for c in scarce]
    return f" By model, the {report.dial.replace('_', ' ')} that scored best is {listed(found, 'and')}."


def three_sentences(
    report: ReportInput, main: Sequence[Curve], levels: Sequence[float], references: dict[CurveKey, Point],
) -> tuple[str, str, str]:
    """Asked; found with fewest labels; what remains with more labels and with correctness held.

    `main` are the main curves of one method (`main_curves`), for one model.
    """
    plain = [c for c in main if c.key.filter == "none"] or list(main)
    held = [c for c in main if c.key.filter == "label_agreement" and c not in plain]
    matched = [c for c in main if c.key.filter in MATCHED and c not in plain]
    if not plain:
        third = "The report has diversity and shift of every level; which level is best for training they do not say."
        asked = _asked(report, plain, levels) if report.arms.num_rows else _measured_only(report, levels)
        return asked, f"No level has a score, because {_why_none(report)}.", third
    scarce = plain[0]
    found = f"With {mix_name(report, scarce)}, {_best(report, scarce)}: {_shape(scarce)}."
    return _asked(report, plain, levels), found, _rest(report, plain, held, matched, references)


def _why_none(report: ReportInput) -> str:
    """Why there is no curve."""
    arms = report.arms
    if arms.num_rows == 0:
        return "nothing was trained"
    if not any(score is not None and isfinite(score) for score in arms[report.metrics[0]].to_pylist()):
        return "no arm has a finite score"
    if arms["level"].null_count < arms.num_rows:
        return "no arm with generated rows has a finite score"
    return "no mix with generated rows was trained on"


def _asked(report: ReportInput, plain: Sequence[Curve], levels: Sequence[float]) -> str:
    seeds, span, how = seed_counts(report), _span(report, levels), "was mixed with real rows"
    counts = sorted({mixed_rows(curve)[0] for curve in plain})
    if counts == [0]:
        how = "was used without real rows"
    elif counts:
        amounts = [*map(amount_name, counts[:-1]), rows_name(report, counts[-1])]
        how = f"was mixed with {listed(amounts, 'or')}"
    return (f"The study asked how diverse generated training text should be: text from {span} {how}, "
            f"and what was trained on it was scored by {score_name(report.metrics[0])} on held-out real data, over "
            f"{seeds['data']} data seed{'' if seeds['data'] == 1 else 's'} and {seeds['generation']} generator "
            f"seed{'' if seeds['generation'] == 1 else 's'}.")


def _measured_only(report: ReportInput, levels: Sequence[float]) -> str:
    return f"The study asked how diverse generated text is: text from {_span(report, levels)} was measured."


def _span(report: ReportInput, levels: Sequence[float]) -> str:
    dial = report.dial.replace("_", " ")
    if len(levels) < 2:
        return f"one {dial}"
    order = "" if direction(report, measured(report)) else (
        "; nothing tells which end is the more diverse one, so the order is that of the dial")
    return f"{len(levels)} levels of {dial} ({levels[0]:g} to {levels[-1]:g}{order})"


def _best(report: ReportInput, curve: Curve) -> str:
    best = _best_point(curve)
    return (f"{level_name(report, best.level or 0.0)} scored best, {_value(curve.metric, best.score)}"
            f"{_over_real(curve.metric, best.over_real, best.p_holm, _real(report, curve.key))}")


def _real(report: ReportInput, key: CurveKey) -> str:
    """The real rows that a mix is compared with: more than it holds where the total is constant."""
    return f"{rows_name(report, key.labelled)} alone" if key.design == "constant_total" else "real data alone"


def _over_real(metric: str, over: Estimate | None, p_holm: float | None, real: str) -> str:
    if over is None:
        return ""
    gain = over.mean if higher_is_better(metric) else -over.mean
    side = "better" if gain > 0 else "worse"
    size = f"{number(metric, abs(over.mean))}{unit(metric, difference=True)}"
    if over.p != over.p:
        return f", {size} {side} than {real}"
    if p_holm is not None and p_holm <= ALPHA:
        return f", {size} {side} than {real} (corrected p {_p(p_holm)})"
    return f", not told apart from {real} ({size} {side}, corrected p {_p(p_holm)})"


def _shape(curve: Curve) -> str:
    verdict, metric = curve.verdict, curve.metric

    def by(found: Estimate | None) -> str:
        assert found is not None
        return f"{number(metric, abs(found.mean))}{unit(metric, difference=True)}"

    if verdict.shape == "not_enough" or verdict.ends is None:
        return "too few levels or seeds for a verdict on the shape"
    ends = f"by {by(verdict.ends)} (p {_p(verdict.ends.p)})"
    return {
        "interior_optimum": lambda: (
            f"it beats the least diverse level by {by(verdict.over_least)} and the most diverse by "
            f"{by(verdict.over_most)}, so the data support an interior optimum (corrected p {_p(verdict.p_interior)})"),
        "rising": lambda: f"the most diverse level beats the least diverse {ends}, and the score keeps rising",
        "rises_then_levels": lambda: (
            f"the most diverse level beats the least diverse {ends}, and no level in between is shown to beat both, so "
            "the data do not support an interior optimum"),
        "falling": lambda: f"the least diverse level beats the most diverse {ends}, and the score keeps falling",
        "falls_late": lambda: (
            f"the least diverse level beats the most diverse {ends}, and no level in between is shown to beat both, so "
            "the data do not support an interior optimum"),
        "unresolved": lambda: (
            f"the two ends of the dial are not told apart (p {_p(verdict.ends.p if verdict.ends else None)}) and no "
            "level in between is shown to beat both, so the data do not support an interior optimum"),
    }[verdict.shape]() + _more(verdict)


def _more(verdict: Verdict) -> str:
    if verdict.more_units is None:
        return ""
    seeds = "1 more seed" if verdict.more_units == 1 else f"{verdict.more_units} more seeds"
    return f" (about {seeds} would settle one, if the differences are what they seem)"


def _rest(
    report: ReportInput, plain: Sequence[Curve], held: Sequence[Curve], matched: Sequence[Curve],
    references: dict[CurveKey, Point],
) -> str:
    parts = []
    if len(plain) > 1:
        hits = [c.verdict.shape == "interior_optimum" for c in plain]
        parts.append(f"{'with text as generated, ' if held or matched else ''}an interior optimum is supported "
                     f"{_where(report, plain, hits)}, and the best level beats real data alone "
                     f"{_where(report, plain, [_beats_real(c) for c in plain])}")
    if held:
        judge = f" (the judge is right on {100 * report.judge_accuracy:.1f} %)" if report.judge_accuracy else ""
        hits = [c.verdict.shape == "interior_optimum" for c in held]
        shape = f"an interior optimum is supported {_where(report, held, hits)}" if len(held) > 1 else _shape(held[0])
        scarce = mix_name(report, held[0])
        text = f"with correctness held{judge} and {scarce}, {_best(report, held[0])}, and {shape}"
        control = judged_control(held[0], references)
        if control:
            text += f"; real text labelled by the same judge scored {_value(held[0].metric, control.score)}"
        parts.append(text)
    for filtered in dict.fromkeys(c.key.filter for c in matched):
        own = [c for c in matched if c.key.filter == filtered]
        hits = [c.verdict.shape == "interior_optimum" for c in own]
        found = "supported" if hits[0] or len(own) > 1 else "not supported"
        found += f" {_where(report, own, hits)}" if len(own) > 1 else ""
        parts.append(f"with {FILTERS[filtered]}, {_best(report, own[0])}, and an interior optimum is {found}")
    if not parts:
        tried = set(report.arms["filter"].to_pylist()) & CORRECT
        where = "in this mix (it was in others)" if tried else "constant"
        count = "no real rows were mixed in" if not mixed_rows(plain[0])[0] else "one labelled count was tried"
        return (f"Correctness was not held {where} and {count}, so wrong labels and scarcity "
                "cannot be told from diversity here.")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def judged_control(curve: Curve, references: dict[CurveKey, Point]) -> Point | None:
    """The judge-labelled real arm that belongs beside a curve: same training and labels, nearest amount."""
    fitting = [key for key in references if key.design == "judge_labelled" and
               (key.method, key.model, key.labelled) == (curve.key.method, curve.key.model, curve.key.labelled)]
    return references[min(fitting, key=lambda key: abs(key.generated - curve.key.generated))] if fitting else None


def _where(report: ReportInput, found: Sequence[Curve], holds: Sequence[bool]) -> str:
    totals = any(curve.key.design == "constant_total" for curve in found)
    hits, misses = ([mix_name(report, c) if totals else f"{c.key.labelled}" for c, yes in zip(
        found, holds, strict=True) if yes == wanted] for wanted in (True, False))
    if not hits or not misses:
        return f"{'in' if totals else 'at'} {'every' if hits else 'no'} {'mix' if totals else 'labelled count'}"
    rows = "" if totals else " labelled rows"
    return f"with {listed(hits, 'and')}{rows} but not with {listed(misses, 'or')}"


def _beats_real(curve: Curve) -> bool:
    point = _best_point(curve)
    over = point.over_real
    better = over is not None and (over.mean > 0) == higher_is_better(curve.metric)
    return better and point.p_holm is not None and point.p_holm <= ALPHA


def _best_point(curve: Curve) -> Point:
    sign = 1 if higher_is_better(curve.metric) else -1
    return next((p for p in curve.points if p.level == curve.verdict.best),
                max(curve.points, key=lambda p: sign * p.score.mean))


def _value(metric: str, found: Estimate) -> str:
    if found.low != found.low:
        return f"{number(metric, found.mean)}{unit(metric)}"
    half = (found.high - found.low) / 2
    spread = f"{factor(metric) * half:.1f}" if factor(metric) == 100 else f"{half:.2g}"
    return f"{number(metric, found.mean)}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{spread}{unit(metric)}"


def _p(p: float | None) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"
