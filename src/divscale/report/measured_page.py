"""The page of one measured data set: one self-contained HTML file, with no script and no network."""

from __future__ import annotations

from dataclasses import dataclass

from divscale.report.tables import Table
from divscale.report.template import filled


@dataclass(frozen=True)
class MeasuredPage:
    """What the page shows; every text is escaped.

    Attributes:
        name: the data set.
        reference: what it was compared with.
        facts: (word, value) in large type.
        encoder: what made the vectors; empty without vectors.
        tables: (heading, one measure a row).
        groups: one group a row; null without groups.
        rejected: rows and groups left out; null where there are none.
        notes: sentences below the table.
    """

    name: str
    reference: str | None
    facts: tuple[tuple[str, str], ...]
    encoder: str
    tables: tuple[tuple[str, Table], ...]
    groups: Table | None
    rejected: Table | None
    notes: tuple[str, ...]


def render(page: MeasuredPage) -> str:
    """The page as HTML text. The same input gives the same bytes."""
    return filled("measured.html.j2", page=page)
