"""How a run of a study ends where some of its stages failed, without a cluster."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from divscale import run
from divscale.errors import DataError, StageFailedError
from divscale.graph.store import Store


@pytest.fixture
def end_with(tmp_path, monkeypatch):
    """Run a study whose stages fail on a bad row, and whose report of the other arms ends with an error, if any."""
    study, target, rest = SimpleNamespace(name="mine"), object(), SimpleNamespace(inputs={"arms": [1]}, parents=tuple)

    def end(of_report):
        def make(targets, *_, **__):
            if targets == [target]:
                raise DataError("a row is bad")
            if of_report is not None:
                raise of_report

        monkeypatch.setattr(run, "expand", lambda _, kept=None: target if kept is None else rest)
        monkeypatch.setattr(run, "make", make)
        monkeypatch.setattr(run, "publish", lambda *_: None)
        monkeypatch.setattr(Store, "open", lambda *_: None)
        run.run_study(study, Store(tmp_path), None)

    return end


def test_the_report_of_the_other_arms_is_named_beside_what_the_study_failed_with(end_with, tmp_path):
    with pytest.raises(DataError) as told:
        end_with(None)
    assert str(told.value) == f"a row is bad\nReport of the other arms: {tmp_path / 'reports' / 'mine.html'}"


@pytest.mark.parametrize("of_report", [StageFailedError("the disk is full"), OSError(28, "the disk\nis full")])
def test_what_the_study_failed_with_stays_its_error_where_the_report_of_the_other_arms_fails_too(end_with, of_report):
    with pytest.raises(DataError) as told:
        end_with(of_report)
    first, second = str(told.value).split("\n")
    assert told.value.exit_code == 4 and first == "a row is bad"
    assert second.startswith("There is no report of the other arms: ") and second.endswith("the disk is full")
