"""Benchmarks as text for a terminal: one of them, or two side by side."""

from __future__ import annotations

from collections.abc import Sequence

from divscale.bench.formulas import spread, verdict
from divscale.bench.result import Bench, Figure, read
from divscale.errors import ConfigError
from divscale.report.naming import MISSING
from divscale.report.tables import Table
from divscale.report.text_table import as_text

NOT_ON_GPU = "This has not run on a GPU before: read its figures with care."


def compare_from_terminal(one: str, other: str, also: Sequence[str]) -> int:
    """`divscale bench --compare`: ratios of two files. Returns the exit code.

    Args:
        one: a file that `divscale bench --json` wrote.
        other: another.
        also: words of the command line that ask for a measurement.

    Raises:
        ConfigError: as `read` and `compared`, or `also` holds any.
    """
    if also:
        raise ConfigError(f"--compare: two results are compared and nothing is measured, so {also[0]} has no place "
                          "beside it. Leave it out.")
    print(compared(read(one), read(other)))
    return 0


def shown(found: Bench) -> str:
    """What was measured, with the words that the numbers need."""
    rows = []
    for figure in found.figures:
        _, low, high = figure.spread
        floor = MISSING if figure.share_of_floor is None else f"{figure.share_of_floor:.1%} {figure.bound}"
        rows.append((figure.part, figure.name, figure.unit, f"{figure.count}", _number(figure.spread.median),
                     f"{_number(low)} to {_number(high)}" if len(figure.rates) > 1 else "one repeat",
                     MISSING if figure.efficiency is None else f"{figure.efficiency:.2f}", floor,
                     MISSING if figure.start_s is None else f"{figure.start_s:.1f}"))
    heads = ("Part", "Figure", "Unit", "Devices", "Median", "Spread", "Efficiency", "Of the floor", "Start, s")
    best = [f"{each.count} device(s) at once copy {spread(each.copies).median / 1e9:,.1f} GB/s and multiply at "
            + ", ".join(f"{spread(rates).median / 1e9:,.0f} GFLOP/s ({name})" for name, rates in each.matmuls.items())
            for each in found.at_best]
    gpus = [NOT_ON_GPU] if found.machine.kind == "GPU" else []
    return "\n".join([
        _title(found), as_text(Table(heads, tuple(rows), names=3)), *best,
        "Medians over repeats behind a first one that does not count; the spread is from lowest to highest. A floor is "
        "the least time for the bytes or products that the work takes. Starts are in the pipeline's alone.", *gpus])


def compared(before: Bench, after: Bench) -> str:
    """Every figure of two runs, their ratio, and whether they differ by more than repeats do.

    Raises:
        ConfigError: they asked different things.
    """
    for name in ("size", "parts", "scaling", "over"):
        one, other = (_words(getattr(found.asked, name)) for found in (before, after))
        if one != other:
            raise ConfigError(f"--compare: {name} of the first is {one}, of the second {other}: their figures are of "
                              "different work, and a ratio would say nothing. Run the same of both.")
    found = {(figure.part, figure.name, figure.count): figure for figure in after.figures}
    lacking = [figure.name for figure in before.figures if (figure.part, figure.name, figure.count) not in found]
    if lacking or len(found) != len(before.figures):
        which = f"the second lacks {lacking[0]!r}" if lacking else "the second has more"
        raise ConfigError(f"--compare: the two have different figures ({which}), so they ran on different engines or "
                          "devices. Run both with the same.")
    rows = [_row(figure, found[figure.part, figure.name, figure.count]) for figure in before.figures]
    changed = [f"{name} {version} -> {after.versions[name]}" for name, version in before.versions.items()
               if after.versions.get(name, version) != version]
    return "\n".join([
        f"A: {_title(before)}", f"B: {_title(after)}", *([f"Versions: {', '.join(changed)}"] if changed else []),
        as_text(Table(("Part", "Figure", "Unit", "Devices", "A", "B", "B / A", "B is"), tuple(rows), names=3)),
        "Faster and slower are beyond the spread: not even the extremes of the repeats meet."])


def _row(one: Figure, other: Figure) -> tuple[str, ...]:
    return (one.part, one.name, one.unit, f"{one.count}", _number(one.spread.median), _number(other.spread.median),
            f"{other.spread.median / one.spread.median:.3f}", verdict(one.rates, other.rates))


def _title(found: Bench) -> str:
    asked, machine = found.asked, found.machine
    devices = ", ".join(f"{machine.devices.count(name)} x {name}" for name in dict.fromkeys(machine.devices))
    return (f"{asked.size}, {asked.scaling} scaling, {found.date}, {devices} ({machine.cpu}, {machine.cores} cores, "
            f"{machine.memory_gib} GiB), load {found.load_before} before and {found.load_after} after")


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
