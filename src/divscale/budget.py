"""`--budget`: refuse a study whose estimate is above it, and offer a smaller one of the same shape."""

from __future__ import annotations

import json
import shlex
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from divscale.config import Study
from divscale.errors import ConfigError
from divscale.graph.plan import missing
from divscale.graph.stage import Stage
from divscale.graph.store import Store
from divscale.learned import Learned
from divscale.stages.expand import expand
from divscale.stages.generation_cost import Requests
from divscale.stages.study_cost import StudyCost, study_cost

KINDS = ("gpu_hours", "core_hours", "hours")
LEAST_SEEDS = 3  # below it an interval says next to nothing
LEAST_LEVELS = 3  # both ends and one between them
Load = Callable[[Sequence[str]], Study]  # the study with these overrides besides those that it has


@dataclass(frozen=True)
class Offer:
    """Overrides that make the study fit, and what it costs then; null: nothing, for the store has all of it."""

    overrides: tuple[str, ...]
    cost: StudyCost | None


def limits_of(words: Sequence[str]) -> dict[str, float]:
    """`KIND=NUMBER` of every `--budget`.

    Raises:
        ConfigError: A kind that there is not, or no positive number.
    """
    found: dict[str, float] = {}
    for word in words:
        kind, _, value = word.partition("=")
        try:
            found[kind] = float(value)
        except ValueError:
            found[kind] = 0.0
        if kind not in KINDS or not 0 < found[kind] < float("inf"):
            raise ConfigError(f"--budget: {word!r} is none; write gpu_hours, core_hours or hours and a number above 0, "
                              "as in --budget gpu_hours=8.")
    return found


def check(
    study: Study, store: Store, limits: dict[str, float], load: Load, learned: Learned | None = None,
) -> str:
    """Refuse a study that would cost more than `limits`; what is cached costs nothing.

    Takes as long as a plan, and some plans more for an offer. `learned` is what beside
    the store says how long stages take.

    Returns:
        What the estimate that fits leaves out; empty where that is nothing.

    Raises:
        ConfigError: The estimate is above a limit: which, by how much, and what would fit; or no GPU is known of.
    """
    pending = _pending(study, store)
    if not pending[1]:
        return ""
    requests, learned = Requests(study), learned or Learned()

    def cost_of(one: Study) -> StudyCost | None:
        target, waiting = _pending(one, store)
        known = all(requests.of(stage) for stage in waiting if stage.name == "generate")
        asked = requests if known else Requests(one)
        return study_cost(one, target, waiting, asked, store, learned.stores, learned.benchmarks) if waiting else None

    cost = study_cost(study, *pending, requests, store, learned.stores, learned.benchmarks)
    above = over(cost, limits)
    if not above:
        return f"--budget: estimated {cost.spent()}, so it may be above" if cost.unknown else ""
    found = offer(study, cost_of, limits, load)
    if found is None:
        hint = "Fewer seeds (down to 3), levels (down to 3) and labelled counts do not bring it below."
    else:
        words = " ".join(shlex.quote(override) for override in found.overrides)
        price = "no cost (the store has it)"
        if found.cost is not None:
            price = f"about {found.cost.spent()} for {found.cost.arms:,} arms"
        hint = f"What fits and stays balanced, at {price}: {words}."
    raise ConfigError(f"--budget: {study.name} with its {cost.arms:,} arms would take about {cost.spent()}, above "
                      f"{' and '.join(above)}; nothing was run. {hint} `divscale plan` says what the estimate rests "
                      "on.")


def offer(
    study: Study, cost_of: Callable[[Study], StudyCost | None], limits: dict[str, float], load: Load,
) -> Offer | None:
    """The first of `smaller` that fits the limits; None where none does. Costs the logarithm of their number in plans.

    Args:
        study: What is too large.
        cost_of: A study's cost; null where there is nothing to run.
        limits: By kind.
        load: A study with overrides. One that they make invalid is passed over.
    """
    steps: list[tuple[tuple[str, ...], Study]] = []
    for overrides in smaller(study):
        try:
            steps.append((overrides, load(overrides)))
        except ConfigError:
            continue

    @cache
    def cost_at(i: int) -> StudyCost | None:
        return cost_of(steps[i][1])

    first = bisect_left(range(len(steps)), True, key=lambda i: not ((cost := cost_at(i)) and over(cost, limits)))
    return Offer(steps[first][0], cost_at(first)) if first < len(steps) else None


def over(cost: StudyCost, limits: dict[str, float]) -> list[str]:
    """The limits that a cost is above, in words.

    Raises:
        ConfigError: GPU hours are limited, and no GPU is known of.
    """
    if "gpu_hours" in limits and not cost.machine.gpus:
        raise ConfigError("--budget gpu_hours: this machine has no GPU, and resources.gpus does not say how many the "
                          "run will have. Name them, as in --cluster configs/clusters/h200x8.yaml or resources.gpus=8, "
                          "or give core_hours or hours.")
    return [f"{kind}={limit:g}" for kind, limit in limits.items() if getattr(cost, kind) > limit]


def smaller(study: Study) -> Iterator[tuple[str, ...]]:
    """Overrides that make a study smaller and smaller, and keep its design crossed.

    First seeds go, the more numerous ones first, down to 3 of each; then levels, thinned evenly with both
    ends kept, down to 3; then labelled counts likewise, down to the lowest. What a mix or a way of training selects by
    level or count moves to the nearest that stays.
    """
    changed: dict[str, str] = {}
    yield from _fewer_seeds(study, changed)
    levels = sorted(study.recipe.levels)
    for count in range(len(levels) - 1, LEAST_LEVELS - 1, -1):
        kept = thinned(levels, count)
        changed[_dial(study)] = _json([value for value in _dial_values(study) if float(value) in kept])
        changed |= _moved(study, "levels", kept)
        yield _words(changed)
    labelled = sorted(study.data.labelled)
    for count in range(len(labelled) - 1, 0, -1):
        kept = thinned(labelled, count)
        changed["data.labelled"] = _json([value for value in study.data.labelled if value in kept])
        changed |= _moved(study, "labelled", kept)
        yield _words(changed)


def thinned(values: Sequence[Any], count: int) -> list[Any]:
    """So many of ascending values, as evenly spread over their places as can be, both ends among them; of one the
    lowest.
    """
    if count == 1:
        return [values[0]]
    return [values[round(i * (len(values) - 1) / (count - 1))] for i in range(count)]


def _fewer_seeds(study: Study, changed: dict[str, str]) -> Iterator[tuple[str, ...]]:
    # of equally many: more draws of real rows say more than more starts, and more generators more than either
    left = {name: getattr(study.seeds, name) for name in ("training", "data", "generation")}
    while max(left.values()) > LEAST_SEEDS:
        most = max(left, key=lambda name: left[name])
        for name in left if study.seeds.pairing == "zipped" else (most,):
            left[name] -= 1
            changed[f"seeds.{name}"] = str(left[name])
        for i, entry in enumerate(study.train):
            if (entry.arms.data_seeds or 0) > left["data"]:
                changed[f"train.{i}.arms.data_seeds"] = str(left["data"])
        yield _words(changed)


def _moved(study: Study, field: str, kept: Sequence[Any]) -> dict[str, str]:
    selections = [(f"mix.{i}.{field}", getattr(mix, field)) for i, mix in enumerate(study.mix)]
    selections += [(f"train.{i}.arms.{field}", getattr(entry.arms, field)) for i, entry in enumerate(study.train)]
    nearest = {name: list(dict.fromkeys(min(kept, key=lambda value, old=old: abs(value - old)) for old in chosen))
               for name, chosen in selections if chosen is not None}
    return {name: _json(chosen) for name, chosen in nearest.items()}


def _dial(study: Study) -> str:
    return "recipe.target.value" if study.recipe.target else f"recipe.{study.recipe.dial}"


def _dial_values(study: Study) -> Sequence[Any]:
    return study.recipe.target.value if study.recipe.target else getattr(study.recipe, study.recipe.dial)


def _json(values: Sequence[Any]) -> str:
    return json.dumps(values, separators=(",", ":"))


def _words(changed: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{key}={value}" for key, value in changed.items())


def _pending(study: Study, store: Store) -> tuple[Stage, list[Stage]]:
    target = expand(study)
    return target, missing([target], store)
