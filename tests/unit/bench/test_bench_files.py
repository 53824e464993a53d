"""Figures of a benchmark, its file, and two files side by side."""

import pytest

from divscale.bench.floors import Floor
from divscale.bench.formulas import Least
from divscale.bench.result import Asked, Bench, at_best, figures, machine, read, with_efficiency
from divscale.bench.setting import Measured
from divscale.bench.tables import compared, shown
from divscale.cli import main
from divscale.errors import ConfigError

FLOOR = Floor("core", None, (100.0, 120.0, 110.0), {"float32": (1000.0, 1100.0, 900.0)})


def bench(*rates_of_one_and_two, size="tiny", parts=("training",), scaling="weak", over=(1, 2), names=("1 core", "1 core")):
    found = []
    for count, rates in zip(over, rates_of_one_and_two, strict=True):
        measured = Measured("trained", "tokens/s", tuple(rates), (1.0,) * len(rates), 2.0, Least(0.0, 500.0, "float32"))
        found += figures("training", count, [measured], at_best(count, [[FLOOR] * count]))
    return Bench(date="2026-11-28", command="divscale bench", asked=Asked(parts=parts, size=size, scaling=scaling, over=over),
                 machine=machine(names, 2, 1 if "core" in names[0] else None, None), versions={"torch": "2"}, load_before=0.1, load_after=0.2,
                 at_best=(at_best(1, [[FLOOR]]),), figures=with_efficiency(found))


def test_what_devices_do_side_by_side_is_added_up_and_repeats_before_and_after_stand_together():
    best = at_best(2, [[FLOOR, FLOOR], [FLOOR, FLOOR]])
    assert best.copies == (200.0, 240.0, 220.0) * 2 and best.matmuls["float32"] == (2000.0, 2200.0, 1800.0) * 2


def test_a_figure_has_its_share_of_the_floor_and_its_efficiency():
    one, two = bench([10, 11, 12], [15, 16.5, 18]).figures
    assert (one.share_of_floor, one.bound, one.efficiency) == (0.5, "matmul", None)
    assert (two.share_of_floor, two.efficiency) == (0.25, 0.75)


def test_the_file_reads_back_as_it_was_and_the_table_shows_every_figure(tmp_path):
    found = bench([10, 11, 12], [15, 16.5, 18])
    (tmp_path / "a.json").write_text(found.model_dump_json(), "utf-8")
    assert read(str(tmp_path / "a.json")) == found
    lines = shown(found).splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["training", "trained", "tokens/s", "1", "11", "10", "to", "12", "\N{EN DASH}", "50.0%", "matmul", "2.0"],
        ["training", "trained", "tokens/s", "2", "16.5", "15", "to", "18", "0.75", "25.0%", "matmul", "2.0"]]
    assert "has not run on a GPU" not in "\n".join(lines)
    assert "has not run on a GPU" in shown(bench([1], [2], names=("NVIDIA H200",)))


def test_two_files_are_compared_figure_by_figure():
    rows = compared(bench([10, 11, 12], [15, 16, 17]), bench([20, 22, 24], [14, 15, 16])).splitlines()
    assert [row.split()[4:] for row in rows if row.startswith("training")] == [
        ["11", "22", "2.000", "faster"], ["16", "15", "0.938", "within", "the", "spread"]]


@pytest.mark.parametrize(("other", "said"), [
    ({"size": "small"}, "size of the first is tiny, of the second small"),
    ({"parts": ("training", "pipeline")}, "parts of the first is training, of the second training, pipeline"),
    ({"scaling": "strong"}, "scaling of the first is weak, of the second strong"),
    ({"over": (1, 4)}, "over of the first is 1, 2, of the second 1, 4")])
def test_files_of_different_work_are_not_compared(other, said):
    with pytest.raises(ConfigError, match=said):
        compared(bench([1, 2], [1, 2]), bench([1, 2], [1, 2], **other))


@pytest.mark.parametrize(("words", "said"), [
    (["--compare", "nowhere.json", "b.json"], "--compare: nowhere.json cannot be read (No such file or directory)"),
    (["--compare", "b.json", "b.json"], "--compare: b.json holds no benchmark of this version"),
    (["training", "--compare", "a", "b"], "nothing is measured, so training has no place beside it"),
    (["--over", "1", "--compare", "a", "b"], "nothing is measured, so --over has no place beside it")])
def test_what_cannot_be_compared_is_said_in_one_paragraph(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.json").write_text('{"format": "another"}', "utf-8")
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
