from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import synthetic_report

from divscale.report.descent import descent_section, told
from divscale.report.model import LINES
from divscale.report.page import render
from divscale.report.statistics.descent import contrasts, descents


def lines(levels=(0.8,), seeds=3, rise=0.3):
    """Loss rises under replace and stays under accumulate; diversity falls under replace."""
    rng = np.random.default_rng(0)
    rows, owns = [], rng.normal(0, 0.2, seeds)
    for regime, slope in (("replace", rise), ("accumulate", 0.01)):
        for level in levels:
            for seed in range(seeds):
                own = owns[seed]
                for g in range(5):
                    known = {"regime": regime, "level": level, "generation": g, "generation_seed": seed}
                    rows.append({**known, "metric": "real_loss", "value": 2 + own + slope * g + rng.normal(0, 0.02)})
                    rows.append({**known, "metric": "vendi", "value": 50 - 40 * slope * g + own})
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


def test_one_seed_has_means_and_changes_without_intervals():
    report = replace(synthetic_report.build(), lines=lines(seeds=1))
    found = descent_section(report, told(report))
    assert found.changes.rows and "(p" not in found.words


def test_without_lines_there_is_no_section():
    assert told(synthetic_report.build()) is None
