import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.data.read import RawRows
from divscale.data.validate import validate
from divscale.errors import ConfigError, DataError
from divscale.schema import REJECTED, SAMPLES


def raw(rows):
    names = dict.fromkeys(name for row in rows for name in row)
    return RawRows("x.jsonl", {name: [row.get(name) for row in rows] for name in names}, len(rows))


GOOD = {"id": "g", "text": "fine", "label": "l", "context": "C.", "answers": ["A"]}


@pytest.mark.parametrize(("bad", "task", "reason"), [
    ({"text": ""}, "classification", "empty text"),
    ({"text": " \n"}, "classification", "empty text"),
    ({"text": None}, "text", "empty text"),
    ({"text": 5}, "classification", "text is not a string (int)"),
    ({"label": None}, "classification", "missing label"),
    ({"label": 1.5}, "classification", "label is not a string (float)"),
    ({"id": "g"}, "classification", "duplicate id"),
    ({"context": ""}, "qa", "missing context"),
    ({"answers": None}, "qa", "missing answers"),
    ({"answers": []}, "qa", "missing answers"),
    ({"answers": [" "]}, "qa", "missing answers"),
    ({"answers": [3]}, "qa", "answers is neither a string nor a list of strings"),
    ({"context": ["a"]}, "qa", "context is not a string (list)"),
    ({"text": "half \ud83d"}, "text", "half a surrogate pair in the text, which is no Unicode"),
    ({"id": "\ud83d"}, "text", "half a surrogate pair in the id, which is no Unicode"),
    ({"answers": ["\ud83d"]}, "qa", "half a surrogate pair in the answers, which is no Unicode"),
])
def test_an_invalid_row_is_kept_with_its_reason(bad, task, reason):
    result = validate(raw([GOOD, {**GOOD, "id": "b", **bad}]), task, max_rejected_share=0.5)
    assert result.samples["id"].to_pylist() == ["g"]
    assert result.rejected["reason"].to_pylist() == [reason]
    kept = json.loads(result.rejected["row"][0].as_py())
    assert all(kept[name] == value for name, value in bad.items())
    assert result.samples.schema == SAMPLES
    assert result.rejected.schema == REJECTED


def test_what_a_task_does_not_need_may_be_missing():
    assert validate(raw([{"text": "a"}]), "text").samples.num_rows == 1
    asked = validate(raw([{"text": "a", "context": "c", "answers": "one"}]), "qa").samples
    assert asked["answers"].to_pylist() == [["one"]]


def test_rows_without_ids_get_stable_distinct_ones_and_integers_become_strings():
    rows = [{"text": "a", "label": 3}, {"text": "a", "label": 3}, {"text": "b", "label": 4}]
    first, again = validate(raw(rows), "classification").samples, validate(raw(rows), "classification").samples
    assert len(set(first["id"].to_pylist())) == 3
    assert first.equals(again)
    assert first["label"].to_pylist() == ["3", "3", "4"]
    assert validate(raw([{**GOOD, "id": 17}]), "qa").samples["id"].to_pylist() == ["17"]


def test_labels_not_kept_are_filtered_not_rejected():
    rows = raw([{"text": str(i), "label": label} for i, label in enumerate("abcab")])
    listed = validate(rows, "classification", labels=("c", "a"))
    assert listed.samples["label"].to_pylist() == ["a", "c", "a"]
    assert (listed.filtered, listed.rejected.num_rows, listed.rows_in) == (2, 0, 5)
    assert set(validate(rows, "classification", labels=2).samples["label"].to_pylist()) == {"a", "b"}


def test_a_label_that_is_nowhere_is_an_error_with_the_nearest():
    rows = raw([{"text": "t", "label": "card_arrival"}])
    with pytest.raises(ConfigError, match=r"'card_arival' is no label of .* Did you mean 'card_arrival'\?"):
        validate(rows, "classification", labels=("card_arival",))
    with pytest.raises(ConfigError, match=r"20 labels are asked for and .* has 1"):
        validate(rows, "classification", labels=20)


def test_a_test_label_that_training_data_lack_is_rejected():
    rows = raw([{"text": "t", "label": "a"}, {"text": "u", "label": "z"}])
    result = validate(rows, "classification", known={"a"}, max_rejected_share=0.5)
    assert result.rejected["reason"].to_pylist() == ["label not in the training data ('z')"]


def test_too_many_invalid_rows_stop_with_counts_examples_and_the_way_out():
    rows = raw([{"id": str(i), "text": "" if i < 4 else "t", "label": "l"} for i in range(9)] + [
        {"id": "8", "text": "t", "label": "l"}])
    with pytest.raises(DataError) as raised:
        validate(rows, "classification", max_rejected_share=0.3)
    text = str(raised.value)
    assert "5 of 10 rows are invalid (50.00%; data.max_rejected_share allows 30.00%)" in text
    assert "4 x empty text (row 0, 1, 2, ...)" in text
    assert "1 x duplicate id (row 9)" in text
    assert "data.max_rejected_share to 0.5000" in text
    assert "\n" not in text
    assert validate(rows, "classification", max_rejected_share=0.5).rejected.num_rows == 5


def test_no_row_left_is_an_error():
    with pytest.raises(DataError, match="of 1 rows none is left"):
        validate(raw([{"text": "", "label": "l"}]), "classification", max_rejected_share=1.0)


ANY = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.booleans(), st.lists(st.text(max_size=2), max_size=2))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(("id", "text", "label", "context", "answers"), ANY)), max_size=12),
       st.sampled_from(["classification", "qa", "text"]))
def test_whatever_a_file_holds_every_row_is_accounted_for(rows, task):
    result = validate(raw([GOOD, *rows]), task, max_rejected_share=1.0)
    assert result.rows_in == len(rows) + 1 == result.samples.num_rows + result.rejected.num_rows + result.filtered
    ids = result.samples["id"].to_pylist()
    assert len(set(ids)) == len(ids)
