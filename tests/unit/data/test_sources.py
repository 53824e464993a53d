import json
from pathlib import Path

import pytest

from divscale.data.config import Columns, DataConfig
from divscale.data.sources import identity, load
from divscale.data.split import split
from divscale.errors import ConfigError, DataError

REAL = Path(__file__).parents[3] / "../shared/data"
FAIRYTALES = Columns(text="question", group="story")


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_worlds_load_by_name_and_are_identified_by_their_content():
    pydocs = DataConfig(source="pydocs")
    assert load(pydocs).train.samples.num_rows > 1000
    assert identity(pydocs) == identity(pydocs)
    small, large = (DataConfig(source="storyland", task="qa", world_size=n) for n in (3, 4))
    assert load(small).train.samples.num_rows == 18
    assert identity(small)["source"] != identity(large)["source"]


def test_a_world_asked_for_another_task_is_an_error():
    with pytest.raises(ConfigError, match=r"Set data\.task: qa"):
        load(DataConfig(source="storyland"))


def test_the_labels_of_a_world_can_be_chosen():
    config = DataConfig(source="storyland", task="qa", world_size=5, labels=("p0", "p1"))
    train = load(config).train
    assert (train.samples.num_rows, train.filtered, train.rows_in) == (10, 20, 30)


def test_a_test_file_is_held_to_the_labels_of_the_training_file(tmp_path):
    source = write(tmp_path / "train.jsonl", [{"text": f"t{i}", "label": "abc"[i % 3]} for i in range(9)])
    test = write(tmp_path / "test.jsonl", [{"text": f"u{i}", "label": "abcd"[i]} for i in range(4)])
    with pytest.raises(DataError, match=r"data.test: .*label not in the training data \('d'\)"):
        load(DataConfig(source=source, test=test))
    with pytest.raises(DataError, match=r"data.test: .*label not in the training data \('d'\)"):
        load(DataConfig(source=source, test=test, labels=2))
    chosen = load(DataConfig(source=source, test=test, labels=2, max_rejected_share=0.25))
    assert chosen.test is not None
    assert chosen.test.samples["label"].to_pylist() == ["a", "b"]
    assert (chosen.test.filtered, chosen.test.rejected.num_rows) == (1, 1)
    narrow = write(tmp_path / "narrow.jsonl", [{"text": "u", "label": "a"}])
    held = load(DataConfig(source=source, test=narrow, labels=("a", "b"))).test
    assert held is not None and held.samples["label"].to_pylist() == ["a"]
    with pytest.raises(ConfigError, match=r"data.labels: 'd' is no label of data.source"):
        load(DataConfig(source=source, test=test, labels=("a", "d")))
    with pytest.raises(DataError, match=r"data.test: .*none is left .*2 with labels that data.labels does not keep"):
        load(DataConfig(source=source, test=write(tmp_path / "other.jsonl", [{"text": t, "label": "c"} for t in "uv"]),
                        labels=("a", "b")))


def test_the_identity_of_a_file_is_its_content_not_its_name(tmp_path):
    one, two = (write(tmp_path / name, [{"text": "t", "label": "l"}]) for name in ("one.jsonl", "two.jsonl"))
    assert identity(DataConfig(source=one)) == identity(DataConfig(source=two))
    assert identity(DataConfig(source=one, test=two))["data.test"] == identity(DataConfig(source=one))["source"]
    with pytest.raises(ConfigError, match=r"data\.test: .* does not exist"):
        identity(DataConfig(source=one, test=str(tmp_path / "none.jsonl")))


# Collected where the project's real data lie beside the clone; what they would show is also shown on small files above.
@pytest.mark.parametrize("data", [REAL] if REAL.exists() else [])
def test_the_real_files_load_whole_and_split(data):
    banking = load(DataConfig(source=str(data / "banking77/train.parquet"), test=str(data / "banking77/test.parquet")))
    assert banking.test is not None
    assert (banking.train.samples.num_rows, banking.test.samples.num_rows) == (10003, 3080)
    tales = load(DataConfig(source=str(data / "fairytaleqa/train.parquet"), task="qa", columns=FAIRYTALES))
    assert tales.train.samples.num_rows == 8548
    result = split(tales.train.samples, test_share=0.1, prior_share=0.75, seed=0)
    stories = [set(tales.train.samples["group"].take(rows).to_pylist()) for rows in (result.prior, result.test)]
    assert not stories[0] & stories[1]
