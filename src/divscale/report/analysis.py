"""What is computed of a report's input once and told in several ways: as a page, as Markdown, as tables of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from divscale.report.descent import Told, sentences, told
from divscale.report.diversity import Key, Measured, choose_axis, measured, ordered_levels
from divscale.report.model import TEST, ReportInput
from divscale.report.naming import METHODS
from divscale.report.relations import Found, find_relations
from divscale.report.sentences import answer, headline_method
from divscale.report.statistics.amounts import Amounts, how_much
from divscale.report.statistics.curves import Curve, CurveKey, Point, curves, main_curves, references
from divscale.report.statistics.held import Held, held_changes


@dataclass(frozen=True)
class Scored:
    """Curves and arms without a level of one metric on one test set."""

    metric: str
    test: str
    curves: list[Curve]
    references: dict[CurveKey, Point]


class Analysis:
    """The statistics of one report; each is computed when it is first asked for, and once.

    Attributes:
        whole: all of the input.
        report: the same with scores on "test" alone, which verdicts are about.
        sets, levels, axis: measured sets, levels from least to most diverse, and the measure that curves stand against.
    """

    def __init__(self, report: ReportInput) -> None:
        self.whole, self.report = report, report.on(TEST)
        self.sets: dict[Key, Measured] = measured(self.report)
        self.levels: list[float] = ordered_levels(self.report, self.sets)
        self.axis: str | None = choose_axis(self.report, self.sets)
        self._scored: dict[tuple[str, str], Scored] = {}

    def scored(self, metric: str, test: str = TEST) -> Scored:
        """Curves and arms without a level of `metric` on `test`."""
        if (metric, test) not in self._scored:
            report = self.report if test == TEST else self.whole.on(test)
            self._scored[metric, test] = Scored(
                metric, test, curves(report, self.levels, metric), references(report, metric))
        return self._scored[metric, test]

    @property
    def tests(self) -> tuple[str, ...]:
        """All test sets, the one that verdicts are about first."""
        return (TEST, *self.whole.other_tests)

    @property
    def lead(self) -> Scored:
        """The metric and test set that the report argues with."""
        return self.scored(self.report.metrics[0])

    @cached_property
    def sentences(self) -> tuple[str, str, str]:
        """What was asked and found."""
        if self.descent is not None and not self.lead.curves:
            return sentences(self.report, self.descent)
        return answer(self.report, self.levels, self.lead.curves, self.lead.references, self.amounts)

    @cached_property
    def main(self) -> Mapping[str, list[Curve]]:
        """By way of training, the curves that its figures show; ways without any are left out."""
        own = {method: main_curves(self.lead.curves, method) for method in METHODS}
        return {method: found for method, found in own.items() if found}

    @cached_property
    def headline(self) -> str | None:
        """The way of training with most points; null without curves."""
        return headline_method([curve for own in self.main.values() for curve in own])

    @cached_property
    def relations(self) -> Found | None:
        """What goes with the score, of the headline's way of training; null without curves."""
        return None if self.headline is None else find_relations(
            self.report, self.levels, self.headline, self.main[self.headline][0].verdict.best)

    @cached_property
    def held(self) -> list[Held]:
        """What holding correctness or shift changes, of the headline's way of training."""
        return held_changes(self.report, self.main[self.headline]) if self.headline else []

    @cached_property
    def amounts(self) -> list[Amounts]:
        """How much to mix in, of every mix that was tried in several amounts."""
        return how_much(self.report, self.lead.curves)

    @cached_property
    def descent(self) -> Told | None:
        """Lines of descent; null without any."""
        return told(self.report)
