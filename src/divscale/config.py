"""The study: one strict, frozen model, validated before anything starts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from divscale.data.config import DataConfig, MixConfig
from divscale.evaluation.config import EvaluateConfig
from divscale.frozen import Count, FrozenConfig
from divscale.generation.agreement import AgreementConfig
from divscale.generation.config import GeneratorConfig, GeneratorModel
from divscale.generation.filters.config import CleanConfig
from divscale.generation.recipes import AnyRecipe
from divscale.generation.recursion import RecursionConfig
from divscale.metrics.config import MeasureConfig
from divscale.runtime.resources import Resources
from divscale.schema import PRETRAIN, Filter
from divscale.study_checks import check
from divscale.training.config import PretrainConfig, TrainConfig


class SeedsConfig(FrozenConfig):
    """How often each random choice is repeated.

    pairing: `crossed` runs every combination; `zipped` redraws everything together (run i takes the i-th seed of each,
    the counts must agree).
    """

    generation: Count = 1
    data: Count = 5
    training: Count = 1
    pairing: Literal["crossed", "zipped"] = "crossed"

    @model_validator(mode="after")
    def _zipped_counts_agree(self) -> SeedsConfig:
        if self.pairing == "zipped" and len({self.generation, self.data, self.training}) != 1:
            raise ValueError("zipped seeds need equal counts of generation, data and training seeds")
        return self


BaseName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=40)]


class PretrainedModels(FrozenConfig):
    """Models trained on the spot: the generator, and the base models that `train` entries may start from.

    base: what `train.model: pretrain` names.
    bases: further ones; `pretrain:NAME` names them, as for one task at several sizes.
    """

    generator: PretrainConfig = PretrainConfig()
    base: PretrainConfig = PretrainConfig()
    bases: dict[BaseName, PretrainConfig] = Field(default={})

    def named(self, model: str) -> PretrainConfig:
        """The base model that a training entry names.

        Raises:
            KeyError: `bases` has none of that name.
        """
        return self.base if model == PRETRAIN else self.bases[model.removeprefix(f"{PRETRAIN}:")]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, dict) else value


class Study(FrozenConfig):
    """A study file. `name` and `resources` are no part of any result's identity.

    allow_remote_code: models may bring Python of their own, which then runs here with your rights. A folder that brings
        some is refused otherwise; its code is part of its identity.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    data: DataConfig
    generator: GeneratorConfig = GeneratorConfig()
    pretrain: PretrainedModels = PretrainedModels()
    recipe: AnyRecipe
    agreement: AgreementConfig = AgreementConfig()
    clean: CleanConfig = CleanConfig()
    recursion: RecursionConfig | None = None
    mix: Annotated[tuple[MixConfig, ...], BeforeValidator(_listed)] = ()
    train: Annotated[tuple[TrainConfig, ...], BeforeValidator(_listed)] = ()
    evaluate: EvaluateConfig = EvaluateConfig()
    measure: MeasureConfig = MeasureConfig()
    seeds: SeedsConfig = SeedsConfig()
    resources: Resources = Resources()
    allow_remote_code: bool = False

    def teacher_of(self, writer: GeneratorModel) -> TrainConfig | None:
        """The entry that says how a named generator learns from what it reads; null where none does."""
        return next((entry for entry in self.train if entry.teaches(writer.model, writer.revision)), None)

    @property
    def real_counts(self) -> tuple[int, ...]:
        """Rows that mixes of real rows alone have: the labelled counts, then every total that is none of them."""
        return tuple(dict.fromkeys((*self.data.labelled, *(mix.total for mix in self.mix if mix.total is not None))))

    def takes_total(self, entry: TrainConfig, rows: int) -> bool:
        """Whether an entry takes a mix of so many rows in all (`mix.total`)."""
        return any(self.takes(entry, mix, rows, name, mix.amount_of(rows, share))
                   for mix in self.mix if mix.total == rows for share in mix.generated_share
                   for name in mix.filters or self.recipe.filters)

    def takes(self, entry: TrainConfig, mix: MixConfig, labelled: int, name: Filter, amount: float) -> bool:
        """Whether an entry takes a mix at some level."""
        return any(entry.arms.take(mix.design, labelled, level, name, amount)
                   for level in mix.levels or self.recipe.levels)

    def takes_real(self, entry: TrainConfig, rows: int) -> bool:
        """Whether an entry takes so many real rows alone; those of a total, where it takes mixes of it to compare."""
        return entry.arms.take("real_only", rows, None, None, 0) and (
            rows in self.data.labelled or self.takes_total(entry, rows))

    @model_validator(mode="after")
    def _fits_together(self) -> Study:
        check(self)
        return self
