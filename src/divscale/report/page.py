"""The report: one self-contained HTML file, readable anywhere, with no script and no network."""

from __future__ import annotations

from divscale.report import tables
from divscale.report.analysis import Analysis
from divscale.report.descent import descent_section
from divscale.report.diversity import axis_notes
from divscale.report.figures import dose_pictures, level_pictures, mix_pictures
from divscale.report.method import how_intervals_were_made
from divscale.report.model import ReportInput
from divscale.report.naming import FILTERS, METHODS, measure_name, score_name
from divscale.report.relations import relations
from divscale.report.square import squares
from divscale.report.statistics.curves import seed_counts
from divscale.report.template import filled
from divscale.schema import CORRECT, MATCHED


def render(report: ReportInput | Analysis) -> str:
    """The whole report as HTML text.

    Every text of the study (generated samples, labels, names, YAML) is escaped. The same input gives the same bytes.
    A study of some hundred arms takes a few seconds, most of them drawing.
    """
    found = report if isinstance(report, Analysis) else Analysis(report)
    whole, report, sets, levels, axis = found.whole, found.report, found.sets, found.levels, found.axis
    metric, curves, plain = report.metrics[0], found.lead.curves, found.lead.references

    def study(method: str) -> dict:
        own = found.main[method]
        return {
            "method": method, "name": METHODS[method],
            "pictures": dose_pictures(report, own, sets, axis, held=method != "probe", references=plain),
            "held": dose_pictures(report, own, sets, axis, held=True, references=plain)
            if method == "probe" and any(c.key.filter != "none" for c in own) else [],
            "kinds": [name for name in FILTERS if any(c.key.filter == name for c in own)],
            "held_name": _held_name({c.key.filter for c in own}),
            "beside_real": any(c.baseline for c in own),
            "judged": any(c.key.filter in CORRECT for c in own),
            "verdicts": tables.verdicts(own), "points": tables.points(own, sets, axis),
            "without_level": tables.without_level(plain, metric, method),
        }

    def elsewhere(name: str) -> dict:
        other = found.scored(metric, name)
        return {"name": name, "points": tables.points(other.curves, sets, axis) if other.curves else None,
                "without_level": [table for method in METHODS
                                  if (table := tables.without_level(other.references, metric, method)).rows]}

    mixes = mix_pictures(report, curves, levels)
    more = len(curves) > sum(len(own) for own in found.main.values())
    shown = [level for level in levels if level in report.examples]
    labels = dict.fromkeys(example.label for level in shown for example in report.examples[level])
    return filled(
        "page.html.j2", report=report, sentences=found.sentences, seeds=seed_counts(report), levels=levels,
        axis=measure_name(axis) if axis else report.dial, axis_notes=axis_notes(report, sets, levels),
        score=score_name(metric), studies=[study(method) for method in found.main],
        mixes=mixes, mix_points=tables.points(curves, sets, axis) if mixes or more else None,
        amounts=tables.amounts(found.amounts, metric),
        families=level_pictures(report, sets, levels), sets=tables.measured_sets(report, sets, levels),
        mix_table=tables.mixes(report), cost_table=tables.costs(report), cleaned=tables.cleaned(report),
        elsewhere=[elsewhere(name) for name in whole.other_tests], rate_table=tables.rates(report),
        harness=tables.harness(report, levels), headline=METHODS[found.headline] if found.headline else "",
        relations=relations(report, levels, found.relations) if found.relations else None,
        held=tables.held(found.held, metric), held_note=tables.HELD_NOTE,
        descent=descent_section(report, found.descent) if found.descent else None,
        squares=squares(report, curves, plain),
        set_kinds=[name for name in FILTERS if name != "real" and any(key[1] == name for key in sets)],
        shown_levels=shown, shown_labels=sorted(labels), dial=report.dial.replace("_", " "),
        filters=FILTERS, methods=how_intervals_were_made(report))


def _held_name(filters: set[str]) -> str:
    """What the filters hold constant, altogether."""
    held = {"correctness": CORRECT, "shift": MATCHED}
    return " and ".join(name for name, by in held.items() if not by.isdisjoint(filters))
