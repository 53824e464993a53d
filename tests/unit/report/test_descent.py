from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import synthetic_report

from divscale.report.analysis import Analysis
from divscale.report.descent import descent_section, told
from divscale.report.model import LINES
from divscale.report.page import render
from divscale.report.statistics.descent import contrasts, descents


def lines(levels=(0.8,), seeds=3, rise=0.3):
    """Loss rises under replace and stays under accumulate; diversity falls under replace."""
    rng, of_vendi = np.random.default_rng(0), np.random.default_rng(1)
    rows, owns = [], rng.normal(0, 0.2, seeds)
    for regime, slope in (("replace", rise), ("accumulate", 0.01)):
        for level in levels:
            for seed in range(seeds):
                own = owns[seed]
                for g in range(5):
                    known = {"regime": regime, "level": level, "generation": g, "generation_seed": seed}
                    rows.append({**known, "metric": "real_loss", "value": 2 + own + slope * g + rng.normal(0, 0.02)})
                    rows.append({**known, "metric": "vendi", "value": 50 - 40 * slope * g + own + of_vendi.normal(0, 0.05)})
                    rows += [{**known, "data_seed": d, "metric": "accuracy", "value": 0.6 - 0.2 * slope * g + 0.01 * d}
                             for d in range(2) if g]
    return pa.Table.from_pylist(rows, schema=LINES)


def test_the_change_is_paired_by_seed_from_the_first_set_that_was_written():
    found = {(one.line.regime, one.metric): one for one in descents(lines())}
    loss = found["replace", "real_loss"]
    assert loss.generations == (0, 1, 2, 3, 4)
    assert loss.change.mean == pytest.approx(0.9, abs=0.05) and loss.change.p < 0.01 and loss.change.units == 3
    assert found["accumulate", "real_loss"].change.mean == pytest.approx(0.03, abs=0.05)
    assert found["replace", "accuracy"].generations == (1, 2, 3, 4)
    assert found["replace", "accuracy"].means[0].units == 3


def test_regimes_are_compared_in_their_last_generation():
    (found,) = contrasts(lines(), ["real_loss"])
    assert (found.regime, found.against) == ("accumulate", "replace")
    assert found.over.mean == pytest.approx(-1.16, abs=0.4) and found.over.units == 3


def test_the_section_says_who_rises_and_shows_every_number_as_a_figure_and_in_a_table():
    report = replace(synthetic_report.build(), lines=lines(levels=(0.5, 1.0)))
    found = descent_section(report, told(report))
    assert "under replace (temperature 0.5) it rises by 0.9" in found.words
    assert "accumulate stands" in found.words and "below replace" in found.words
    assert found.pictures[0].title == "Loss of the writer on real text" and len(found.pictures) == 3
    assert len(found.numbers.rows) == 4 * (5 + 5 + 4)
    html = render(report)
    assert "Generation after generation" in html and html.count("Loss of the writer on real text") > 5


def test_p_values_are_corrected_over_the_lines_of_a_number():
    table = lines(levels=(0.5, 1.0))
    one_level = pa.Table.from_pylist([row for row in table.to_pylist() if row["level"] == 0.5], schema=LINES)
    alone, both = ({one.line: one.change.p for one in descents(t) if one.metric == "real_loss"} for t in (one_level, table))
    assert alone.keys() < both.keys() and all(both[line] >= alone[line] for line in alone)
    assert any(both[line] > alone[line] for line in alone)


def test_a_study_of_lines_alone_is_answered_by_them():
    report = replace(synthetic_report.build(), lines=lines())
    report = replace(report, arms=report.arms.slice(0, 0))
    asked, loss, rest = Analysis(report).sentences
    assert "over 4 generations of models" in asked and "replace (the last set alone)" in asked and "over 3 units" in asked
    assert "under replace (temperature 0.8) it rises by 0.9" in loss
    assert "Vendi" in rest and "\N{MINUS SIGN}36" in rest and "under replace" in rest


def test_with_several_levels_the_answer_names_them():
    report = replace(synthetic_report.build(), lines=lines(levels=(0.5, 1.0)))
    _, loss, rest = Analysis(replace(report, arms=report.arms.slice(0, 0))).sentences
    assert "In the last generation, at temperature 0.5, accumulate stands" in loss
    assert "under replace (temperature 0.5)" in rest and "under replace (temperature 1)" in rest


def test_one_seed_has_means_and_changes_without_intervals():
    report = replace(synthetic_report.build(), lines=lines(seeds=1))
    found = descent_section(report, told(report))
    assert found.changes.rows and "(p" not in found.words


def test_without_lines_there_is_no_section():
    assert told(synthetic_report.build()) is None


def test_effective_numbers_are_not_said_to_be_divided():
    table = pa.Table.from_pylist([row | {"metric": "dcscore@0.05"} for row in lines().to_pylist()
                                  if row["metric"] == "vendi"], schema=LINES)
    report = replace(synthetic_report.build(), lines=table)
    (shown,) = descent_section(report, told(report)).pictures
    assert shown.title == "DCScore, τ = 0.05"
