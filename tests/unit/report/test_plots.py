import re
from xml.etree import ElementTree

import pytest
import synthetic_report

from divscale.report.diversity import choose_axis, measured
from divscale.report.plots import style
from divscale.report.plots.dose import dose_response, shared_limits
from divscale.report.plots.levels import measure_over_levels
from divscale.report.plots.mix import groups, mix_curves
from divscale.report.statistics.curves import curves, main_curves

LEVELS = list(synthetic_report.LEVELS)


@pytest.fixture(scope="module")
def drawn():
    report = synthetic_report.build(full=False)
    sets = measured(report)
    found = curves(report, LEVELS, "accuracy")
    panel = [c for c in main_curves(found, "probe") if c.key.labelled == 2]

    def draw():
        return {
            "dose": dose_response(panel, report=report, sets=sets, axis=choose_axis(report, sets),
                                  y_limits=shared_limits(panel), judge_line=0.8),
            "mix": mix_curves(groups(found)[0], LEVELS, y_limits=(20, 90), dial="temperature"),
            "level": measure_over_levels("vendi", LEVELS, sets, "temperature"),
        }
    return draw


def test_the_same_figure_is_the_same_bytes_without_a_date(drawn):
    first = drawn()
    assert first == drawn()
    assert all("<dc:date>" not in svg for svg in first.values())


def test_every_figure_is_svg_with_readable_text_on_a_phone(drawn):
    for name, svg in drawn().items():
        root = ElementTree.fromstring(svg.encode())
        width = float(root.attrib["width"].removesuffix("pt"))
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
        assert sizes, name
        assert min(sizes) * 295 / width >= 8.9, name  # 295 px: a figure's width on a 360 px screen


def test_points_are_named_by_level_and_axes_by_what_they_are(drawn):
    texts = re.findall(r">([^<>]+)</text>", drawn()["dose"])
    assert {"0.2", "0.5", "0.8", "1", "1.3", "1.7"} <= set(texts)
    assert any("Vendi score" in text for text in texts)
    assert any("Accuracy" in text for text in texts)


def test_point_names_do_not_cover_each_other():
    figure, axes = style.figure()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    figure.draw_without_rendering()
    style.place_labels(axes, [5, 5.1, 5.2], [5, 5.1, 5.0], ["0.8", "1", "1.3"], style.INK)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1:])


def test_point_names_stand_beside_bars_and_not_on_them():
    figure, axes = style.figure()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    figure.draw_without_rendering()
    style.place_labels(axes, [2, 5], [5, 5], ["0.2", "0.8"], style.INK, [(2, 8), (float("nan"), float("nan"))])
    figure.draw_without_rendering()
    beside, above = (text.get_window_extent() for text in axes.texts)
    bar = axes.transData.transform((2, 5))[0]
    assert beside.x0 > bar or beside.x1 < bar
    free = axes.transData.transform((5, 5))[0]
    assert above.x0 < free < above.x1


def test_a_point_without_a_place_is_no_obstacle():
    _, axes = style.figure()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    style.place_labels(axes, [2, float("nan"), 5], [5, 5, 5], ["0.2", "0.5", "0.8"], style.INK)
    assert [text.get_text() for text in axes.texts] == ["0.2", "0.5", "0.8"]
