from dataclasses import replace

import pytest
import synthetic_report

from divscale.report.naming import family, measure_name, mix_name, number, p_value, rows_name, signed
from divscale.report.statistics.curves import curves


@pytest.mark.parametrize(("metric", "value", "shown"), [
    ("accuracy", 0.6134, "61.3"), ("loss", 1.2345, "1.23"), ("vendi", 103.4, "103"), ("mmd2", 0.00512, "0.00512"),
    ("vendi", 27.32, "27.3"), ("loss", None, "\N{EN DASH}"), ("loss", float("nan"), "\N{EN DASH}"),
])
def test_numbers_have_the_digits_their_kind_deserves(metric, value, shown):
    assert number(metric, value) == shown


def test_differences_carry_a_sign_unless_they_round_to_nothing():
    assert signed("accuracy", 0.031) == "+3.1"
    assert signed("accuracy", -0.031) == "\N{MINUS SIGN}3.1"
    assert signed("accuracy", -0.0001) == "0.0"


def test_p_values_do_not_pretend_to_more_digits_than_they_have():
    assert [p_value(p) for p in (0.0004, 0.0123, 0.34, None)] == ["< .001", "0.012", "0.34", "\N{EN DASH}"]


def test_measures_have_names_and_families_and_unknown_ones_keep_theirs():
    assert measure_name("dcscore@0.05") == "DCScore, τ = 0.05, ÷ n"
    assert (measure_name("g_vendi"), family("g_vendi")) == ("G-Vendi, gradients of a proxy model", "Diversity")
    assert {family(name) for name in ("reference_loss", "reference_perplexity")} == {"Shift from real data"}
    assert (measure_name("topic_entropy"), family("topic_entropy")) == ("topic entropy", "Other")


def test_a_mix_of_a_constant_total_is_called_by_the_rows_it_holds():
    report = synthetic_report.constant_total()
    found = {c.key.generated: c for c in curves(report, synthetic_report.LEVELS, "accuracy")}
    assert mix_name(report, found[5]) == "15 real and 5 generated rows a label"
    assert mix_name(report, found[20]) == "20 generated rows a label and no real ones"
    rounded = replace(found[15], key=found[15].key._replace(labelled=2, generated=1.5))
    assert mix_name(report, rounded) == "0.5 real and 1.5 generated rows a label"


def test_rows_are_counted_as_the_task_counts_them():
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,))
    assert rows_name(report, 1) == "1 real row a label"
    assert rows_name(type(report)(**{**report.__dict__, "task": "qa"}), 200) == "200 real rows"
