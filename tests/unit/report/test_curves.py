from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import synthetic_report
from scipy import stats

from divscale.report.diversity import measured, ordered_levels
from divscale.report.statistics.curves import conditional_on_generator, curves, main_curves, references


def _curves(report, metric="accuracy"):
    return curves(report, ordered_levels(report, measured(report)), metric)


def _arms(report, **where):
    rows = report.arms.to_pylist()
    return {row["data_seed"]: row["accuracy"] for row in rows if all(row[k] == v for k, v in where.items())}


def test_the_difference_to_real_only_is_paired_by_seed():
    report = synthetic_report.build(full=False)
    curve = next(c for c in _curves(report) if (c.key.labelled, c.key.generated, c.key.filter) == (2, 50, "none"))
    point = next(p for p in curve.points if p.level == 0.8)
    with_text = _arms(report, design="add_on", labelled=2, generated=50, filter="none", level=0.8)
    without = _arms(report, design="real_only", labelled=2)
    expected = stats.ttest_rel([with_text[s] for s in range(5)], [without[s] for s in range(5)])
    assert point.over_real is not None
    assert point.over_real.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (point.over_real.low, point.over_real.high) == pytest.approx((interval.low, interval.high))


def test_p_values_are_corrected_over_the_levels_of_a_curve():
    for curve in _curves(synthetic_report.build(full=False)):
        raw = [p.over_real.p for p in curve.points if p.over_real]
        assert min(p.p_holm for p in curve.points) == pytest.approx(min(1.0, len(raw) * min(raw)))


@pytest.mark.parametrize(("shape", "verdict"), [
    ("measured", "interior_optimum"), ("rising", "rising"), ("flat", "unresolved"),
])
def test_the_verdict_with_two_labelled_rows_is_mostly_the_simulated_truth(shape, verdict):
    found = [_curves(synthetic_report.build(shape, full=False, labelled=(2,), sizes=(50,), filters=("none",),
                                            seed=seed))[0].verdict.shape for seed in range(20)]
    assert found.count(verdict) >= stats.binom.ppf(1e-3, 20, 0.9)


def test_a_loss_has_the_same_verdict_as_the_accuracy_it_mirrors():
    report = synthetic_report.build(full=False, labelled=(2,))
    shapes = [[c.verdict.shape for c in _curves(report, metric)] for metric in ("accuracy", "loss")]
    assert shapes[0] == shapes[1]


def test_several_generators_are_paired_with_the_one_real_only_arm_and_lift_the_condition():
    one, three = (synthetic_report.build(full=False, labelled=(2,), generation_seeds=n) for n in (1, 3))
    assert conditional_on_generator(one)
    assert not conditional_on_generator(three)
    for curve in _curves(three):
        assert all(p.over_real is not None for p in curve.points)


@pytest.mark.parametrize("lost_score", [None, float("nan"), float("inf")])
def test_arms_that_failed_are_left_out_and_the_rest_still_pairs(lost_score):
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",))
    lost = pc.and_(pc.equal(report.arms["level"], 0.8), pc.equal(report.arms["data_seed"], 3))
    column = pc.if_else(pc.fill_null(lost, False), lost_score, report.arms["accuracy"])
    i = report.arms.column_names.index("accuracy")
    arms = report.arms.set_column(i, "accuracy", column)
    curve = _curves(type(report)(**{**report.__dict__, "arms": arms}))[0]
    assert [p.score.units for p in curve.points] == [5, 5, 4, 5, 5, 5]
    assert curve.verdict.ends is not None and curve.verdict.ends.units == 4


def test_the_main_mix_is_the_largest_that_every_labelled_count_has_with_both_filters():
    main = main_curves(_curves(synthetic_report.build()), "probe")
    assert [(c.key.labelled, c.key.design, c.key.generated, c.key.filter) for c in main] == [
        (k, "add_on", 50, f) for k in (2, 5, 10, 20) for f in ("none", "label_agreement")]


def test_generated_rows_alone_are_the_main_mix_where_a_method_has_no_other():
    main = main_curves(_curves(synthetic_report.alone()), "probe")
    assert [(c.key.design, c.key.labelled, c.key.generated) for c in main] == [("generated_only", 0, 50)]
    beside = synthetic_report.build(full=False, filters=("none",))
    both = pa.concat_tables([beside.arms, synthetic_report.alone().arms])
    shown = main_curves(_curves(replace(beside, arms=both)), "probe")
    assert {c.key.design for c in shown} == {"add_on"}


def test_of_a_constant_total_the_main_mix_has_real_rows():
    main = main_curves(_curves(synthetic_report.constant_total()), "probe")
    assert [(c.key.labelled, c.key.generated) for c in main] == [(20, 15)]
    assert [c.key.generated for c in main_curves(_curves(synthetic_report.constant_total((1.0,))), "probe")] == [20]


def test_the_judge_labelled_control_is_compared_with_real_only_too():
    found = references(synthetic_report.build(full=False, labelled=(2,)), "accuracy")
    control = next(p for key, p in found.items() if key.design == "judge_labelled")
    real = next(p for key, p in found.items() if key.design == "real_only")
    assert real.over_real is None
    assert control.over_real is not None
    assert control.over_real.mean == pytest.approx(control.score.mean - real.score.mean)


def test_a_study_without_any_arm_has_no_curves():
    report = synthetic_report.build(full=False)
    empty = type(report)(**{**report.__dict__, "arms": pa.Table.from_pylist([], report.arms.schema)})
    assert _curves(empty) == []


def test_with_scores_by_example_a_difference_says_how_far_it_may_move_on_other_test_rows():
    plain = synthetic_report.build()
    rng = np.random.default_rng(0)
    hard_E = rng.normal(size=300)
    by_example = {}
    for row in plain.arms.to_pylist():
        cut = np.quantile(hard_E, row["accuracy"])
        by_example[row["arm"]] = (hard_E <= cut).astype(np.float32)
    points = [p for c in _curves(replace(plain, by_example=by_example)) for p in c.points if p.over_real is not None]
    assert points and all(p.over_both is not None for p in points)
    for p in points:
        assert p.over_both.mean == pytest.approx(p.over_real.mean, abs=0.01)
        seeds_alone = p.over_real.bootstrap_high - p.over_real.bootstrap_low
        assert p.over_both.bootstrap_high - p.over_both.bootstrap_low > 0.95 * seeds_alone
    assert all(p.over_both is None for c in _curves(plain) for p in c.points)
