"""A recipe's levels as stages: rounds that levels share once, compositions, and the search for a diversity target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from divscale.config import Study
from divscale.generation.recipes import AnyRecipe, get
from divscale.generation.recipes.votes import CHECKED, votes_of, voting_round
from divscale.graph.stage import Stage
from divscale.stages import clean, compose, embed, generate, pretrain, target

if TYPE_CHECKING:
    from divscale.stages.expand import World


Set = tuple[Stage, Stage]  # samples and their vectors, from one stage where the study cleans


def stages(study: Study, world: World) -> Iterator[tuple[float, Set]]:
    """(level, its set) for every level of the recipe's dial, or for every target, after cleaning."""
    if study.recipe.target:
        yield from _targets(study, world)
        return
    for level in study.recipe.levels:
        yield level, made(study, world, level)


def made(study: Study, world: World, level: float) -> Set:
    """One level's set, after cleaning."""
    return _cleaned(study, world, _made(study, world, study.recipe, level)[-1])


def _cleaned(study: Study, world: World, samples: Stage) -> Set:
    vectors = embed.stage(samples, study.measure.embedder)
    if study.clean.is_empty:
        return samples, vectors
    cleaned = clean.stage(study, world, samples, vectors)
    return cleaned, cleaned


def writing(study: Study, level: float) -> list[int]:
    """Numbers of the generators that write a level."""
    return sorted({this.source for this in get(study.recipe).rounds(study.recipe, level)})


def votes(study: Study, world: World, samples: Stage) -> Stage | None:
    """What a generator votes on a set's labels or answers; None where the study asks nobody."""
    if study.agreement.by != "votes":
        return None
    this = voting_round(study.agreement)
    return generate.stage(
        study, this, world.data, world.split, {CHECKED: samples}, _pretrained(study, world, this.source), world.seed,
        f"votes, {samples.title}", recipe=votes_of(study.agreement))


def _targets(study: Study, world: World) -> Iterator[tuple[float, Set]]:
    """Pilots of every setting, what encloses each target, whole sets of the settings needed, and their blends.

    Pilots and sets are cleaned before they are measured, so that a target is met by what stays; blends once more, for
    what the one set has of the other.
    """
    whole, few = study.recipe.searched, study.recipe.piloted
    pilots = {setting: _made(study, world, few, setting, "pilot, ") for setting in whole.levels}
    found = target.pilot_stage(study, world.data, world.split, {
        setting: _cleaned(study, world, made[-1])[1] for setting, made in pilots.items()}, world.seed)
    sets = {setting: _cleaned(study, world, _made(
        study, world, whole, setting, pilot=found, begun=pilots[setting])[-1]) for setting in whole.levels}
    for value in study.recipe.levels:
        yield value, _cleaned(study, world, target.blend_stage(study, found, sets, value, world.seed))


def _made(
    study: Study, world: World, recipe: AnyRecipe, level: float, prefix: str = "", *,
    pilot: Stage | None = None, begun: list[Stage] | None = None,
) -> list[Stage]:
    """The stages of a level's rounds and, where there is one, of its composition; the last is the set.

    `pilot` and `begun`: in a search, what was found, and the same stages of the setting's pilot.
    """
    module = get(recipe)
    rounds = module.rounds(recipe, level)
    others = [module.rounds(recipe, other) for other in recipe.levels if other != level]
    here = f"{prefix}{recipe.dial} {level:g}, seed {world.seed}"
    made: dict[str, Stage] = {}
    for place, this in enumerate(rounds):
        shared = bool(others) and all(this in plan for plan in others)
        where = f"{prefix}seed {world.seed}" if shared else here
        title = where if len(rounds) == 1 else f"{this.name}, {where}"
        model = _pretrained(study, world, this.source)
        made[this.name] = generate.stage(
            study, this, world.data, world.split, made, model, world.seed, title,
            setting=level if pilot and not shared else None,
            after_pilot={"pilot": pilot, "begun": begun[place]} if pilot and begun else None)
    stages = list(made.values())
    if hasattr(module, "compose"):
        stages.append(compose.stage(study, recipe.at(level), world.data, world.split, made, world.seed, here,
                                    setting=level if pilot else None, pilot=pilot))
    return stages


def _pretrained(study: Study, world: World, source: int) -> Stage | None:
    if world.writers:
        return world.writers[source]
    if study.generator.source(source).model != "pretrain":
        return None
    return pretrain.generator_stage(study, world.data, world.split, world.seed, source)
