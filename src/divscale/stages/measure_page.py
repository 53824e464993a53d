"""What `measure_files` found, as the page that `--html` writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from divscale.metrics.catalogue import Setting, entry_of, title
from divscale.metrics.measure import Measurement
from divscale.report.measured_page import MeasuredPage, render
from divscale.report.naming import MISSING
from divscale.report.tables import Table
from divscale.stages.measure_files import MeasuredFiles


def page(found: MeasuredFiles) -> str:
    """The page as HTML text."""
    return render(MeasuredPage(
        name=found.data, reference=found.reference, facts=_facts(found), encoder=_settings(found.encoder),
        tables=tuple(_tables(found)), groups=_groups(found), rejected=_rejected(found), notes=tuple(found.notes)))


def _facts(found: MeasuredFiles) -> tuple[tuple[str, str], ...]:
    facts = [("rows", f"{found.rows:,}"), ("measured at n", f"{found.n:,}")]
    if found.reference_rows is not None:
        facts.insert(1, ("reference rows", f"{found.reference_rows:,}"))
    if found.encoder:
        facts.append(("encoder", str(found.encoder["embedder"])))
    return tuple(facts)


def _tables(found: MeasuredFiles) -> Iterator[tuple[str, Table]]:
    """Diversity and shift, each with its table where it was measured."""
    for kind, heading in (("diversity", "Diversity"), ("shift", "Shift from the reference")):
        rows = [(title(name), name, _settings({k: v for k, v in m.settings.items() if k not in found.encoder}),
                 f"{m.value:.4g}", _interval(m), f"{m.n:,}")
                for name, m in found.metrics.items() if entry_of(name).kind == kind]
        if rows:
            yield heading, Table(("Measure", "Name", "Settings", "Value", "95 % interval", "n"), tuple(rows), names=3)


def _groups(found: MeasuredFiles) -> Table | None:
    if not found.groups:
        return None
    names = list(found.metrics)
    everything = {"all rows": found.metrics, **found.groups}
    rows = [(group, *(f"{metrics[name].value:.4g}" if name in metrics else MISSING for name in names))
            for group, metrics in everything.items()]
    return Table(("Group", *(title(name) for name in names)), tuple(rows))


def _rejected(found: MeasuredFiles) -> Table | None:
    rows = [(where or "", reason, f"{count:,}")
            for where, reasons in ((found.data, found.rejected), (found.reference, found.reference_rejected))
            for reason, count in reasons.items()]
    rows += [(f"group {name}", f"fewer than {found.n} rows", f"{count:,}")
             for name, count in found.small_groups.items()]
    return Table(("Where", "Why", "Rows"), tuple(rows), names=2) if rows else None


def _settings(settings: Mapping[str, Setting]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)


def _interval(m: Measurement) -> str:
    return MISSING if m.low is None else f"{m.low:.4g} to {m.high:.4g}"
