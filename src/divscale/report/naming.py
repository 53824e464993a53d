"""Names and number formats of scores and measures, for people."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

from divscale.metrics.catalogue import CATALOGUE, title
from divscale.report.model import ReportInput

if TYPE_CHECKING:
    from divscale.report.statistics.curves import Curve

PERCENT = frozenset({"accuracy", "macro_f1", "exact_match", "squad_exact_match", "token_f1", "rouge_l", "ece",
                     "label_correct", "accepted", "c2st_accuracy"})
LOWER_IS_BETTER = frozenset({"loss", "perplexity", "ece"})
DESIGNS = {
    "real_only": "real only", "add_on": "added on top", "constant_total": "constant total",
    "generated_only": "generated only", "judge_labelled": "judge-labelled real",
}
FILTERS = {"none": "as generated", "label_agreement": "correctness held", "shift_matched": "shift held",
           "both": "correctness and shift held", "real": "real"}
AMOUNTS = {  # a verdict's shape, of the amount that is mixed in
    "interior_optimum": "some is better than the least and the most",
    "rising": "more is better, up to the most",
    "rises_then_levels": "the most is better than the least; how much is enough is open",
    "falling": "the least is the best",
    "falls_late": "the most is worse than the least; where it turns is open",
    "unresolved": "the amounts are not told apart",
    "not_enough": "not enough data: a verdict needs three amounts and two seeds",
}
METHODS = {"probe": "probe on frozen embeddings", "full": "full fine-tuning", "lora": "LoRA fine-tuning"}
_FAMILY = {"diversity": "Diversity", "shift": "Shift from real data"}
# Family of measures that are reported as `name@key`.
_KEYED = {output.name: _FAMILY[entry.kind] for entry in CATALOGUE for output in entry.outputs if entry.keyed}
# Measure: (name, family). What is not listed is shown under its own name, in the family "Other".
MEASURES = {
    **{output.name: (output.title, _FAMILY[entry.kind])
       for entry in CATALOGUE for output in entry.outputs if not entry.keyed},
    "g_vendi": ("G-Vendi, gradients of a proxy model", "Diversity"),
    "reference_loss": ("Loss of a reference model, nats a byte", "Shift from real data"),
    "reference_perplexity": ("Perplexity of a reference model, a token", "Shift from real data"),
    "label_correct": ("Labels right, as judged", "Label correctness"),
    "accepted": ("Kept by the filter", "Label correctness"),
}
# What more of a measure of diversity says of a set: 1, it is more diverse; -1, it is less.
_MORE = {**{output.name: output.more for entry in CATALOGUE if entry.kind == "diversity" for output in entry.outputs},
         "g_vendi": 1}
SHARE = ", ÷ n"  # follows the name of a number that is shown divided by n
MISSING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
FAMILIES = ("Diversity", "Shift from real data", "Label correctness", "Other")


def score_name(metric: str) -> str:
    """`macro_f1` as "macro-F1", the rest with spaces."""
    return {"macro_f1": "macro-F1", "token_f1": "token F1", "rouge_l": "ROUGE-L", "ece": "calibration error",
            "squad_exact_match": "exact match (SQuAD)"}.get(metric, metric.replace("_", " "))


def is_dcscore_share(measure: str) -> bool:
    """True for a DCScore sharp enough to read as an effective number; it is shown divided by n."""
    return measure.startswith("dcscore@") and float(measure.partition("@")[2]) < 1


def measure_name(measure: str) -> str:
    """What a measure is called in a figure."""
    if measure.startswith("dcscore@"):
        return f"DCScore, τ = {measure.partition('@')[2]}{SHARE if is_dcscore_share(measure) else ''}"
    if measure.partition("@")[0] in _KEYED:
        return title(measure)
    return MEASURES.get(measure, (measure.replace("_", " "),))[0]


def family(measure: str) -> str:
    """Which of `FAMILIES` a measure belongs to."""
    return _KEYED.get(measure.partition("@")[0]) or MEASURES.get(measure, ("", "Other"))[1]


def more_diverse(measure: str) -> int:
    """1 where a set that measures higher is more diverse, -1 where it is less; 0 for what is no measure of that."""
    return _MORE.get(measure.partition("@")[0], 0)


def higher_is_better(metric: str) -> bool:
    """False for losses and perplexities."""
    return metric not in LOWER_IS_BETTER


def factor(metric: str) -> float:
    """What a value is multiplied with before it is shown: 100 for shares that read as percent."""
    return 100.0 if metric in PERCENT else 1.0


def number(metric: str, value: float | None) -> str:
    """A value with the digits its kind deserves; an en dash where there is none."""
    if value is None or not isfinite(value):
        return MISSING
    value *= factor(metric)
    if metric in PERCENT:
        return f"{value:.1f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def unit(metric: str, *, difference: bool = False) -> str:
    """What follows a number: " %", " points" for a difference of percentages, or nothing."""
    return (" points" if difference else "\N{NO-BREAK SPACE}%") if metric in PERCENT else ""


def signed(metric: str, value: float | None) -> str:
    """A difference with its sign (a real minus, so that columns align)."""
    if value is None or not isfinite(value):
        return MISSING
    text = number(metric, abs(value))
    return text if not text.strip("0.") else ("+" if value > 0 else MINUS) + text


def p_value(p: float | None) -> str:
    """A p-value to two digits, "< .001" below."""
    if p is None or not isfinite(p):
        return MISSING
    return "< .001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def level_name(report: ReportInput, level: float) -> str:
    """A level with its dial: "temperature 0.8"."""
    return f"{report.dial.replace('_', ' ')} {level:g}"


def rows_name(report: ReportInput, count: float, kind: str = "real") -> str:
    """A row count as the study counts it: "2 real rows a label" or "200 real rows"; of any kind where that is empty."""
    return f"{amount_name(count)} {kind} row{'' if count == 1 else 's'}{_each(report)}".replace("  ", " ")


def mix_name(report: ReportInput, curve: Curve) -> str:
    """The rows of a curve's mixes: "2 real rows a label" that generated ones are added to, "5 real and 15 generated
    rows a label" of a constant total, or generated ones alone.
    """
    real, generated = mixed_rows(curve)
    if not real:
        return f"{rows_name(report, generated, 'generated')} and no real ones"
    if curve.key.design == "constant_total":
        return f"{amount_name(real)} real and {amount_name(generated)} generated rows{_each(report)}"
    return rows_name(report, real)


def mixed_rows(curve: Curve) -> tuple[float, float]:
    """How many real and generated rows a curve's mixes have; `labelled` is their sum where that is constant."""
    key = curve.key
    return key.labelled - (key.generated if key.design == "constant_total" else 0), key.generated


def _each(report: ReportInput) -> str:
    return " a label" if report.task == "classification" else ""


def amount_name(rows: float) -> str:
    """An amount of generated rows: whole where it is, else to two places (of a mix by shares, over its labels)."""
    return f"{round(rows, 2):.12g}"


def listed(words: Sequence[str], joint: str = "and") -> str:
    """Words as a sentence has them: "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"
