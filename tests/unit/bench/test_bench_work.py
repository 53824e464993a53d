"""What the benchmark gives its engines: as much of it as the size says, and nothing that a cache could spare."""

from divscale.bench.models import random_llama, sentences, texts
from divscale.bench.parts.generation import requests
from divscale.bench.parts.similarity import rows_for
from divscale.bench.parts.training import rows
from divscale.bench.sizes import SIZES, Shape
from divscale.schema import REQUESTS
from divscale.stages.disk import parameters_in
from divscale.training.encode import encode_rows
from divscale.training.models import train_tokenizer


def test_texts_are_distinct_beyond_the_sentences_that_there_are():
    count = 2 * len(sentences()) + 10
    assert len(set(texts(count))) == count


def test_requests_have_the_lengths_of_the_size_and_seeds_of_their_own():
    table = requests(100, range(8, 33))
    assert table.schema == REQUESTS and len(set(table["seed"].to_pylist())) == 100
    assert set(table["max_tokens"].to_pylist()) == set(range(8, 33))


def test_every_training_row_has_exactly_its_length_and_none_is_another():
    tokenizer = train_tokenizer(sentences()[:200], 400, 96)
    table = rows(8, 96)
    encoded = encode_rows(tokenizer, table, "causal", (), 96, 1.0)
    assert [len(row.ids_T) for row in encoded] == [96] * 8 and len(set(table["prompt"].to_pylist())) == 8
    assert all(row.weights_T[1:].min() > 0 for row in encoded)  # every token but the first is learnt


def test_a_shape_has_the_parameters_that_it_says(tmp_path):
    shape = Shape(hidden=32, layers=2, heads=4, kv_heads=2, mlp=64, vocabulary=300, context=64)
    random_llama(tmp_path / "model", shape, "float32")
    assert parameters_in(tmp_path / "model") == shape.parameters
    assert [round(size.generator.parameters / 1e9, 2) for size in SIZES.values()] == [0.0, 0.05, 0.99, 7.01]


def test_twice_the_pairs_take_the_root_of_two_times_the_rows():
    assert rows_for(1_000, 4) == 2_000 and rows_for(1_000, 1) == 1_000
