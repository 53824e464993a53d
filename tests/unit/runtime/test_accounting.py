from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from divscale.errors import RowAccountingError
from divscale.runtime.accounting import check_rows

IDS = st.lists(st.integers(0, 50).map(str), unique=True)


@given(ids=IDS, cuts=st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_rows_that_add_up_are_counted(ids, cuts):
    low, high = sorted(cuts)
    assert check_rows(ids, ids[:low], ids[low:high], ids[high:], where="a map") == {
        "in": len(ids), "ok": len(ids[:low]), "failed": len(ids[low:high]), "filtered": len(ids[high:])}


@pytest.mark.parametrize(("asked", "ok", "failed", "word"), [
    (["a", "b"], ["a"], [], r"1 lost \(b\)"),
    (["a", "b"], ["a", "b"], ["b"], r"1 doubled \(b\)"),
    (["a"], ["a", "z"], [], r"1 invented \(z\)"),
    (["a", "a"], ["a"], [], r"1 asked for twice \(a\)"),
])
def test_lost_doubled_and_invented_rows_are_named(asked, ok, failed, word):
    with pytest.raises(RowAccountingError, match=f"generation.*{word}"):
        check_rows(asked, ok, failed, where="generation")
