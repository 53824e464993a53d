"""The statistics of a report in plain sentences."""

from __future__ import annotations

from divscale.report.model import ReportInput
from divscale.report.statistics.curves import conditional_on_generator, seed_counts
from divscale.report.statistics.intervals import RESAMPLES
from divscale.report.statistics.verdict import ALPHA


def how_intervals_were_made(report: ReportInput) -> list[str]:
    """What a unit is, what the intervals cover, which tests were made, and what they were corrected for."""
    seeds = seed_counts(report)
    if conditional_on_generator(report):
        unit = (f"A unit is a data seed ({seeds['data']}); all generated text comes from one generator, so every "
                "interval is conditional on it and says nothing about another one.")
    else:
        unit = (f"Data seeds ({seeds['data']}) and generation seeds ({seeds['generation']}) are both random effects: "
                "where they are crossed, the error of a mean is that of the two-way layout with Satterthwaite's "
                "degrees of freedom; where arms of a crossing are missing, of the largest part that is whole; where "
                "every data seed brought its own generator, it is a unit. How many more seeds would settle a curve is "
                "counted in the more numerous kind of crossed ones, the other growing in proportion.")
    return [
        f"{unit} Training seeds ({seeds['training']}) are averaged inside a unit.",
        "Bars and brackets are 95 % t intervals of the mean over units. They show how sure a level's own mean is; "
        "whether two levels differ is told by their paired difference, which is much surer.",
        "Differences are paired: the same labelled rows, data seed and training seed with and without generated text. "
        "Their tests are paired t tests, two-sided, and Holm-corrected over the levels of a curve.",
        f"Beside them stands a percentile bootstrap over seeds ({RESAMPLES:,} resamples), which is too narrow for few "
        "seeds.",
        "The column on other test rows holds the same difference with seeds and test rows both as random effects: how "
        "far it may move on another test set of the same kind and size.",
        "An interior optimum is claimed where a level in between beats both the least and the most diverse level: the "
        "larger of the two one-sided p-values, Holm-corrected over the levels in between, is at most "
        f"{ALPHA:g}. Where there is none, this claim is wrong in at most {100 * ALPHA:g} % of studies, for each curve "
        "and as far as differences between seeds are normal; curves are not corrected for one another, so "
        "among many a few may stand out by chance.",
        "That a score keeps rising or falling is said where no level but that end may be the best one, at 95 %.",
        "Changes over generations, and regimes against each other, are corrected (Holm) over the lines of one number; "
        "numbers are not corrected for one another.",
        "The best level's own score is a maximum over levels and therefore a little too good.",
        "Levels are ordered by the dial, not by a measure; the figures place them where they were measured.",
    ]
