"""The law of every map over rows: what went in came out once, as a result, a failure or a filtered row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from divscale.errors import RowAccountingError


def check_rows(
    asked_ids: Iterable[str], ok_ids: Iterable[str], failed_ids: Iterable[str] = (), filtered_ids: Iterable[str] = (),
    *, where: str,
) -> dict[str, int]:
    """Check that `in == ok + failed + filtered`, row by row.

    Args:
        asked_ids: ids that went in.
        ok_ids: ids with a result.
        failed_ids: ids without one, kept with their reason.
        filtered_ids: ids taken out on purpose.
        where: the map, as a user knows it ("generation of level 0.7").

    Returns:
        The four counts, for the record: `in`, `ok`, `failed`, `filtered`.

    Raises:
        RowAccountingError: rows were lost, doubled or invented; the message names the first of each.
    """
    asked, out = Counter(asked_ids), Counter[str]()
    counts = {"in": sum(asked.values())}
    for name, ids in (("ok", ok_ids), ("failed", failed_ids), ("filtered", filtered_ids)):
        part = Counter(ids)
        counts[name] = sum(part.values())
        out += part
    wrong = {
        "asked for twice": [row for row, count in asked.items() if count > 1],
        "lost": [row for row in asked if row not in out],
        "doubled": [row for row, count in out.items() if count > 1],
        "invented": [row for row in out if row not in asked],
    }
    found = [f"{len(rows)} {name} ({', '.join(rows[:3])}{', ...' if len(rows) > 3 else ''})"
             for name, rows in wrong.items() if rows]
    if found:
        raise RowAccountingError(
            f"the rows of {where} do not add up: {counts['in']} in, {counts['ok']} ok, {counts['failed']} failed, "
            f"{counts['filtered']} filtered; {'; '.join(found)}. Nothing of it was kept; run again, and report it if "
            "it stays.")
    return counts
