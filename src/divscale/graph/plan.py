"""The plan: what is cached, what would run, and why (the field that differs)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from divscale.graph.record import Record, package_versions
from divscale.graph.stage import Stage, in_order
from divscale.graph.store import Store
from divscale.redact import redact_all


@dataclass(frozen=True)
class Step:
    """One stage of a plan. `reason` is empty for a cached one."""

    stage: Stage
    cached: bool
    reason: str


def missing(targets: Iterable[Stage], store: Store) -> list[Stage]:
    """What has to be made for the targets, inputs first: what a committed stage was made from is not needed again. A
    stage whose files were pruned is made again where one that is missing reads them.
    """
    needed: set[str] = set()
    stack = [(target, False) for target in targets]
    while stack:
        stage, is_read = stack.pop()
        if stage.fingerprint in needed:
            continue
        artifact = store.find(stage)
        if artifact is None or (is_read and artifact.pruned):
            needed.add(stage.fingerprint)
            stack.extend(stage.needs())
    return [stage for stage in in_order(targets) if stage.fingerprint in needed]


def make_plan(targets: Iterable[Stage], store: Store) -> list[Step]:
    """Every stage of the targets that is cached or has to be made, inputs first, with the reason why it would run.

    The first stage of a name is compared with the store's records, the rest say that they are like it.
    """
    targets = list(targets)
    steps: list[Step] = []
    explained: set[str] = set()
    needed = {stage.fingerprint for stage in missing(targets, store)}
    for stage in in_order(targets):
        if stage.fingerprint not in needed:
            if store.find(stage) is not None:
                steps.append(Step(stage, True, ""))
            continue
        artifact = store.find(stage)
        if artifact is not None:
            gone = " and ".join(sorted(artifact.pruned))
            steps.append(Step(stage, False, f"its {gone} was removed to save space, and is needed again"))
            continue
        first = stage.name not in explained
        explained.add(stage.name)
        reason = explain(stage, store.records(stage.name)) if first else "as the first of its kind"
        steps.append(Step(stage, False, reason))
    return steps


def explain(stage: Stage, records: Iterable[Record]) -> str:
    """Why `stage` is not cached: what differs from the nearest record of the same name."""
    nearest: list[str] | None = None
    for record in records:
        differences = _differences(stage, record)
        if nearest is None or len(differences) < len(nearest):
            nearest = differences
    if nearest is None:
        return "never run"
    shown = "; ".join(nearest[:3]) + (f"; and {len(nearest) - 3} more" if len(nearest) > 3 else "")
    return shown or "its files were removed"


def changed_versions(targets: Iterable[Stage], store: Store) -> dict[str, tuple[str, str]]:
    """Packages whose version differs from what a cached artifact was made with: name -> (then, now)."""
    now = package_versions()
    changed: dict[str, tuple[str, str]] = {}
    for stage in in_order(targets):
        artifact = store.find(stage)
        if artifact is None:
            continue
        for name, then in artifact.record.versions.items():
            if name in now and now[name] != then:
                changed[name] = (then, now[name])
    return changed


def _differences(stage: Stage, record: Record) -> list[str]:
    found = [f"version: {record.version} -> {stage.version}"] if record.version != stage.version else []
    found += _compare("config", record.config, redact_all(stage.plain_config))
    inputs = stage.input_fingerprints
    found += [f"input {role} changed" for role in inputs if record.inputs.get(role) != inputs[role]]
    return found


def _compare(path: str, then: Any, now: Any) -> list[str]:
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        old, new = cast(Mapping[str, Any], then), cast(Mapping[str, Any], now)
        return [line for key in sorted({*old, *new}) for line in _compare(f"{path}.{key}", old.get(key), new.get(key))]
    return [] if then == now else [f"{path}: {_short(then)} -> {_short(now)}"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
