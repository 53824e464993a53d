"""A table as text for a terminal."""

from __future__ import annotations

from divscale.report.tables import Table


def as_text(table: Table) -> str:
    """Columns aligned, words to the left and numbers to the right; every row on one line."""
    rows = [[" ".join(cell.split("\n")) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    return "\n".join("  ".join(
        cell.ljust(width) if i < table.names else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows)


def without_constant(table: Table, keep: int) -> tuple[Table, str]:
    """The table without those of its columns before `keep` that say the same in every row, and what they say."""
    constant = [i for i in range(keep) if table.rows and len({row[i] for row in table.rows}) == 1]
    said = ", ".join(f"{table.columns[i].lower()} {table.rows[0][i]}" for i in constant)

    def rest(row: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(cell for i, cell in enumerate(row) if i not in constant)

    names = table.names - sum(i < table.names for i in constant)
    return Table(rest(table.columns), tuple(rest(row) for row in table.rows), names), said
