"""Neighbours and repeats of the rows that a report shows."""

import numpy as np
import pyarrow as pa
import pytest

from divscale.schema import SAMPLES
from divscale.stages import examples as shown
from divscale.stages.examples import examples, repeats, shown_rows


def table(texts, labels=None, answers=None):
    return pa.Table.from_pylist([{"id": f"{i}", "text": text, "label": labels[i] if labels else None,
                                  "answers": answers[i] if answers else None} for i, text in enumerate(texts)], SAMPLES)


def at(*degrees):
    angle_N = np.deg2rad(degrees)
    return np.stack([np.cos(angle_N), np.sin(angle_N)], 1).astype(np.float32) * 3  # no unit rows


def test_every_row_has_its_nearest_real_row_and_its_nearest_other_row_with_their_cosine():
    own, real = table(["a", "b", "c"], ["x", "y", "y"]), table(["r", "s"], ["x", "y"])
    found = examples(own, at(0, 10, 90), [True, False, True], real, at(30, 60))
    assert [(e.text, e.label, e.kept) for e in found] == [("a", "x", True), ("b", "y", False), ("c", "y", True)]
    assert [(e.real.text, e.real.label) for e in found] == [("r", "x"), ("r", "x"), ("s", "y")]
    assert [e.generated.text for e in found] == ["b", "a", "b"]
    assert found[0].real.cosine == pytest.approx(np.cos(np.deg2rad(30)), abs=1e-6)
    assert found[2].generated.cosine == pytest.approx(np.cos(np.deg2rad(80)), abs=1e-6)


def test_a_row_is_not_its_own_neighbour_but_a_copy_of_it_is_and_blocks_change_nothing(monkeypatch):
    x_ND = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    x_ND[30] = x_ND[0]
    own = table([f"t{i}" for i in range(40)])
    whole = examples(own, x_ND, None, own, x_ND)
    assert whole[0].generated.text == "t30" and whole[0].generated.cosine == pytest.approx(1.0, abs=1e-6)
    unit = x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)
    for e, row in zip(whole, shown_rows(40), strict=True):
        others = unit @ unit[row]
        others[row] = -2
        assert e.generated.cosine == pytest.approx(others.max(), abs=1e-5)
    monkeypatch.setattr(shown, "_BLOCK", 7)
    blocked = examples(own, x_ND, None, own, x_ND)
    assert [e.generated.text for e in blocked] == [e.generated.text for e in whole]


def test_a_lone_row_has_no_neighbour_in_its_set_and_none_at_all_without_real_rows():
    (only,) = examples(table(["a"]), at(0), None, table([]), at())
    assert only.generated is None and only.real is None and only.kept is None and only.label == ""


def test_rows_are_spread_evenly_and_long_texts_are_cut_and_answers_stand_behind_their_question():
    assert shown_rows(5).tolist() == [0, 1, 2, 3, 4]
    assert len(shown_rows(1200)) == 12 and shown_rows(1200)[-1] == 1100 and len(shown_rows(13)) <= 12
    (long,) = examples(table(["x" * 900]), at(0), None, table([]), at())
    assert len(long.text) == 501 and long.text.endswith("\N{HORIZONTAL ELLIPSIS}")
    (asked,) = examples(table(["Who?"], answers=[["a fox"]]), at(0), None, table([]), at())
    assert asked.text == "Who? -> a fox"


def test_repeats_count_the_same_text_and_nearly_the_same_vector_and_pass_over_rows_without_a_direction():
    x_ND = np.concatenate([at(0, 0, 5, 60), np.zeros((1, 2), np.float32)])
    found = repeats(table(["A b", "a  B", "near", "far", "nothing"]), x_ND)
    assert (found.rows, found.compared, found.exact, found.near, found.cosine) == (5, 5, 1, 2, 0.95)
