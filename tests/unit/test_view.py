from __future__ import annotations

import time
from types import SimpleNamespace

from divscale.graph.runner import Events
from divscale.view import Line, Tally, Terminal, words


def tally() -> Tally:
    found = Tally()
    found.lines["generate"] = Line(total=2)
    found.started("generate", 2)
    return found


def test_the_view_says_rows_failed_share_rate_engines_and_time_left(monkeypatch):
    monkeypatch.setattr("divscale.view.time", SimpleNamespace(monotonic=lambda: 1000.0))
    found: Events = tally()
    line = found.lines["generate"]
    found.advanced("generate", rows=100, of=400, tokens=3000, failed=2, engines=2)
    line.begun, line.working = line.begun - 20, line.working - 10
    name, stages, rows, rate, time = words("generate", line)
    assert (name, stages, rows) == ("generate", "0/2", "100 of 400, 2.00% failed")
    assert rate == "300 tokens/s, 2 engines"
    assert time.endswith("60 s left")


def test_news_without_rows_moves_the_engines_alone():
    found = tally()
    found.advanced("generate", of=400, engines=1)
    line = found.lines["generate"]
    assert (line.rows, line.working, line.engines) == (0, None, 1)
    assert words("generate", line)[3] == "1 engine"


def test_what_a_fleet_waits_for_is_shown_while_it_is_said_and_not_longer(monkeypatch, capsys):
    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr("divscale.view.time", clock)
    found = tally()
    found.told("generation fleet: 1 of 2 actors are at work")
    said, until = "", time.monotonic() + 600
    with Terminal(found, "study", every_s=0.05):
        while not said and time.monotonic() < until:
            time.sleep(0.05)
            said = capsys.readouterr().err
    assert "generation fleet: 1 of 2 actors are at work" in said
    clock.monotonic = lambda: 1060.0
    assert found.notice == ""
