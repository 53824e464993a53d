"""A study -> its stages: every arm, with all that it shares with the others made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from divscale import remote_code
from divscale.config import Study
from divscale.data.config import MixConfig
from divscale.graph.stage import Stage
from divscale.schema import CORRECT, MATCHED
from divscale.stages import (
    answer,
    correctness,
    embed,
    evaluate,
    harness,
    levels,
    load,
    match,
    measure,
    mix,
    model_view,
    pretrain,
    recursion,
    relabel,
    report,
    split,
    train,
)
from divscale.stages.evaluate import HeldOut
from divscale.stages.rates import Choice, choice
from divscale.training.config import TrainConfig


@dataclass(frozen=True)
class World:
    """What one generation seed shares: the split, the vectors, the judge, the rows that models are scored on.

    `writers` write, each in place of the study's generator of its number: a later generation.
    """

    seed: int
    data: Stage
    test: HeldOut
    others: tuple[HeldOut, ...]
    split: Stage
    data_vectors: Stage
    judge: Stage | None
    bases: Mapping[str, Stage]
    writers: Mapping[int, Stage] = field(default_factory=dict)


@dataclass(frozen=True)
class GeneratedSet:
    """One set that mixes draw from: a level, filtered or not, or real rows under the judge's labels."""

    level: float | None
    filter: str | None
    samples: Stage
    vectors: Stage
    correctness: Stage | None = None
    matched: Stage | None = None


@dataclass(frozen=True)
class Measured:
    """One measured set and what it is; null: the real pool. `view`: as a model sees it, where that is asked for."""

    words: dict[str, Any]
    stage: Stage
    chosen: GeneratedSet | None
    view: Stage | None


@dataclass(frozen=True)
class Arm:
    """One evaluated arm on one test set: predictions, answers where scores need them, its mix, and what it is.

    `asked`: the tasks of lm-evaluation-harness, which are the same on every test set and so stand beside one of them.
    """

    words: dict[str, Any]
    trained: Stage
    scored: Stage
    answered: Stage | None
    asked: Stage | None
    mixed: Stage


def expand(study: Study, reported: Callable[[Stage], bool] = lambda _: True) -> Stage:
    """The report stage of `study`; everything else hangs below it. Cost: linear in the number of arms.

    Args:
        study: what is asked.
        reported: whether an arm with these last stages is in the report; one that is not is counted there as missing.
    """
    made = worlds(study)
    sets = {seed: list(sets_of(study, world)) for seed, world in made.items()}
    choices = _choices(study, made[0], sets[0])
    measured = [item for seed, world in made.items() for item in _measured(study, world, sets[seed], made[0])]
    arms = {
        arm.scored.fingerprint: arm
        for draw in draws(study)
        for arm in _arms(study, made[draw[0]], sets[draw[0]], draw, choices)
    }
    shown = [arm for arm in arms.values() if reported(arm.scored) and (arm.answered is None or reported(arm.answered))]
    missing = len({arm.trained.fingerprint for arm in arms.values()} - {arm.trained.fingerprint for arm in shown})
    asked = [arm for arm in shown if arm.asked is not None and reported(arm.asked)]
    lines = [each for seed, world in made.items() for each in recursion.stages(study, world, sets[seed])]
    return report.stage(study, list(made.values()), measured, shown, sets, choices.values(), asked=asked,
                        missing=missing, lines=lines)


def generated_sets(study: Study) -> dict[int, list[GeneratedSet]]:
    """The generated sets of every generation seed, one a level, cleaned where the study says so."""
    return {seed: [GeneratedSet(level, None, samples, vectors)
                   for level, (samples, vectors) in levels.stages(study, world)]
            for seed, world in worlds(study).items()}


def worlds(study: Study) -> dict[int, World]:
    """What each generation seed shares."""
    remote_code.allow(study.allow_remote_code)
    source, test, others = load.stages(study)
    return {seed: _world(study, source, test, others, seed) for seed in range(study.seeds.generation)}


def _world(study: Study, source: Stage, test: Stage | None, others: Mapping[str, Stage], seed: int) -> World:
    parts = split.stage(source, test, study.data, seed)

    def held_out(name: str, part: evaluate.Part, samples: Stage) -> HeldOut:
        return HeldOut(name, part, samples, embed.stage(samples, study.measure.embedder))

    vectors = embed.stage(source, study.measure.embedder)
    judge = None
    if study.data.task == "classification" and study.data.prior_share > 0:
        judge = train.judge_stage(mix.prior_stage(source, parts), source, vectors)
    models = {entry.model for entry in study.train if entry.method != "probe" and entry.from_scratch}
    return World(
        seed=seed,
        data=source,
        test=held_out("test", "test", test or source),
        others=tuple(held_out(name, "all", samples) for name, samples in others.items()),
        split=parts,
        data_vectors=vectors,
        judge=judge,
        bases={model: pretrain.base_stage(study, source, parts, model, seed) for model in sorted(models)},
    )


def sets_of(study: Study, world: World) -> Iterator[GeneratedSet]:
    """Every set that mixes of one world draw from."""
    for level, (samples, vectors) in levels.stages(study, world):
        votes = levels.votes(study, world, samples)
        checked = correctness.stage(study, samples, vectors, world.judge, votes)
        for name in study.recipe.filters:
            matched = match.stage(study, world, samples, vectors, checked if name in CORRECT else None) \
                if name in MATCHED else None
            yield GeneratedSet(level, name, samples, vectors, checked, matched)
    if any(m.design == "judge_labelled" for m in study.mix):
        assert world.judge is not None
        relabelled = relabel.stage(world.data, world.split, world.data_vectors, world.judge)
        yield GeneratedSet(None, None, relabelled, relabelled)


def draws(study: Study) -> list[tuple[int, int, int]]:
    """(generation, data, training seed) of every repetition."""
    seeds = study.seeds
    if seeds.pairing == "zipped":
        return [(i, i, i) for i in range(seeds.generation)]
    return list(product(range(seeds.generation), range(seeds.data), range(seeds.training)))


def _measured(study: Study, world: World, sets: list[GeneratedSet], first: World) -> Iterator[Measured]:
    if world.seed == 0:
        yield Measured(
            {"level": None, "filter": "real", "generation_seed": None},
            measure.stage(study, world),
            None,
            model_view.stage(study, first, world),
        )
    for item in sets:
        if item.level is not None:
            yield Measured(
                {"level": item.level, "filter": item.filter, "generation_seed": world.seed},
                measure.stage(study, world, item),
                item,
                model_view.stage(study, first, world, item),
            )


def _choices(study: Study, world: World, sets: list[GeneratedSet]) -> dict[tuple[int, int], Choice]:
    """By training entry and number of rows: the choice among several learning rates, on the arms of the first seeds."""
    trials: dict[tuple[int, int], dict[str, tuple[Stage, ...]]] = {}
    for words, mixed, chosen in mixes(study, world, sets, 0):
        for i, entry in enumerate(study.train):
            if len(entry.lr) > 1 and selected(study, entry, words, 0):
                trials.setdefault((i, _rows(words)), {})[mixed.fingerprint] = tuple(
                    train.stage(study, entry.at(rate), world, mixed, chosen, 0, trial=True) for rate in entry.lr)
    return {(i, rows): choice(study.train[i].lr, own, f"{study.train[i].method}, {study.train[i].called}", rows)
            for (i, rows), own in trials.items()}


def _rows(words: Mapping[str, Any]) -> int:
    """Training rows that a mix asks for, per label in classification."""
    return words["labelled"] + (round(words["generated"]) if words["design"] != "constant_total" else 0)


def _arms(
    study: Study, world: World, sets: list[GeneratedSet], draw: tuple[int, int, int],
    choices: Mapping[tuple[int, int], Choice],
) -> Iterator[Arm]:
    generation_seed, data_seed, training_seed = draw
    for words, mixed, chosen in mixes(study, world, sets, data_seed):
        for i, entry in enumerate(study.train):
            if not selected(study, entry, words, data_seed):
                continue
            trained = train.stage(study, entry.at_its_rate, world, mixed, chosen, training_seed,
                                  choices.get((i, _rows(words))))
            asked = harness.stage(study.evaluate.harness, entry, trained, world) if study.evaluate.harness else None
            for rows in (world.test, *world.others):
                yield Arm(
                    {
                        **words,
                        "method": entry.method,
                        "model": entry.called,
                        "data_seed": data_seed,
                        "training_seed": training_seed,
                        "generation_seed": generation_seed,
                        "test": rows.name,
                    },
                    trained,
                    evaluate.stage(entry, study.data.task, trained, world, rows),
                    answer.stage(study, entry, trained, world, rows) if study.evaluate.writes else None,
                    asked if rows is world.test else None,
                    mixed,
                )


def mixes(
    study: Study,
    world: World,
    sets: list[GeneratedSet],
    data_seed: int,
) -> Iterator[tuple[dict[str, Any], Stage, GeneratedSet | None]]:
    """(what it is, the mix, the set it draws from) of every mix of one data seed, real rows alone first."""
    for k in study.real_counts:
        yield (
            _words("real_only", k, 0, None, None, None),
            mix.stage(study, world, None, "real_only", k, data_seed),
            None,
        )
    for config in study.mix:
        for chosen in sets:
            if not _applies(config, chosen):
                continue
            for k, generated, share in _amounts(study, config):
                amount = generated if share is None else config.amount_of(k, share)
                words = _words(config.design, k, amount, share, chosen.filter, chosen.level)
                yield (
                    words,
                    mix.stage(
                        study,
                        world,
                        chosen,
                        config.design,
                        k,
                        data_seed,
                        generated=generated,
                        share=share,
                        total=config.total,
                        shortfall=config.shortfall,
                    ),
                    chosen,
                )


def _words(
    design: str, k: int, generated: float | None, share: float | None, filtered: str | None, level: float | None
) -> dict[str, Any]:
    return {
        "design": design,
        "labelled": k,
        "generated": generated,
        "asked_share": share,
        "filter": filtered,
        "level": level,
    }


def _applies(config: MixConfig, chosen: GeneratedSet) -> bool:
    if config.design == "judge_labelled" or chosen.level is None:
        return config.design == "judge_labelled" and chosen.level is None
    return (config.levels is None or chosen.level in config.levels) and (
        config.filters is None or chosen.filter in config.filters
    )


def _amounts(study: Study, config: MixConfig) -> Iterator[tuple[int, int | None, float | None]]:
    labelled = config.labelled or study.data.labelled
    if config.design == "generated_only":
        labelled = (0,)
    if config.design == "constant_total" and config.total is not None:
        labelled = (config.total,)
    for k in labelled:
        for generated in config.generated:
            yield k, generated, None
        for share in config.generated_share:
            yield k, None, share


def selected(study: Study, entry: TrainConfig, words: Mapping[str, Any], data_seed: int) -> bool:
    """Whether a way of training runs on a mix of one data seed."""
    arms = entry.arms
    if arms.data_seeds is not None and data_seed >= arms.data_seeds:
        return False
    if words["design"] == "real_only":
        return study.takes_real(entry, words["labelled"])
    return arms.take(words["design"], words["labelled"], words["level"], words["filter"], words["generated"])
