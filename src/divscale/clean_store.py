"""`divscale gc`: what of a store nothing needs, shown, and removed when asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from divscale.errors import ConfigError, PreflightError
from divscale.graph.garbage import find_garbage, remove
from divscale.graph.stage import in_order
from divscale.run import store_of
from divscale.stages.expand import expand
from divscale.stages.identity import unresolved_model
from divscale.study_file import load

SHOWN = 20


def clean_from_terminal(words: Sequence[str], root: str | None, *, unfinished: bool, yes: bool) -> int:
    """Show (and with `yes` remove) debris, and where studies are named, what none of them needs.

    Args:
        words: Study files, and overrides (`key.sub=value`) of every one of them.
        root: Of the store.
        unfinished: Whether work that a run would go on from may go.
        yes: Whether it goes.

    Raises:
        ConfigError: A study or an override is wrong.
        PreflightError: A model of a study is not on this machine, or a run is at work.
    """
    store = store_of(root)
    overrides = [word for word in words if "=" in word]
    studies = [word for word in words if "=" not in word]
    if overrides and not studies:
        raise ConfigError(f"override {overrides[0]!r}: no study is named that it changes. Name the study file too.")
    needed = _needed(studies, overrides) if studies else None
    found = find_garbage(store, unfinished=unfinished, needed=needed)
    if yes:
        found = remove(store, found)
    for item in sorted(found, key=lambda item: -item.size)[:SHOWN]:
        print(f"{item.size / 2**20:10.1f} MiB  {item.where}  ({item.why})")
    if len(found) > SHOWN:
        print(f"{'':14}and {len(found) - SHOWN} more")
    counts = ", ".join(f"{n} ({why})" for why, n in Counter(item.why for item in found).items())
    total = sum(item.size for item in found) / 2**20
    if not found:
        print(f"{store.name}: nothing to remove.")
    elif yes:
        print(f"{store.name}: removed {total:.1f} MiB: {counts}.")
    else:
        print(f"{store.name}: {total:.1f} MiB could go: {counts}. Nothing was removed; --yes removes it.")
    return 0


def _needed(studies: Sequence[str], overrides: Sequence[str]) -> set[str]:
    needed: set[str] = set()
    for study in studies:
        for stage in in_order([expand(load(study, overrides))]):
            model = unresolved_model(stage)
            if model is not None:
                raise PreflightError(
                    f"{study}: model {model} is not on this machine, so which results are this study's cannot be told, "
                    "and all of them would count as needed by none. Point HF_HOME at the cache that has it, or start "
                    "from the folder that the study was run from.")
            needed.add(stage.fingerprint)
    return needed
