"""`divscale measure` on a terminal: what is printed and what is written."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from divscale.embedding.config import EmbedderConfig
from divscale.errors import ConfigError
from divscale.metrics.measure import Measurement
from divscale.stages.measure_files import MeasuredFiles, measure_files


def measure_from_terminal(
    data: str, *, text_column: str | None, reference: str | None, reference_text_column: str | None,
    vectors: str | None, embedder: str, metrics: str | None, by: str | None, source_column: str | None,
    n: int | None, seed: int, max_minutes: float | None, json_file: str | None, html_file: str | None,
) -> int:
    """Measure, print a table, write JSON and HTML where asked. Returns the exit code."""
    for option, file in (("--json", json_file), ("--html", html_file)):
        if file not in (None, "-"):
            _prove_writable(option, Path(str(file)))
    found = measure_files(
        data, text_column, reference=reference, reference_text_column=reference_text_column, vectors=vectors,
        embedder=EmbedderConfig(model=embedder), metrics=_listed(metrics), by=by, source_column=source_column,
        n=n, seed=seed, max_minutes=max_minutes, log=lambda line: print(line, file=sys.stderr, flush=True))
    if "-" not in (json_file, html_file):
        print("\n".join(_lines(found)))
    if html_file is not None:
        from divscale.stages.measure_page import page

        _write("--html", html_file, page(found))
    if json_file is not None:
        _write("--json", json_file, json.dumps(found.as_json(), indent=1, ensure_ascii=False, default=_plain) + "\n")
    return 0


def _listed(metrics: str | None) -> list[str] | None:
    if metrics is None:
        return None
    listed = [name for part in metrics.split(",") if (name := part.strip())]
    if not listed:
        raise ConfigError("--metrics: no measure is named; give one or more, or leave the option out.")
    return listed


def _prove_writable(option: str, file: Path) -> None:
    """Before anything is measured: a result that cannot be kept is not worth its time."""
    if not file.resolve().parent.is_dir():
        raise ConfigError(f"{option}: {file} cannot be written, because its folder does not exist. Make it first.")
    there = file.exists()
    try:
        file.open("a").close()
    except OSError as error:
        raise ConfigError(f"{option}: {file} cannot be written ({error.strerror}). Name another file.") from error
    if not there:
        file.unlink()


def _write(option: str, file: str, text: str) -> None:
    if file == "-":
        sys.stdout.write(text)
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{option}: {file} cannot be written ({error.strerror}). Name a file in a folder that "
                          "exists.") from error


def _plain(value: Any) -> Any:
    return list(value)


def _lines(found: MeasuredFiles) -> list[str]:
    against = f", against {found.reference}: {found.reference_rows} rows" if found.reference else ""
    lines = [f"{found.data}: {found.rows} rows, measured at n = {found.n}{against}"]
    for name, m in found.metrics.items():
        spread = "" if m.low is None else f"  [{m.low:.4g}, {m.high:.4g}]"
        lines.append(f"  {name:<20} {m.value:>10.4g}{spread}")
    if found.groups:
        lines += ["", *_table({"all": found.metrics, **found.groups})]
    if found.small_groups:
        listed = ", ".join(f"{name} ({rows})" for name, rows in list(found.small_groups.items())[:8])
        more = ", ..." if len(found.small_groups) > 8 else ""
        lines.append(f"note: {len(found.small_groups)} groups have fewer than {found.n} rows: {listed}{more}")
    return [*lines, *(f"note: {note}" for note in found.notes)]


def _table(rows: Mapping[str, Mapping[str, Measurement]]) -> list[str]:
    names = list(next(iter(rows.values())))
    first = min(max(len(name) for name in rows), 40)
    widths = [max(len(name), 8) for name in names]
    lines = [" " * (first + 2) + "  ".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))]
    for group, found in rows.items():
        values = (f"{found[name].value:>{width}.4g}" if name in found else f"{'-':>{width}}"
                  for name, width in zip(names, widths, strict=True))
        lines.append(f"  {group[:first]:<{first}}" + "  ".join(values))
    return lines
