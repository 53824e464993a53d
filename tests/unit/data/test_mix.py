from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divscale.data.apportion import apportion
from divscale.data.mix import Rows, add_on, constant_total, generated_only, real_only
from divscale.data.realised import realised, resolve
from divscale.data.samples import real_samples
from divscale.errors import ConfigError, DataError, RowAccountingError
from divscale.schema import MIX, SAMPLES


def samples(prefix, labels, origin="real"):
    return pa.Table.from_pylist([{"id": f"{prefix}{i}", "text": f"word {i} {prefix}", "label": label, "origin": origin}
                                 for i, label in enumerate(labels)], schema=SAMPLES)


def real(k=4, labels="abc"):
    return Rows.of("R", samples("r", [label for label in labels for _ in range(k)]))


def generated(n=30, labels="abc"):
    return Rows.of("G", samples("g", list(labels) * n, "generated"))


def counts(mix):
    """(label, origin) -> rows."""
    tables = {"R": real(), "G": generated()}
    label_of = {(source, at): label for source, rows in tables.items()
                for at, label in zip(rows.ordinals, rows.labels, strict=True)}
    return Counter((label_of[row["source"], row["ordinal"]], row["origin"]) for row in mix.to_pylist())


@given(st.integers(0, 500), st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(0, 50), min_size=1))
def test_apportioned_parts_add_up_and_are_quotas_rounded_up_or_down(total, weights):
    whole = sum(weights.values())
    if whole == 0:
        return
    parts = apportion(total, weights)
    assert sum(parts.values()) == total
    for label, weight in weights.items():
        assert total * weight // whole <= parts[label] <= -(-total * weight // whole)


@given(st.integers(0, 60), st.integers(1, 9))
def test_with_equal_weights_a_larger_total_gives_no_label_fewer(total, labels):
    weights = {str(i): 7 for i in range(labels)}
    one, more = apportion(total, weights), apportion(total + 1, weights)
    assert all(one[label] <= more[label] for label in weights)


def test_the_baseline_is_the_labelled_rows_in_their_order():
    mix = real_only(real())
    assert mix.schema == MIX
    assert mix["id"].to_pylist() == list(real().ids)
    assert set(mix["origin"].to_pylist()) == {"real"}


def test_an_added_count_is_per_label_or_in_total():
    assert counts(add_on(real(), generated(), seed=0, labels="abc", count=7)) == {
        (label, origin): n for label in "abc" for origin, n in (("real", 4), ("generated", 7))}
    assert add_on(real(), generated(), seed=0, labels=None, count=7).num_rows == 12 + 7


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 0.85), st.integers(0, 3))
def test_an_added_share_is_the_share_of_the_mix_to_half_a_row(share, seed):
    mix = add_on(real(), generated(), seed=seed, labels="abc", share=share)
    added = mix.num_rows - 12
    assert abs(added - 12 * share / (1 - share)) <= 0.5
    per_label = [counts(mix)[label, "generated"] for label in "abc"]
    assert max(per_label) - min(per_label) <= 1


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_a_constant_total_is_exact_for_every_label_at_every_share(share, total, seed, per_label):
    mix = constant_total(real(), generated(), seed=seed, share=share, total=total if per_label else 3 * total,
                         labels="abc" if per_label else None)
    found = counts(mix)
    assert mix.num_rows == 3 * total
    assert sum(n for (_, origin), n in found.items() if origin == "generated") == round(3 * total * share)
    if per_label:
        assert all(found[label, "real"] + found[label, "generated"] == total for label in "abc")


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_with_a_rising_share_generated_rows_only_come_and_real_rows_only_go(one, other):
    low, high = (constant_total(real(), generated(), seed=1, labels="abc", share=share)["id"].to_pylist()
                 for share in sorted((one, other)))
    assert {name for name in low if name[0] == "g"} <= {name for name in high if name[0] == "g"}
    assert {name for name in low if name[0] == "r"} >= {name for name in high if name[0] == "r"}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 3), st.sampled_from(["abc", None]))
def test_fewer_generated_rows_are_part_of_more_of_them_whatever_the_design(one, other, seed, labels):
    few, many = sorted((one, other))
    small = generated_only(generated(), seed=seed, labels=labels, count=few)["id"].to_pylist()
    large = add_on(real(), generated(), seed=seed, labels=labels, count=many)["id"].to_pylist()
    assert set(small) <= set(large)
    assert len(set(small)) == len(small)


def test_data_seeds_choose_different_generated_rows():
    one, two = (set(generated_only(generated(), seed=seed, labels="abc", count=5)["id"].to_pylist()) for seed in (0, 1))
    assert one != two


def test_too_few_generated_rows_stop_with_wanted_and_available_per_label():
    few = Rows.of("G", samples("g", "aabbbbbc", "generated"))
    with pytest.raises(DataError) as raised:
        add_on(real(), few, seed=0, labels="abc", count=4)
    assert "2 of 3 labels (a: wanted 4, available 2; c: wanted 4, available 1)" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_shortfall_can_be_allowed_or_filled_by_repeating_rows():
    few = Rows.of("G", samples("g", "aabbbbbc", "generated"))
    allowed = generated_only(few, seed=0, labels="abc", count=4, shortfall="allow")
    assert allowed.num_rows == 2 + 4 + 1
    repeated = generated_only(few, seed=0, labels="abc", count=4, shortfall="oversample")
    assert repeated.num_rows == 12
    times = Counter(repeated["id"].to_pylist())
    assert sorted(times.values()) == [1, 1, 1, 1, 2, 2, 4]
    with pytest.raises(DataError, match="z: wanted 1, available 0"):
        generated_only(few, seed=0, labels="az", count=1, shortfall="oversample")


def test_too_few_labelled_rows_for_a_constant_total_are_an_error():
    with pytest.raises(ConfigError, match=r"total of 10 with a generated share of 0.5 .*a: wanted 5, available 4"):
        constant_total(real(), generated(), seed=0, labels="abc", share=0.5, total=10)


def test_a_share_of_one_cannot_be_added_and_count_and_share_exclude_each_other():
    with pytest.raises(ConfigError, match="generated_only"):
        add_on(real(), generated(), seed=0, labels="abc", share=1.0)
    with pytest.raises(ConfigError, match="exactly one"):
        add_on(real(), generated(), seed=0, labels="abc", share=0.5, count=1)


def test_judge_labelled_rows_that_are_labelled_rows_already_are_passed_over():
    pool = samples("r", "aaaabbbbccccabcabc")
    mix = add_on(Rows.of("R", pool, range(12)), Rows.of("J", pool), seed=0, labels="abc", count=2)
    assert len(set(mix["id"].to_pylist())) == mix.num_rows == 18
    assert set(mix["origin"].to_pylist()) == {"real"}


def test_an_index_resolves_to_its_rows_in_its_order():
    tables = {"R": samples("r", "aabb"), "G": samples("g", "ab" * 6, "generated")}
    rows = {source: Rows.of(source, table) for source, table in tables.items()}
    mix = add_on(rows["R"], rows["G"], seed=0, labels="ab", count=3)
    mix = mix.take(pa.array([5, 0, 9, 3, 1]))
    assert resolve(mix, tables)["id"].to_pylist() == mix["id"].to_pylist()
    with pytest.raises(RowAccountingError, match="do not belong together"):
        resolve(mix, {**tables, "G": tables["G"].slice(1)})


def test_realised_shares_are_stated_by_rows_and_by_tokens():
    tables = {"R": real_samples([{"id": "r", "text": "one two", "context": "c d", "answers": ["e", "not trained on"]}]),
              "G": samples("g", "ab", "generated")}
    mix = add_on(Rows.of("R", tables["R"]), Rows.of("G", tables["G"]), seed=0, labels=None, count=3,
                 shortfall="oversample")
    found = realised(mix, tables, lambda texts: [len(text.split()) for text in texts])
    assert (found["rows"], found["real_rows"], found["generated_rows"], found["distinct_rows"]) == (4, 1, 3, 3)
    assert found["generated_share_rows"] == 0.75
    assert (found["tokens"], found["generated_tokens"]) == (14, 9)
    assert found["generated_share_tokens"] == pytest.approx(9 / 14)
    assert found["labels"][""] == {"real": 1, "generated": 0}
    assert sum(counts["generated"] for counts in found["labels"].values()) == 3
