"""A local Ray is started a second time where the first ran out of time, and as whole."""

from pathlib import Path

import pytest

from divscale.runtime import session
from divscale.runtime.resources import Resources


@pytest.fixture
def starts(monkeypatch, tmp_path):
    """Whether each start finds its scratch folder; it fails with the next of `errors`, or is well."""
    found, errors = [], []
    (tmp_path / "scratch").mkdir()

    def start(resources, scratch, more_env):
        found.append(Path(scratch).is_dir())
        if errors:
            Path(scratch).rmdir()  # as its watchdog does
            raise errors.pop(0)
        return "a watchdog"

    monkeypatch.setattr(session, "_start_once", start)
    return found, errors


def test_a_second_start_has_a_scratch_folder_again(starts, tmp_path):
    found, errors = starts
    errors.append(Exception("The current node timed out during startup. This could happen"))
    assert session._start_local(Resources(), str(tmp_path / "scratch"), {}) == "a watchdog"
    assert found == [True, True]


@pytest.mark.parametrize("said", [["no memory"], ["timed out during startup", "timed out during startup"]])
def test_another_failure_and_a_second_one_end_it(starts, tmp_path, said):
    found, errors = starts
    errors += map(Exception, said)
    with pytest.raises(Exception, match=said[0]):
        session._start_local(Resources(), str(tmp_path / "scratch"), {})
    assert len(found) == len(said)
