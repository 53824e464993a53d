"""What a node has to see before it is given anything."""

from __future__ import annotations

import pytest

from divscale.errors import PreflightError
from divscale.runtime.visible import must_see


def test_a_folder_that_is_missing_or_empty_as_where_nothing_is_mounted_is_refused(tmp_path):
    must_see(None)
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(PreflightError, match=r"not seen from .* a node of the cluster"):
            must_see(str(folder))
    (tmp_path / "runs").mkdir()
    must_see(str(tmp_path))
