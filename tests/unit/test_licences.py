"""No package of the lock is under a licence that nobody has looked at."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "requirements"))
from licences import EXCEPTIONS, licences, verdict

REQUIREMENTS = Path(__file__).parents[2] / "requirements"


def test_every_package_of_the_lock_states_a_licence_that_is_allowed_or_is_an_exception_with_a_reason():
    assert [row for row in licences(REQUIREMENTS / "cpu.txt") if row[3]] == []
    assert all(EXCEPTIONS.values())


@pytest.mark.parametrize(("licence", "wrong"), [
    ("MIT", ""), ("Apache-2.0 AND BSD-3-Clause", ""), ("MIT License; Python Software Foundation License", ""), ("LGPL-2.1-only", ""),
    ("GPL-3.0-only", "a licence that is not allowed"), ("GNU Affero General Public License v3", "a licence that is not allowed"), ("AGPL-3.0", "a licence that is not allowed"),
    ("Other/Proprietary License", "a licence that is not allowed"), ("not stated", "an unknown licence"), ("My Own", "an unknown licence")])
def test_a_licence_is_allowed_refused_or_unknown(licence, wrong):
    assert verdict("x", licence) == wrong
