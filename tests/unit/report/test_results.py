from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import synthetic_report

from divscale.report.analysis import Analysis
from divscale.report.results import number_tables, results_table


def test_one_row_a_metric_and_mix_with_its_measures_and_verdict(tmp_path):
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,))
    table = results_table(Analysis(report))
    # 6 levels x 2 filters, real-only and judge-labelled, for each of three metrics
    assert table.num_rows == 3 * (6 * 2 + 2)
    row = table.filter(pc.and_(pc.and_(pc.equal(table["metric"], "accuracy"), pc.equal(table["filter"], "none")),
                               pc.equal(table["level"], 0.8))).to_pylist()[0]
    assert row["vendi"] == 91
    assert row["verdict"] == "interior_optimum"
    assert row["low"] < row["score"] < row["high"]
    pq.write_table(table, tmp_path / "results.parquet")
    assert pq.read_table(tmp_path / "results.parquet").equals(table)


def test_what_one_seed_cannot_tell_is_null():
    table = results_table(Analysis(synthetic_report.build(full=False, data_seeds=1, labelled=(2,), sizes=(50,))))
    assert table["low"].null_count == table.num_rows
    assert table["score"].null_count == 0


@pytest.mark.parametrize("name", ["method", "design", "labelled"])
def test_keys_are_never_null(name):
    assert results_table(Analysis(synthetic_report.build(labelled=(2,), sizes=(50,))))[name].null_count == 0


def test_every_table_of_numbers_is_there_and_says_what_the_page_says():
    report = synthetic_report.build(full=False, labelled=(2, 5), sizes=(20, 50))
    found = Analysis(report)
    tables = number_tables(found)
    assert list(tables) == ["arms", "points", "verdicts", "sets", "mixes", "relations"]
    verdicts = [row for row in tables["verdicts"].to_pylist() if row["metric"] == "accuracy"]
    assert len(verdicts) == 2 * 2 * 2  # labelled counts x amounts x filters
    assert verdicts[0]["best_level"] == found.lead.curves[0].verdict.best
    assert verdicts[0]["over_least_low"] < verdicts[0]["over_least"] < verdicts[0]["over_least_high"]
    assert {row["kind"] for row in tables["relations"].to_pylist()} == {"trust", "model", "pathway", "held", "amount"}


def test_scores_on_another_test_set_are_rows_of_their_own_and_change_no_other_row():
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",))
    names = report.arms.column_names
    far = report.arms.set_column(names.index("test"), "test", pa.array(["far"] * report.arms.num_rows))
    far = far.set_column(names.index("accuracy"), "accuracy", pc.multiply(far["accuracy"], 0.1))
    alone = results_table(Analysis(report))
    both = results_table(Analysis(replace(report, arms=pa.concat_tables([report.arms, far]))))
    assert both.filter(pc.equal(both["test"], "test")).equals(alone)
    assert both.num_rows == 2 * alone.num_rows
