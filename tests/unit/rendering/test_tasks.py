from __future__ import annotations

import pytest

from divscale.errors import DataError
from divscale.rendering.tasks import training_pair, written_pair


def test_each_task_has_its_pair():
    sample = {"id": "a", "text": "Who?", "label": "email", "context": "Ann sat.", "answers": ["Ann", "ann"]}
    assert training_pair(sample, "classification") == ("text: Who?\nlabel:", " email")
    assert training_pair(sample, "qa") == ("context: Ann sat.\nquestion: Who?\nanswer:", " Ann")
    assert training_pair(sample, "text") == ("Ann sat.", " Who?")
    assert training_pair({**sample, "context": None}, "text") == ("", "Who?")


def test_what_a_writer_writes_is_the_same_words_without_the_label_and_with_the_question():
    sample = {"id": "a", "text": "Who?", "label": "email", "context": "Ann sat.", "answers": ["Ann", "ann"]}
    assert written_pair(sample, "classification") == ("", " Who?")
    assert written_pair(sample, "qa") == ("context: Ann sat.\nquestion:", " Who?\nanswer: Ann")
    assert "".join(written_pair(sample, "qa")) == "".join(training_pair(sample, "qa"))
    assert written_pair(sample, "text") == training_pair(sample, "text")
    with pytest.raises(DataError, match="'a' has no answers"):
        written_pair({**sample, "answers": None}, "qa")


@pytest.mark.parametrize(("field", "task"), [("label", "classification"), ("answers", "qa"), ("context", "qa"),
                                             ("text", "text")])
def test_a_sample_without_what_its_task_needs_is_bad_data(field, task):
    sample = {"id": "a", "text": "t", "label": "l", "context": "c", "answers": ["x"], field: None}
    with pytest.raises(DataError, match=f"'a' has no {field}"):
        training_pair(sample, task)
