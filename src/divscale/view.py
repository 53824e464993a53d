"""The live view of a run: stages, rows, tokens/s, time left; a line now and then where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from divscale.graph.runner import Events
from divscale.graph.stage import Stage
from divscale.graph.store import Artifact

NOTICE_S = 45.0  # what lasts is said anew every 30


@dataclass
class Line:
    """One kind of stage in the view."""

    total: int = 0
    done: int = 0
    cached: int = 0
    failed: int = 0
    rows: int = 0
    of: int | None = None
    tokens: int = 0
    failed_rows: int = 0
    engines: int | None = None      # alive at the last news
    handed_out: bool = False
    running: int = 0                # of those that were handed out
    rows_before: int = 0            # of hand-outs before this one
    begun: float | None = None
    working: float | None = None    # when the first row or token came: engines have started by then
    ended: float | None = None

    def seconds(self) -> float:
        """Wall seconds since the first hand-out."""
        return 0.0 if self.begun is None else (self.ended or time.monotonic()) - self.begun

    def tokens_per_s(self) -> float | None:
        """Tokens a second since the first came; null before there is a rate."""
        at_work_s = (self.ended or time.monotonic()) - (self.working or time.monotonic())
        return self.tokens / at_work_s if self.tokens and at_work_s > 1 else None

    def left_s(self) -> float | None:
        """Seconds left at the present rate, by rows where their number is known, else by stages."""
        elapsed = self.seconds()
        if not self.handed_out or elapsed < 1:
            return None
        share = (self.rows - self.rows_before) / self.of if self.of else self.done / max(self.total - self.cached, 1)
        return elapsed * (1 - share) / share if 0 < share < 1 else None

    def state(self) -> dict[str, Any]:
        """The numbers for programs. `queued` are stages that wait, or that will not be made since another failed."""
        waiting = self.total - self.cached - self.done - self.failed - self.running
        return {"total": self.total, "cached": self.cached, "queued": max(0, waiting), "running": self.running,
                "committed": self.done, "failed": self.failed, "rows": self.rows, "of": self.of,
                "failed_rows": self.failed_rows, "tokens": self.tokens, "tokens_per_s": self.tokens_per_s(),
                "seconds": self.seconds(), "left_s": self.left_s()}


class Tally(Events):
    """Counts what happens; the views draw it."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self.message = ""
        self._notice, self._noticed = "", 0.0
        self.begun = time.monotonic()
        self._planned: set[str] = set()

    def planned(self, stages: Sequence[Stage], pending: Sequence[Stage]) -> None:  # noqa: D102
        waiting = {stage.fingerprint for stage in pending}
        new = [stage for stage in stages if stage.fingerprint not in self._planned]
        self._planned.update(stage.fingerprint for stage in new)
        for stage in new:
            line = self.lines.setdefault(stage.name, Line())
            line.total += 1
            line.cached += stage.fingerprint not in waiting

    def started(self, name: str, stages: int) -> None:  # noqa: D102
        for other in self.lines.values():
            other.handed_out, other.running = False, 0
        line = self.lines[name]
        line.handed_out, line.running = True, stages
        line.begun = line.begun or time.monotonic()
        line.ended, line.of, line.rows_before, self.message = None, None, line.rows, ""

    def advanced(  # noqa: D102
        self, name: str, *, rows: int = 0, of: int | None = None, tokens: int = 0, failed: int = 0,
        engines: int | None = None,
    ) -> None:
        line = self.lines[name]
        line.failed_rows, line.engines = line.failed_rows + failed, engines
        line.working = line.working or (time.monotonic() if rows or tokens else None)
        line.rows, line.tokens, line.of = line.rows + rows, line.tokens + tokens, of or line.of

    def committed(self, stage: Stage, artifact: Artifact) -> None:  # noqa: ARG002, D102
        line = self.lines[stage.name]
        line.done += 1
        line.running -= 1
        if line.done + line.cached + line.failed == line.total:
            line.ended = time.monotonic()

    def failed(self, stage: Stage, reason: str) -> None:  # noqa: D102
        line = self.lines[stage.name]
        line.failed += 1
        line.running -= 1
        self.message = f"{stage.name} {stage.title} failed: {reason}"
        if line.done + line.cached + line.failed == line.total:
            line.ended = time.monotonic()

    def waiting(self, reason: str) -> None:  # noqa: D102
        self.message = reason

    def told(self, text: str) -> None:  # noqa: D102
        self._notice, self._noticed = text, time.monotonic()

    @property
    def notice(self) -> str:
        """What was told last; empty where that was not said again, and so is over."""
        return self._notice if time.monotonic() - self._noticed < NOTICE_S else ""


def words(name: str, line: Line) -> tuple[str, str, str, str, str]:
    """name, stages, rows, tokens/s, time: one row of the view."""
    stages = f"{line.done + line.cached}/{line.total}" + (f" ({line.cached} cached)" if line.cached else "")
    if line.failed:
        stages += f" {line.failed} FAILED"
    rows = (f"{line.rows:,}" + (f" of {line.of:,}" if line.of and line.ended is None else "")) if line.rows else ""
    if line.failed_rows:
        rows += f", {line.failed_rows / line.rows:.2%} failed"
    per_s = line.tokens_per_s()
    rate = f"{per_s:,.0f} tokens/s" if per_s else ""
    if line.engines is not None and line.handed_out and line.ended is None:
        rate = ", ".join([*([rate] if rate else []), f"{line.engines} engine{'s' if line.engines != 1 else ''}"])
    left = line.left_s()
    took = f"{line.seconds():.0f} s" if line.begun else ""
    return name, stages, rows, rate, took + (f", {left:.0f} s left" if left is not None else "")


class Terminal:
    """The view as a table that redraws itself, or as plain lines every `every_s` seconds where nobody watches."""

    def __init__(self, tally: Tally, title: str, *, every_s: float = 15.0) -> None:
        self._tally = tally
        self._title = title
        self._every_s = every_s
        self._live: Any = None
        self._thread: Any = None
        self._stop: Any = None

    def __enter__(self) -> Terminal:
        import threading

        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(get_renderable=self._table, console=Console(stderr=True), refresh_per_second=4)
            self._live.start()
        else:
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._print_now_and_then, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        if self._stop is not None:
            self._stop.set()
            self._thread.join()

    def _table(self) -> Any:
        from rich.table import Table

        elapsed = time.monotonic() - self._tally.begun
        table = Table(
            "stage", "stages", "rows", "rate", "time", box=None, pad_edge=False,
            title=f"{self._title} · {elapsed:.0f} s", title_justify="left",
            caption=self._tally.notice or self._tally.message or None)
        for name, line in list(self._tally.lines.items()):
            style = "bold" if line.handed_out else "dim"
            table.add_row(*words(name, line), style=style)
        return table

    def _print_now_and_then(self) -> None:
        shown = ""
        while not self._stop.wait(self._every_s):
            running = [(n, x) for n, x in list(self._tally.lines.items()) if x.handed_out]
            text = " | ".join(" ".join(part for part in words(n, x) if part) for n, x in running) or self._tally.message
            text = " | ".join(part for part in (text, self._tally.notice) if part)
            if text and text != shown:
                print(f"[{time.monotonic() - self._tally.begun:6.0f} s] {text}", file=sys.stderr, flush=True)
                shown = text
