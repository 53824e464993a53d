import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import synthetic_report

from divscale.report.results import results_table


def test_one_row_a_metric_and_mix_with_its_measures_and_verdict(tmp_path):
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,))
    table = results_table(report)
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
    table = results_table(synthetic_report.build(full=False, data_seeds=1, labelled=(2,), sizes=(50,)))
    assert table["low"].null_count == table.num_rows
    assert table["score"].null_count == 0


@pytest.mark.parametrize("name", ["method", "design", "labelled"])
def test_keys_are_never_null(name):
    assert results_table(synthetic_report.build(labelled=(2,), sizes=(50,)))[name].null_count == 0
