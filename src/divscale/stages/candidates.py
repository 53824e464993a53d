"""The settings that a recommendation chooses among: what each is, and its stages for every draw of seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from divscale.config import Study
from divscale.errors import ConfigError
from divscale.evaluation.config import WRITTEN
from divscale.graph.stage import Stage
from divscale.stages import evaluate, measure, train
from divscale.stages.evaluate import HeldOut
from divscale.stages.expand import World, draws, mixes, selected, sets_of, worlds

REAL_ONLY = "real_only"


@dataclass(frozen=True)
class Tried:
    """One setting on one draw: its mix, what its generated set measures (null: it has none), and what it predicts on
    validation and on test rows.
    """

    mixed: Stage
    measured: Stage | None
    validated: Stage
    tested: Stage


@dataclass(frozen=True)
class Candidates:
    """Settings by what they are, each with one `Tried` a draw; real rows alone beside them.

    Attributes:
        settings: (design, level, filter, generated rows or null, share asked for or null) -> one a draw.
        real_only: Number of real rows alone -> one a draw.
        labelled: The study's labelled count.
        draws: (generation, data, training seed).
    """

    settings: dict[tuple[Any, ...], list[Tried]]
    real_only: dict[int, list[Tried]]
    labelled: int
    draws: list[tuple[int, int, int]]

    def rows_beside(self, setting: tuple[Any, ...]) -> int:
        """How many real rows alone a setting is compared with: its total, else the labelled count."""
        mixed: Any = self.settings[setting][0].mixed.config
        return mixed.labelled or self.labelled

    def beside(self, setting: tuple[Any, ...]) -> list[Tried]:
        """Real rows alone that a setting is compared with, one a draw."""
        return self.real_only.get(self.rows_beside(setting), [])


def candidates(study: Study) -> Candidates:
    """Every mix of `study` with generated rows, for its one labelled count and way of training.

    Raises:
        ConfigError: It has several of either, no validation rows to choose on, a score that needs written answers, no
            training of real rows alone on some draw, or two mixes that are one setting.
    """
    _check(study)
    entry = study.train[0].at_its_rate
    made = worlds(study)
    sets = {seed: list(sets_of(study, world)) for seed, world in made.items()}
    settings: dict[tuple[Any, ...], list[Tried]] = {}
    real_only: dict[int, list[Tried]] = {}
    for generation_seed, data_seed, training_seed in draws(study):
        world = made[generation_seed]
        for words, mixed, chosen in mixes(study, world, sets[generation_seed], data_seed):
            if words["design"] == "judge_labelled" or not selected(study, entry, words, data_seed):
                continue
            trained = train.stage(study, entry, world, mixed, chosen, training_seed)
            measured = measure.stage(study, world, chosen) if chosen else None
            tried = Tried(mixed, measured, *(evaluate.stage(entry, study.data.task, trained, world, rows)
                                             for rows in (_validation(world), world.test)))
            if words["design"] == REAL_ONLY:
                real_only.setdefault(words["labelled"], []).append(tried)
            else:
                key = words["design"], words["level"], words["filter"], words["generated"], words["asked_share"]
                settings.setdefault(key, []).append(tried)
    if not settings:
        raise ConfigError("recommend: the study has no mix with generated rows to choose among; give it one, as in "
                          "mix: {design: add_on, generated: [20]}.")
    among = Candidates(settings, real_only, study.data.labelled[0], draws(study))
    _check_draws(among, study)
    return among


def stages_of(tried: Iterator[Tried], *, tested: bool) -> list[Stage]:
    """What has to be made of some: predictions on validation rows, and on test rows where asked."""
    return [stage for one in tried for stage in ((one.validated, one.tested) if tested else (one.validated,))]


def _validation(world: World) -> HeldOut:
    return HeldOut("validation", "validation", world.data, world.data_vectors)


def _check(study: Study) -> None:
    if len(study.data.labelled) > 1:
        raise ConfigError(f"recommend: data.labelled has {len(study.data.labelled)} counts, and what is best may "
                          f"differ between them; choose one, as in data.labelled=[{study.data.labelled[0]}].")
    if len(study.train) != 1 or len(study.train[0].lr) > 1:
        raise ConfigError("recommend: it needs one way of training, at one learning rate, and the study has "
                          f"{len(study.train)} with {sum(max(1, len(entry.lr)) for entry in study.train)}; name it, as "
                          "in train={method: probe}.")
    if study.data.validation_share == 0:
        raise ConfigError("recommend: settings are chosen on validation rows, so that the test rows can say what the "
                          "choice is worth, and data.validation_share is 0; raise it, as in data.validation_share=0.3.")
    if study.evaluate.metrics[0] in WRITTEN:
        raise ConfigError(f"recommend: evaluate.metrics begins with {study.evaluate.metrics[0]}, which needs written "
                          "answers for every trial; put a teacher-forced score first, as in [exact_match].")


def _check_draws(among: Candidates, study: Study) -> None:
    """Real rows alone and every setting have one entry a draw: scores are compared draw by draw."""
    wanted = len(among.draws)
    alone = min(len(among.beside(key)) for key in among.settings)
    if alone != wanted:
        raise ConfigError("recommend: settings are compared with real rows alone on every draw of seeds, and "
                          f"train.0.arms selects these on {alone} of {wanted}; leave arms.data_seeds "
                          f"out (or lower seeds to it), and let arms.designs, where it is given, hold {REAL_ONLY}.")
    for (design, level, filter_, generated, _), tried in among.settings.items():
        if len(tried) != wanted:
            raise ConfigError(f"recommend: {len(tried) // wanted} of the study's mixes are the same setting ({design}, "
                              f"{study.recipe.dial} {level:g}, filter {filter_}, {generated:g} generated rows), and "
                              "which of them is best could not be said; name each amount once in mix, one mix.total.")
