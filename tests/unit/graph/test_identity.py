from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Number, number, total

from divscale.graph.canonical import canonical_json, digest
from divscale.graph.stage import Stage, in_order

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12)


@given(JSON)
def test_key_order_does_not_change_the_canonical_form(value):
    def reversed_keys(v):
        if isinstance(v, dict):
            return {k: reversed_keys(v[k]) for k in reversed(list(v))}
        return [reversed_keys(x) for x in v] if isinstance(v, list) else v

    assert canonical_json(value) == canonical_json(reversed_keys(value))


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: 2}, {"a": {3, 4}}, b"bytes", object(), lambda: 0])
def test_a_value_without_a_canonical_form_raises_and_says_where(value):
    with pytest.raises(TypeError, match=r"\$"):
        digest({"value": [value]})


def test_numbers_that_compare_equal_but_are_not_the_same_value_differ():
    assert digest(1) != digest(1.0) != digest(True)


@pytest.mark.parametrize("change", [
    {"value": 2}, {"words": ("a",)}, {"ratio": 0.25}, {"note": ""},
])
def test_changing_any_config_field_changes_the_fingerprint(change):
    plain = Number(value=1)
    assert set(change) <= set(Number.model_fields)
    changed = plain.model_copy(update=change)
    assert Stage("n", 1, plain).fingerprint != Stage("n", 1, changed).fingerprint


def test_name_version_role_and_order_of_inputs_are_identity_and_the_title_is_not():
    a, b = number(1), number(2)
    base = Stage("s", 1, Number(value=0), {"x": (a, b)})
    others = [
        Stage("t", 1, Number(value=0), {"x": (a, b)}), Stage("s", 2, Number(value=0), {"x": (a, b)}),
        Stage("s", 1, Number(value=0), {"y": (a, b)}), Stage("s", 1, Number(value=0), {"x": (b, a)}),
        Stage("s", 1, Number(value=0), {"x": a})]
    assert len({base.fingerprint, *(s.fingerprint for s in others)}) == 6
    assert Stage("s", 1, Number(value=0), {"x": (a, b)}, title="words").fingerprint == base.fingerprint


def test_the_fingerprint_is_the_published_definition():
    import hashlib

    expected = hashlib.sha256(
        b'{"config":{"note":null,"ratio":0.5,"value":7,"words":[]},"inputs":{},"name":"number","version":1}')
    assert number(7).fingerprint == expected.hexdigest()


def test_a_change_upstream_reaches_everything_below():
    assert total(total(number(1))).fingerprint != total(total(number(2))).fingerprint


def test_shared_stages_stand_once_and_before_what_needs_them():
    a, b = number(1), number(2)
    end = total(total(a, b), total(a), total(number(1), b))
    order = in_order([end])
    assert len(order) == 5  # two numbers, two distinct totals, the end
    place = {s.fingerprint: i for i, s in enumerate(order)}
    assert all(place[p.fingerprint] < place[s.fingerprint] for s in order for p in s.parents())
