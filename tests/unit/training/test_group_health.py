"""When a training group counts as one that does not start."""

from __future__ import annotations

import time

import pytest

from divscale.errors import StageFailedError
from divscale.runtime.resources import Resources
from divscale.training import group as module
from divscale.training.group import Place, TrainingGroup

LONG_AGO = 1000.0


@pytest.fixture
def group(monkeypatch):
    """One that has waited for longer than it may, without a process behind it."""
    found = object.__new__(TrainingGroup)
    found.__dict__ |= {
        "_name": "training-0", "_resources": Resources(start_timeout_s=600), "_place": Place(8, 1, on_gpu=True), "_ranks": 8,
        "_error": None, "_hung": None, "_given": 0, "_seen": 0, "_progress": None, "_ready": 0, "_news": None,
        "_asked_at": 0.0, "_waiting_since": time.monotonic() - LONG_AGO, "was_up": False, "is_up": False}
    monkeypatch.setattr(module.ray, "get", lambda news: news)
    monkeypatch.setattr(module, "log_stacks", lambda _: [])
    monkeypatch.setattr(module, "free", lambda: "the cluster has GPU 0 of 8 free")
    return found


def news(group, ready, asked_at):
    group._news, group._asked_at = ([], None, ready, 0.0), asked_at
    group.take_news(lambda _: None, lambda _: None)


def test_a_group_that_is_not_up_in_time_says_what_to_lower(group):
    with pytest.raises(StageFailedError, match=r"0 of 8 workers .* as many as GPUs: lower resources.gpus, or set resources.tr"):
        news(group, 0, time.monotonic())
    group._resources = Resources(start_timeout_s=600, training_workers=8)
    with pytest.raises(StageFailedError, match=r"Lower resources.training_workers, or free some."):
        news(group, 0, time.monotonic())


def test_news_from_long_ago_say_nothing_of_now(group):
    news(group, 0, group._waiting_since + 1)
    news(group, 8, time.monotonic())
    assert group.is_up and group.was_up


def test_while_others_work_its_time_does_not_run(group):
    group._news, group._asked_at = ([], None, 0, 0.0), time.monotonic()
    group.take_news(lambda _: None, lambda _: None, may_wait=True)
    news(group, 0, time.monotonic())  # none is up for a moment
    assert not group.was_up
