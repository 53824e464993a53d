"""Lines of descent as stages: what every generation wrote, how it measures, and how well its writer reads real text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from divscale.config import Study
from divscale.generation.seeds import row_seed
from divscale.graph.stage import Stage
from divscale.schema import PRETRAIN
from divscale.stages import correctness, descend, evaluate, levels, measure, mix, pretrain, read_real, train
from divscale.training.config import TrainConfig

if TYPE_CHECKING:
    from divscale.stages.expand import GeneratedSet, World


@dataclass(frozen=True)
class Generation:
    """One generation of one line.

    Attributes:
        words: `regime`, `level`, `generation` (0: the real prior and the first writer) and `generation_seed`.
        measured: Diversity and shift of its set.
        checked: Whether its labels are right; null where nobody can tell, and of the prior.
        reads: The loss on real text of the model that learnt from it (of several sources, the first).
        scored: (data seed, predictions on the test set) of the probes that were trained on its set alone.
    """

    words: dict[str, Any]
    measured: Stage
    checked: Stage | None
    reads: Stage
    scored: tuple[tuple[int, Stage], ...]


def stages(study: Study, world: World, sets: list[GeneratedSet]) -> Iterator[Generation]:
    """Every generation of every line of descent of one generation seed; nothing where the study asks for none.

    Lines share their first set, and what they learn at first is the same where it is: more generations redo none.
    """
    if study.recursion is None:
        return
    from divscale.stages.expand import GeneratedSet

    first_writer = None
    if study.generator.model == PRETRAIN:
        first_writer = pretrain.generator_stage(study, world.data, world.split, world.seed)
    for begun in (item for item in sets if item.level is not None and item.filter == study.recipe.filters[0]):
        assert begun.level is not None
        for regime in study.recursion.regimes:
            line = {"regime": regime, "level": begun.level, "generation_seed": world.seed}
            yield Generation({**line, "generation": 0},
                             measure.stage(study, world), None,
                             read_real.stage(study, world, first_writer), ())
            item, written = begun, []
            for generation in range(1, study.recursion.generations + 1):
                written.append(item.samples)
                writers = {source: descend.stage(study, world, regime, written, source)
                           for source in levels.writing(study, begun.level)}
                own = GeneratedSet(begun.level, "none", item.samples, item.vectors)
                measured = measure.stage(study, world, own)
                yield Generation({**line, "generation": generation}, measured, item.correctness,
                                 read_real.stage(study, world, writers[0]), _scored(study, world, own))
                if generation < study.recursion.generations:
                    item = _written_by(study, world, writers, begun.level, generation)


def _written_by(
    study: Study, world: World, writers: Mapping[int, Stage], level: float, generation: int,
) -> GeneratedSet:
    """The next set: the same recipe at the same level from other writers, and from other random numbers."""
    from divscale.stages.expand import GeneratedSet

    later = replace(world, writers=writers, seed=row_seed(world.seed, "generation", generation) % 2**31)
    samples, vectors = levels.made(study, later, level)
    return GeneratedSet(level, "none", samples, vectors,
                        correctness.stage(study, samples, vectors, world.judge, levels.votes(study, world, samples)))


def _scored(study: Study, world: World, own: GeneratedSet) -> tuple[tuple[int, Stage], ...]:
    entry = probe_of(study)
    if entry is None:
        return ()
    found = []
    for seed in range(study.seeds.data):
        mixed = mix.stage(study, world, own, "generated_only", 0, seed, generated=study.recipe.samples,
                          shortfall="allow")
        trained = train.stage(study, entry, world, mixed, own, 0)
        found.append((seed, evaluate.stage(entry, study.data.task, trained, world, world.test)))
    return tuple(found)


def probe_of(study: Study) -> TrainConfig | None:
    """The probe that every generation's set is tried on: the study's own; null without one."""
    return next((entry for entry in study.train if entry.method == "probe"), None)
