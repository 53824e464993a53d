import pickle

import pyarrow as pa
import pytest

from divscale.errors import DataError
from divscale.training.config import OptimConfig
from divscale.training.work import Arm, Evaluation

OPTIM = OptimConfig(steps=1)
LABELLED = pa.table({"text": ["a", "b"], "label": ["x", "y"]})


def test_items_pickle():
    arm = Arm("a", "folder", "classifier", LABELLED, OPTIM, "out", labels=("x", "y"))
    assert pickle.loads(pickle.dumps(arm)).rows == LABELLED


@pytest.mark.parametrize(("rows", "message"), [
    (pa.table({"text": ["a"]}), "training arm a lacks the column 'label'; it has text."),
    (LABELLED.slice(0, 0), "training arm a has no rows; give it at least one."),
    (pa.table({"text": ["a", None], "label": ["x", "y"]}), "1 empty values in the column 'text'"),
    (pa.table({"text": ["a"], "label": ["z"]}), "the label 'z', which is not one of its 2 labels"),
])
def test_unusable_rows_are_told_before_anything_starts(rows, message):
    with pytest.raises(DataError) as error:
        Arm("a", "folder", "classifier", rows, OPTIM, "out", labels=("x", "y"))
    assert message in str(error.value)


def test_an_evaluation_needs_ids():
    with pytest.raises(DataError, match="evaluation e lacks the column 'id'"):
        Evaluation("e", "folder", "classifier", LABELLED, labels=("x", "y"))
