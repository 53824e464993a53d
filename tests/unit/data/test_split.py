from collections import Counter

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.data import pydocs, storyland
from divscale.data.samples import real_samples, same_text_keys
from divscale.data.split import _groups, draw_labelled, split
from divscale.errors import ConfigError, DataError


def table(rows):
    return real_samples({"id": str(i), "text": f"text {i}", **row} for i, row in enumerate(rows))


def parts(result):
    return [set(getattr(result, name).tolist()) for name in ("prior", "pool", "validation", "test", "dropped")]


ROWS = st.lists(st.fixed_dictionaries({
    "label": st.sampled_from("abc"), "group": st.one_of(st.none(), st.sampled_from("uvwxyz")),
    "text": st.sampled_from(["One", "one", "two", "three", "four", "five"])}), min_size=12, max_size=60)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 5), st.sampled_from([0.1, 0.3, 0.5]), st.sampled_from([0.0, 0.4, 0.75]), st.sampled_from([0.0, 0.3]))
def test_parts_are_disjoint_whole_and_share_neither_group_nor_text(rows, seed, test_share, prior_share, validation_share):
    samples = table(rows)
    try:
        result = split(samples, test_share=test_share, prior_share=prior_share, validation_share=validation_share, seed=seed)
    except DataError:
        return  # so few groups that a part is empty
    everything = parts(result)
    assert sum(map(len, everything)) == len(rows) == len(set.union(*everything))
    for one, other in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]:
        for field in ("group", "text"):
            column = [value.lower() if value else value for value in samples[field].to_pylist()]
            shared = {column[i] for i in everything[one]} & {column[i] for i in everything[other]}
            assert not shared - {None}


def test_the_test_part_depends_on_the_test_seed_alone_and_the_rest_on_the_seed():
    samples = table([{"label": "ab"[i % 2]} for i in range(200)])
    one, two = (split(samples, test_share=0.2, prior_share=0.5, seed=seed) for seed in (0, 1))
    other = split(samples, test_share=0.2, prior_share=0.5, seed=0, test_seed=1)
    assert np.array_equal(one.test, two.test)
    assert not np.array_equal(one.test, other.test)
    assert not np.array_equal(one.prior, two.prior)


def test_validation_rows_come_from_the_pool_and_move_no_row_of_prior_and_test():
    samples = table([{"label": "ab"[i % 2]} for i in range(400)])
    plain = split(samples, test_share=0.2, prior_share=0.5, seed=3)
    watched = split(samples, test_share=0.2, prior_share=0.5, validation_share=0.25, seed=3)
    assert np.array_equal(plain.test, watched.test) and np.array_equal(plain.prior, watched.prior)
    assert len(plain.validation) == 0 and len(watched.validation) == 40
    assert {*watched.validation} | {*watched.pool} == {*plain.pool}
    with pytest.raises(DataError, match=r"data\.validation_share"):
        split(samples, test_share=0.2, prior_share=0.98, validation_share=0.001, seed=3)


def test_every_label_gets_its_share_of_every_part():
    samples = table([{"label": "a" if i % 5 else "b"} for i in range(500)])
    result = split(samples, test_share=0.2, prior_share=0.75, seed=0)
    for rows, expected in ((result.test, {"a": 80, "b": 20}), (result.prior, {"a": 240, "b": 60}),
                           (result.pool, {"a": 80, "b": 20})):
        assert Counter(samples["label"].take(rows).to_pylist()) == expected


def test_a_row_keeps_its_place_when_rows_of_another_label_are_added():
    rows = [{"label": "a"} for _ in range(100)]
    small = split(table(rows), test_share=0.2, prior_share=0.5, seed=0)
    large = split(table(rows + [{"label": "b"} for _ in range(50)]), test_share=0.2, prior_share=0.5, seed=0)
    assert set(small.test.tolist()) == {row for row in large.test.tolist() if row < 100}


def test_one_very_large_group_does_not_starve_a_part_of_its_label():
    rows = [{"label": "a", "group": "big"}] * 95 + [{"label": "a", "group": "half"}] * 67
    rows += [{"label": "a", "group": f"g{i // 2}"} for i in range(37)]
    for seed in range(10):
        result = split(table(rows), test_share=0.2, prior_share=0.75, seed=seed)
        assert min(map(len, (result.prior, result.pool, result.test))) >= 20


def test_pydocs_has_every_package_in_every_part():
    samples = pydocs.load()
    for seed in range(3):
        result = split(samples, test_share=0.22, prior_share=0.6, seed=seed)
        assert result.dropped.size == 0
        for rows in (result.prior, result.pool, result.test):
            counts = Counter(samples["label"].take(rows).to_pylist())
            assert set(counts) == set(pydocs.PACKAGES)
            assert min(counts.values()) >= 5


def test_stories_never_straddle():
    samples = storyland.load(60)
    result = split(samples, test_share=0.2, prior_share=0.75, seed=0)
    stories = [set(samples["group"].take(rows).to_pylist()) for rows in (result.prior, result.pool, result.test)]
    assert [len(found) for found in stories] == [36, 12, 12]
    assert len(set.union(*stories)) == 60


def test_rows_whose_text_stands_in_a_separate_test_table_are_dropped_and_counted():
    samples = table([{"label": "a"} for _ in range(40)])
    held_out = table([{"text": "TEXT 3"}, {"text": "text 30"}, {"text": "else"}])
    result = split(samples, test_share=None, prior_share=0.5, seed=0, held_out=held_out)
    assert result.dropped.tolist() == [3, 30]
    assert result.test.size == 0
    assert result.prior.size + result.pool.size == 38


def test_the_same_question_about_another_context_is_another_example():
    samples = table([{"text": "Who?", "context": f"c{i}", "answers": ["a"]} for i in range(20)])
    held_out = table([{"text": "who?", "context": "C1", "answers": ["a"]}])
    assert split(samples, test_share=None, prior_share=0.5, seed=0, held_out=held_out).dropped.tolist() == [1]


def test_rows_on_a_passage_of_a_separate_test_table_are_left_out_and_counted_and_the_others_divided_as_ever():
    samples = table([{"context": f"passage {i // 5}", "answers": ["a"]} for i in range(200)])
    held_out = table([{"text": f"another question {i}", "context": f"passage {i % 10 + 35}", "answers": ["a"]} for i in range(30)])
    result = split(samples, test_share=None, prior_share=0.5, validation_share=0.25, seed=0, held_out=held_out)
    assert result.dropped.tolist() == list(range(175, 200))
    assert [len(contexts) for contexts in contexts_in(samples, result)] == [17, 14, 4, 0]
    alone = split(samples.slice(0, 175), test_share=None, prior_share=0.5, validation_share=0.25, seed=0, held_out=table([{}]))
    assert parts(result)[:3] == parts(alone)[:3]


def test_rows_of_a_group_of_a_separate_test_table_are_left_out_and_rows_of_no_group_are_not_taken_for_one():
    train = [{"group": "one"}, {"group": "two", "context": "c"}, {"context": "c"}, {"context": "one"}, {"group": ""}, {}, {}]
    held_out = [{"group": "one"}, {"context": "c"}, {"group": "six"}, {}, {"group": ""}, {}, {}, {}]
    result = split(table(train), test_share=None, prior_share=0.0, seed=0,
                   held_out=table([{"text": f"else {i}", **row} for i, row in enumerate(held_out)]))
    assert result.dropped.tolist() == [0, 1, 2]  # ids and texts of the two tables have nothing to do with it


@pytest.mark.parametrize("contexts", [["numbers"], ["numbers", None], ["email", "web", "phone"]])
@pytest.mark.parametrize("test_rows", [30, 60])
def test_a_context_of_more_rows_than_the_test_table_says_nothing_of_what_belongs_together(contexts, test_rows):
    some, held_out = ([{"text": f"{part} {i}", "context": contexts[i % len(contexts)], "answers": ["a"]} for i in range(rows)]
                      for part, rows in (("train", 200), ("test", test_rows)))
    result = split(table(some), test_share=None, prior_share=0.5, seed=0, held_out=table(held_out))
    assert not result.dropped.size and result.prior.size and result.pool.size


@pytest.mark.parametrize("test_share", [0.2, None])
def test_a_separate_test_table_shares_as_little_with_the_other_parts_as_a_part_does(test_share):
    rows = [{"text": f"{i % 90}", "context": f"passage {i // 7}" if i % 3 else None, "group": f"story {i // 20}" if i % 2 else None}
            for i in range(300)]
    given = table(rows)
    samples, held_out = (given, None) if test_share else (given.slice(60), given.slice(0, 75))
    result = split(samples, test_share=test_share, prior_share=0.5, seed=0, held_out=held_out)
    test = held_out if held_out is not None else samples.take(result.test)
    rest = samples.take(np.concatenate([result.prior, result.pool]))
    assert not {*same_text_keys(rest)} & {*same_text_keys(test)}
    assert not {*rest["group"].to_pylist()} & {*test["group"].to_pylist()} - {None}
    whole = {*rest.filter(pc.is_null(rest["group"]))["context"].to_pylist()}
    assert not whole & {*test.filter(pc.is_null(test["group"]))["context"].to_pylist()} - {None}


def test_a_test_table_with_every_group_of_the_others_is_refused_and_says_why():
    samples = table([{"label": "a", "group": f"g{i % 4}"} for i in range(40)])
    with pytest.raises(DataError, match=r"^data\.test: the group or context of every one of 40 rows is also in the test set"):
        split(samples, test_share=None, prior_share=0.5, seed=0, held_out=samples)
    with pytest.raises(DataError, match=r"\(30 were dropped because their text, group or context is also in the test set\)"):
        split(samples, test_share=None, prior_share=1.0, seed=0, held_out=table([{"group": f"g{i}", "text": "else"} for i in range(3)]))


def contexts_in(samples, result):
    return [set(samples["context"].take(rows).to_pylist()) for rows in (result.prior, result.pool, result.validation, result.test)]


def test_rows_of_one_context_stay_together_where_no_group_is_given():
    samples = table([{"context": f"passage {i // 5}", "answers": ["a"]} for i in range(200)])
    found = contexts_in(samples, split(samples, test_share=0.2, prior_share=0.5, validation_share=0.25, seed=0))
    assert [len(contexts) for contexts in found] == [16, 12, 4, 8] and len(set.union(*found)) == 40


def test_a_context_is_no_group_of_its_name_and_a_row_without_a_group_joins_that_of_its_context():
    rows = [{"context": f"c{i // 4}", "group": f"g{i // 8}" if i % 2 else None} for i in range(80)]
    rows += [{"context": "alone"}, {"context": "", "group": "alone"}, {"context": "", "group": ""}, {"context": None}]
    keys = _groups(table(rows), 8)
    assert [len(set(keys[i:i + 8])) for i in range(0, 80, 8)] == [1] * 10 and len(set(keys[:80])) == 10
    assert len({*keys[80:]}) == 4


def test_other_shares_move_no_row_of_the_test_part_and_no_passage_out_of_it():
    samples = table([{"context": f"passage {i // 5}", "answers": ["a"]} for i in range(200)])
    wanted = split(samples, test_share=0.2, prior_share=0.5, seed=0).test.tolist()
    for prior, validation in ((0.0, 0.0), (0.75, 0.25), (0.97, 0.0), (0.5, 0.1)):
        found = split(samples, test_share=0.2, prior_share=prior, validation_share=validation, seed=1)
        *others, test = contexts_in(samples, found)
        assert found.test.tolist() == wanted and test.isdisjoint(set.union(*others))


@pytest.mark.parametrize("contexts", [
    ["numbers"], ["numbers", "numbers", None], ["email", "web", "phone"], [*["You are a helpful assistant."] * 19, "passage"]])
def test_a_context_of_more_rows_than_the_smallest_part_keeps_none_together(contexts):
    some = table([{"context": contexts[i % len(contexts)], "answers": ["a"]} for i in range(200)])
    result = split(some, test_share=0.2, prior_share=0.5, validation_share=0.05, seed=0)
    sizes = [len(rows) for rows in (result.prior, result.pool, result.validation, result.test)]
    assert np.abs(np.subtract(sizes, [80, 76, 4, 40])).max() < 6


def test_a_split_that_leaves_a_part_empty_is_an_error():
    samples = table([{"label": "a", "group": "one"}] * 9)
    with pytest.raises(DataError, match="leaves no test row"):
        split(samples, test_share=0.2, prior_share=0.5, seed=0)
    with pytest.raises(DataError, match="leaves no labelled row"):
        split(table([{"label": "a"}] * 9), test_share=0.2, prior_share=1.0, seed=0)
    with pytest.raises(ConfigError, match="one of the two"):
        split(samples, test_share=None, prior_share=0.5, seed=0)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 3), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_smaller_draw_is_part_of_a_larger_one_and_seeds_differ(few, many, seed, per_label):
    samples = table([{"label": "abc"[i % 3]} for i in range(60)])
    pool = np.arange(0, 60, 2)
    small, large = (draw_labelled(samples, pool, n, seed, per_label=per_label) for n in sorted((few, many)))
    assert set(small.tolist()) <= set(large.tolist()) <= set(pool.tolist())
    labels = Counter(samples["label"].take(large).to_pylist())
    assert len(large) == max(few, many) * (3 if per_label else 1)
    assert not per_label or not large.size or set(labels.values()) == {max(few, many)}
    if max(few, many) > 5:
        other = draw_labelled(samples, pool, max(few, many), seed + 1, per_label=per_label)
        assert set(other.tolist()) != set(large.tolist())


def test_a_label_with_too_few_pool_rows_is_named_with_its_number():
    samples = table([{"label": "a"}] * 8 + [{"label": "rare"}] * 2)
    with pytest.raises(DataError, match=r"5 rows a label .* 1 of 2 labels \(rare: 2\)"):
        draw_labelled(samples, np.arange(10), 5, 0, per_label=True)
    with pytest.raises(DataError, match="11 labelled rows are asked for and the pool has 10"):
        draw_labelled(samples, np.arange(10), 11, 0, per_label=False)
