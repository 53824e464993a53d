"""`divscale measure` on a terminal: what is printed and what is written."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from divscale.embedding.config import EmbedderConfig
from divscale.errors import ConfigError
from divscale.metrics.measure import Measurement
from divscale.stages.measure_files import MeasuredFiles, measure_files
from divscale.stages.out_file import prove_writable, whole


def measure_from_terminal(
    data: str, *, text_column: str | None, reference: str | None, reference_text_column: str | None,
    vectors: str | None, embedder: str, metrics: str | None, by: str | None, source_column: str | None,
    n: int | None, seed: int, max_minutes: float | None, json_file: str | None, html_file: str | None,
) -> int:
    """Measure, print a table, write JSON and HTML where asked. Returns the exit code."""
    wanted = {option: file for option, file in (("--json", json_file), ("--html", html_file)) if file is not None}
    _check_places(wanted, [name for name in (data, reference) if name is not None])
    found = measure_files(
        data, text_column, reference=reference, reference_text_column=reference_text_column, vectors=vectors,
        embedder=EmbedderConfig(model=embedder), metrics=_listed(metrics), by=by, source_column=source_column,
        n=n, seed=seed, max_minutes=max_minutes, log=lambda line: print(line, file=sys.stderr, flush=True))
    unheard: OSError | None = None
    if "-" not in wanted.values():
        try:
            print("\n".join(_lines(found)), flush=True)
        except OSError as error:  # who reads the terminal may leave; files are written all the same
            unheard = error
    with ExitStack() as stack:  # both files or none
        for option, file in wanted.items():
            text = _as_json(found) if option == "--json" else _as_page(found)
            if file == "-":
                sys.stdout.write(text)
            else:
                (part,) = stack.enter_context(whole(option, file, Path(file)))
                part.write_text(text, encoding="utf-8")
    if unheard is not None:
        raise unheard
    return 0


def _listed(metrics: str | None) -> list[str] | None:
    if metrics is None:
        return None
    listed = [name for part in metrics.split(",") if (name := part.strip())]
    if not listed:
        raise ConfigError("--metrics: no measure is named; give one or more, or leave the option out.")
    return listed


def _check_places(wanted: Mapping[str, str], inputs: Sequence[str]) -> None:
    files = {option: Path(file) for option, file in wanted.items() if file != "-"}
    if len(wanted) > len(files) + 1:
        raise ConfigError("--json and --html: both cannot go to standard output; name a file for one of them.")
    if len({file.resolve() for file in files.values()}) < len(files):
        raise ConfigError(f"--json and --html: both name {wanted['--json']}; name a file for each.")
    for option, file in files.items():
        prove_writable(option, file, [data for data in inputs if "://" not in data])


def _as_json(found: MeasuredFiles) -> str:
    """Strict JSON: a number that is not finite is null."""
    return json.dumps(_plain(found.as_json()), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _as_page(found: MeasuredFiles) -> str:
    from divscale.stages.measure_page import page

    return page(found)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
