"""`recommend --budget`: how many trainings it may use, as a number or as hours that the cost model makes into one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from divscale.budget import KINDS, limits_of, over
from divscale.config import Study
from divscale.errors import ConfigError
from divscale.graph.stage import Stage, in_order
from divscale.graph.store import Store
from divscale.learned import Learned
from divscale.report.statistics.halving import Rung, cost, rungs
from divscale.stages.candidates import Candidates, stages_of
from divscale.stages.expand import expand
from divscale.stages.generation_cost import Requests
from divscale.stages.study_cost import StudyCost, study_cost


@dataclass(frozen=True)
class Budget:
    """What a recommendation may spend.

    Attributes:
        trainings: At most, real rows alone among them; null: a third of the whole grid, or as many as hours allow.
        limits: Of estimated `gpu_hours`, `core_hours` or `hours`.
    """

    trainings: int | None = None
    limits: dict[str, float] = field(default_factory=dict)


def budget_of(words: Sequence[str]) -> Budget:
    """A number of trainings, or `KIND=NUMBER`, of every `--budget`.

    Raises:
        ConfigError: One is neither.
    """
    numbers = [word for word in words if word.isascii() and word.isdecimal()]
    named = [word for word in words if word not in numbers]
    wrong = next((word for word in named if "=" not in word), None)
    if wrong is not None:
        raise ConfigError(f"--budget: {wrong!r} is none; write a number of trainings, as in --budget 60, or "
                          f"{', '.join(KINDS)} and a number above 0, as in --budget gpu_hours=8.")
    return Budget(min(map(int, numbers), default=None), limits_of(named))


def affordable(
    among: Candidates, study: Study, store: Store, budget: Budget, learned: Learned | None = None,
) -> tuple[int, StudyCost]:
    """The most trainings that the budget allows, their whole cost being estimated within its limits; and that cost.

    Generation, embedding and scoring count, and so does what the store has: a budget is of the whole recommendation,
    and the same one gives the same number on an empty store and on a full one that has the same rates. Which settings
    will stay nobody knows: those of most generated rows are reckoned with.

    Cost: the logarithm of the number of settings in plans.

    Raises:
        ConfigError: The least that can be tried is above a limit, or no GPU is known of. (`recommend` says where it is
            more trainings than are allowed.)
    """
    settings, draws = len(among.settings), len(among.draws)
    target, requests, learned = expand(study), Requests(study), learned or Learned()

    @cache
    def cost_of(schedule: tuple[Rung, ...]) -> StudyCost:
        return study_cost(study, target, in_order(_stages(among, schedule)), requests, store, learned.stores,
                          learned.benchmarks)

    schedules = sorted({tuple(rungs(settings, draws, kept)) for kept in range(1, settings + 1)}, key=cost)
    if budget.trainings is not None:
        schedules = [one for one in schedules if cost(one) + draws <= budget.trainings] or schedules[:1]
    least = schedules[0]
    if above := over(cost_of(least), budget.limits):
        raise ConfigError(f"--budget: the least, {cost(least) + draws} trainings, would take about "
                          f"{cost_of(least).spent()}, above {' and '.join(above)}; nothing was run. Name fewer "
                          "settings or fewer seeds, or give more.")
    too_many = bisect_left(schedules, True, lo=1, key=lambda one: bool(over(cost_of(one), budget.limits)))
    most = schedules[too_many - 1]
    return cost(most) + draws, cost_of(most)


def _stages(among: Candidates, schedule: Sequence[Rung]) -> list[Stage]:
    """What a schedule makes where the settings of most generated rows are the ones that stay."""
    keys = sorted(among.settings, key=lambda key: -(key[3] or 0))
    dear = [among.settings[key] for key in keys]
    tried = [one for rung in schedule for rows in dear[:rung.settings] for one in rows[:rung.draws]]
    measured = dear[0][0].measured
    assert measured is not None  # settings are mixes with generated rows
    ends = stages_of(iter([*dear[0], *among.beside(keys[0])]), tested=True)
    return [*stages_of(iter(tried), tested=False), *ends, measured]
