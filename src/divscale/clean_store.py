"""`divscale gc`: what of a store nothing needs, shown, and removed when asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from divscale.graph.garbage import find_garbage, remove
from divscale.graph.stage import in_order
from divscale.run import store_of
from divscale.stages.expand import expand
from divscale.study_file import load

SHOWN = 20


def clean_from_terminal(studies: Sequence[str], root: str | None, *, unfinished: bool, yes: bool) -> int:
    """Show (and with `yes` remove) debris, and where studies are named, what none of them needs."""
    store = store_of(root)
    needed = None
    if studies:
        needed = {stage.fingerprint for study in studies for stage in in_order([expand(load(study))])}
    found = find_garbage(store, unfinished=unfinished, needed=needed)
    if yes:
        found = remove(store, found)
    for item in sorted(found, key=lambda item: -item.size)[:SHOWN]:
        print(f"{item.size / 2**20:10.1f} MiB  {item.path.relative_to(store.root)}  ({item.why})")
    if len(found) > SHOWN:
        print(f"{'':14}and {len(found) - SHOWN} more")
    counts = ", ".join(f"{n} ({why})" for why, n in Counter(item.why for item in found).items())
    total = sum(item.size for item in found) / 2**20
    if not found:
        print(f"{store.root}: nothing to remove.")
    elif yes:
        print(f"{store.root}: removed {total:.1f} MiB: {counts}.")
    else:
        print(f"{store.root}: {total:.1f} MiB could go: {counts}. Nothing was removed; --yes removes it.")
    return 0
