"""Simulated arms with a known make-up: the models find it again."""

import numpy as np
import pytest
import synthetic_report

from divscale.report.diversity import measured, ordered_levels
from divscale.report.relations import find_relations, relations
from divscale.report.statistics.intervals import redrawn
from divscale.report.statistics.metric_trust import metric_trust
from divscale.report.statistics.mixed_model import mixed_model, rows_of
from divscale.report.statistics.pathways import pathways

PLACES = np.linspace(0, 1, 6)
CORRECT = (0.97, 0.93, 0.8, 0.64, 0.37, 0.19)
SHIFT = (0.05, 0.02, 0.005, 0.004, 0.018, 0.042)


def arms(score, units=8, labelled=(2, 20), noise=0.5, between=3.0, seed=0, generators=None):
    """Rows as `rows_of` gives them; `score` is a function of level, correctness, shift and labelled.

    Units are draws of everything, or data seeds crossed with `generators`, whose spread is that of the units.
    """
    rng = np.random.default_rng(seed)
    rows = []
    of_generator = rng.normal(0, between, generators or 0)
    for unit in ((g, d) for d in range(units) for g in range(generators)) if generators else ((d, d) for d in range(units)):
        own = of_generator[unit[0]] if generators else rng.normal(0, between)
        for k in labelled:
            for level, correct, shift in zip(PLACES, CORRECT + rng.normal(0, 0.02, 6), SHIFT, strict=True):
                rows.append({
                    "score": score(level, correct, shift, k) + own + rng.normal(0, noise), "level": float(level),
                    "labelled": k, "size": float(np.log(k)), "share": 20 / (20 + k), "filter": "none", "method": "probe",
                    "model": "m", "mix": ("m", "add_on", k, 20), "unit": unit, "label_correct": correct, "mmd2": shift,
                    "vendi": level + rng.normal(0, 0.01)})
    return rows


def test_the_mixed_model_finds_the_effects_again_and_the_spread_of_the_seeds():
    rows = arms(lambda level, correct, shift, k: 4 * level - 6 * level**2 + 2 * np.log(k))
    found = mixed_model(rows, ["size", "share", "label_correct"])
    terms = {term.name: term for term in found.terms}
    level = np.array([row["level"] for row in rows])
    size_effect = 2 * np.std([row["size"] for row in rows])
    assert terms["size"].low < size_effect < terms["size"].high and terms["size"].p < 1e-6
    assert terms["level squared"].effect < 0 and terms["level squared"].p < 1e-3
    assert terms["label_correct"].low < 0 < terms["label_correct"].high
    assert found.left_out == ("share",) or "share" in found.left_out  # it repeats size here
    assert found.between == {"units": pytest.approx(3.0, rel=0.6)} and found.within == pytest.approx(0.5, rel=0.15)
    assert (found.arms, found.units) == (len(level), 8)


def test_seeds_that_make_no_difference_leave_an_ordinary_regression():
    rows = arms(lambda level, *_: level, between=0.0, noise=1e-3)
    found = mixed_model(rows, ["size"])
    assert found.between["units"] < 1e-3 and {t.name for t in found.terms} >= {"level", "size"}


def test_crossed_seeds_have_a_spread_each_and_a_term_that_varies_between_generators_knows_how_few_they_are():
    rows = arms(lambda level, correct, shift, k: 4 * level - 6 * level**2, units=5, generators=4, noise=0.3, seed=3)
    draws = np.random.default_rng(1).normal(size=4)
    for row in rows:
        row["of_generator"] = draws[row["unit"][0]]     # no effect, but constant within a generator
    found = mixed_model(rows, ["size", "of_generator"])
    assert 1.0 < found.between["generation seeds"] < 6.0 and found.between["data seeds"] < 0.5
    assert found.within == pytest.approx(0.3, rel=0.15) and found.units == 20
    terms = {term.name: term for term in found.terms}
    assert terms["level squared"].effect < 0 and terms["level squared"].p < 1e-3
    as_if_apart = mixed_model([row | {"unit": (i, i)} for i, row in enumerate(rows)], ["size", "of_generator"])
    apart = {term.name: term for term in as_if_apart.terms}["of_generator"]
    width = terms["of_generator"].high - terms["of_generator"].low
    assert width > 3 * (apart.high - apart.low)


def test_intervals_redraw_generators_where_seeds_are_crossed():
    units = [(g, d) for d in range(4) for g in (0, 1)]
    drawn = redrawn(units, 500)
    assert drawn.shape == (500, 8) and np.allclose(drawn.sum(1), 8)
    assert (drawn.reshape(500, 4, 2).sum(1) == 0).any(), "some resamples hold one generator alone"
    assert np.allclose(redrawn([(d, d) for d in range(4)], 500).sum(1), 4)
    rows = arms(lambda level, *_: -10 * level, units=4, generators=2)
    assert pathways(rows, ["label_correct"], PLACES[0], PLACES[5]).units == 8
    (found,) = metric_trust(rows, ["vendi"], None)
    assert found.overall.low < found.overall.rho < found.overall.high


def test_generators_of_one_draw_of_rows_are_units():
    rows = arms(lambda level, *_: level, units=1, generators=6)
    assert mixed_model(rows, ["size"]).between.keys() == {"units"}


@pytest.mark.parametrize("seed", range(4))
def test_a_spread_of_nought_leaves_the_other_one_as_it_is(seed):
    rows = arms(lambda level, *_: level, units=5, generators=4, between=3.0, seed=seed)
    found = mixed_model(rows, ["size"])  # data seeds make no difference
    assert found.between["generation seeds"] > 0.8 and found.between["data seeds"] < 0.4


def test_one_unit_or_too_few_arms_give_no_model():
    assert mixed_model(arms(lambda level, *_: level, units=1), ["size"]) is None
    assert mixed_model(arms(lambda level, *_: level, units=2, labelled=(2,))[:5], ["size"]) is None


def test_a_fall_that_comes_from_wrong_labels_goes_through_correctness():
    found = pathways(arms(lambda level, correct, shift, k: 20 * correct), ["label_correct", "mmd2"], PLACES[2], PLACES[5])
    total, (labels, shift, rest) = found.total, found.parts
    assert total.change == pytest.approx(20 * (CORRECT[5] - CORRECT[2]), abs=1.5)
    assert labels.change + shift.change + rest.change == pytest.approx(total.change)
    assert labels.low < total.change < labels.high and labels.high < -5
    assert shift.low < 0 < shift.high or abs(shift.change) < 1.0


def test_a_fall_that_comes_from_diversity_itself_is_left():
    found = pathways(arms(lambda level, *_: -10 * level, noise=0.2), ["label_correct", "mmd2"], PLACES[0], PLACES[5])
    assert found.parts[-1].change == pytest.approx(-10, abs=2.5)
    assert found.parts[0].low < 0 < found.parts[0].high


def test_mixes_that_lack_one_of_the_levels_do_not_pass_for_a_change_of_level():
    rows = arms(lambda level, *_: 0.0, noise=0.1)
    few = [row | {"score": row["score"] + 15, "mix": ("m", "constant_total", 20, 5)} for row in rows
           if row["level"] in (PLACES[0], PLACES[2], PLACES[4])]
    found = pathways([*rows, *few], ["label_correct", "mmd2"], PLACES[2], PLACES[5])
    assert abs(found.total.change) < 0.2 and all(abs(part.change) < 1 for part in found.parts)
    assert found.mixes == (("m", "add_on", 2, 20), ("m", "add_on", 20, 20))


def test_what_sets_mixes_apart_is_in_no_part_of_a_change_that_they_share():
    rows = arms(lambda level, correct, shift, k: 20 * correct, noise=0.1)
    far = [row | {"score": row["score"] + 50, "mix": ("m", "constant_total", 20, 5)} for row in rows
           if row["level"] != PLACES[1]]
    found = pathways([*rows, *far], ["label_correct", "mmd2"], PLACES[2], PLACES[5])
    assert found.parts[0].change == pytest.approx(found.total.change, abs=1) and len(found.mixes) == 3


def test_few_levels_cannot_tell_a_mediator_from_the_level():
    rows = [row for row in arms(lambda level, *_: level) if row["level"] in PLACES[:4]]
    assert pathways(rows, ["label_correct", "mmd2"], PLACES[0], PLACES[3]) is None


def test_a_measure_that_orders_arms_as_the_score_does_is_trusted_within_sizes_whatever_size_does():
    rows = arms(lambda level, correct, shift, k: 10 * level - 3 * k, noise=0.1, between=0.0)
    vendi, shift = (next(t for t in metric_trust(rows, ["vendi", "mmd2"], "mmd2") if t.measure == name)
                    for name in ("vendi", "mmd2"))
    assert vendi.within_size.rho > 0.97 and vendi.within_size.low > 0.9
    assert abs(vendi.overall.rho) < vendi.within_size.rho
    assert shift.beside_shift is None


def test_what_goes_with_the_score_through_shift_alone_is_not_left_beside_it():
    rng = np.random.default_rng(1)
    rows = arms(lambda level, correct, shift, k: -500 * shift, noise=0.1, between=0.0)
    for row in rows:
        row["follower"] = -row["mmd2"] + rng.normal(0, 0.02)
    (found,) = metric_trust(rows, ["follower"], "mmd2")
    assert found.within_size.rho > 0.5 and abs(found.beside_shift.rho) < 0.35


def test_the_correlation_over_all_arms_is_spearmans():
    from scipy.stats import spearmanr

    rows = arms(lambda level, correct, shift, k: 5 * correct)
    (found,) = metric_trust(rows, ["vendi"], None)
    assert found.overall.rho == pytest.approx(spearmanr([r["score"] for r in rows], [r["vendi"] for r in rows]).statistic)
    assert found.overall.low < found.overall.rho < found.overall.high


def test_a_report_of_a_measured_study_has_all_three_tables_and_a_tiny_one_none():
    report = synthetic_report.build()
    levels = ordered_levels(report, measured(report))
    found = relations(report, levels, find_relations(report, levels, "probe", 0.8))
    assert found.model and found.parts and found.trust
    assert [row[0] for row in found.parts.rows] == [
        "All of it", "Through labels right", "Through MMD²", "Diversity and the rest"]
    assert "trained on at both: added on top (12) and constant total (4); brackets" in found.parts_note
    assert len(rows_of(report, "accuracy", levels)) > 100
    tiny = synthetic_report.build(data_seeds=1)
    assert find_relations(tiny, levels, "probe", 0.8).model is None
