"""What a run would start: its stages are gone through as the runner would hand them out, and nothing is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from divscale.graph.frontier import Frontier
from divscale.graph.stage import Stage
from divscale.stages.machine import FLEETS, WITHOUT_GPUS


@dataclass(frozen=True)
class HandOuts:
    """Counts of what is paid besides the stages' own work.

    Attributes:
        starts: of the driver, of Ray and of fleets, by what starts.
        firsts: by name of stage: hand-outs to workers that have seen no stage of the name yet.
    """

    starts: Mapping[str, int]
    firsts: Mapping[str, int]


def hand_outs(
    pending: Sequence[Stage], order: Sequence[str], at_most: Mapping[str, int], *, gpus: bool, groups: int = 1,
) -> HandOuts:
    """Follow the runner through stages, given inputs first. Cost: O(stages + edges).

    Args:
        pending: what would be made.
        order: names in the order in which they are preferred.
        at_most: stages of a name that one hand-out has.
        gpus: fleets that have some take turns; others stay beside each other, and only one of the same kind replaces
            one.
        groups: training groups, each of which starts anew for every arm of ZeRO 3, side by side with the others.
    """
    left, place = Frontier(pending), {name: i for i, name in enumerate(order)}
    starts, firsts = Counter({"driver": 1}), Counter[str]()
    warm: dict[str, object] = {}  # fleet -> which of its kind
    seen: dict[str, set[str]] = {}  # fleet -> names it has seen since it started
    while left:
        name = min(left.ready_names(), key=place.__getitem__)
        handed = list(islice(left.ready_of(name), at_most.get(name)))
        fleet = FLEETS.get(name, "driver")
        for key in dict.fromkeys(_engine(stage) for stage in handed):
            if fleet == "driver" or key == "endpoint" or warm.get(fleet) == (key or fleet):
                continue
            if gpus and fleet not in WITHOUT_GPUS:
                warm = {held: which for held, which in warm.items() if held in WITHOUT_GPUS}
            warm[fleet], seen[fleet] = key or fleet, set()
            starts["ray"] = 1
            starts[fleet] += 1
        if name not in seen.setdefault(fleet, set()):
            seen[fleet].add(name)
            firsts[name] += 1
        starts["training"] += -(-sum(map(_has_zero_3, handed)) // groups)
        left.without(handed)
    starts = +starts
    return HandOuts(starts, firsts)


def _has_zero_3(stage: Stage) -> bool:
    config: Any = stage.config
    how = getattr(config, "tuned", None) or config
    return getattr(how, "zero_stage", 0) == 3


def _engine(stage: Stage) -> str | None:
    """Which engine a stage needs; null where every fleet of its kind does."""
    config: Any = stage.config
    model = stage.inputs.get("model")
    if stage.name == "answer":  # a fresh one for every arm
        return stage.fingerprint
    if stage.name != "generate":
        return None
    if config.engine.engine == "openai":
        return "endpoint"
    return f"{config.source} {model.fingerprint if isinstance(model, Stage) else config.model}"
