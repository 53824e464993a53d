"""What a study measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from divscale.embedding.config import EmbedderConfig
from divscale.frozen import Count, FrozenConfig, by_name
from divscale.metrics.catalogue import names
from divscale.schema import PRETRAIN, trained_here

if TYPE_CHECKING:
    Diversity = str
    Shift = str
else:  # one list of names: the catalogue's
    Diversity = Literal[names("diversity")]
    Shift = Literal[names("shift")]


ROLES = ("proxy", "reference")


class ViewingModel(FrozenConfig):
    """A causal model that looks at sets: a folder or hub name, or a base model trained on the spot, as `train` says."""

    model: str = PRETRAIN
    revision: str | None = None

    @property
    def from_scratch(self) -> bool:
        """Whether it is trained on the spot."""
        return trained_here(self.model)


class ModelViewConfig(FrozenConfig):
    """Sets as a model sees them: the diversity of a proxy's gradients (G-Vendi), and a reference model's loss.

    proxy: whose gradients. Chat models are shown rows as arms are taught them, without a chat template.
    reference: whose loss and perplexity; null: the proxy's.
    loss: what the gradients are of: `text`, all that a generator writes (in questions the question and the answer), or
        `target`, what an arm with a causal head learns to write (the label, the answer). The reference reads the text.
    """

    proxy: Annotated[ViewingModel, BeforeValidator(by_name)] = ViewingModel()
    reference: Annotated[ViewingModel | None, BeforeValidator(by_name)] = None
    loss: Literal["text", "target"] = "text"
    projected: Annotated[int, Field(ge=64, le=65536)] = Field(
        default=4096, description="numbers that a gradient is projected to; above them G-Vendi comes out about "
                                  "n / (2 x projected) too low where gradients have nothing in common")
    n: Annotated[int, Field(ge=4)] | None = Field(default=None, description="rows of each set; null: measure.n")
    max_length: Count = Field(default=512, description="tokens of a row; a set with a longer text is not measured")

    @property
    def models(self) -> dict[str, ViewingModel]:
        """By role, those that are named."""
        return {role: model for role in ROLES if (model := getattr(self, role)) is not None}


class MeasureConfig(FrozenConfig):
    """Diversity and shift, always at one n, so that numbers compare."""

    embedder: EmbedderConfig = EmbedderConfig()
    n: Annotated[int, Field(ge=4)] = Field(
        default=200, description="rows every set is subsampled to; a set with fewer is not measured"
    )
    temperatures: tuple[Annotated[float, Field(gt=0)], ...] = (1.0, 0.05)
    diversity: tuple[Diversity, ...] = names("diversity", default=True)
    shift: tuple[Shift, ...] = names("shift", default=True)
    subsamples: Count = Field(default=5, description="subsamples without replacement behind each interval")
    model_view: ModelViewConfig | None = None

    @model_validator(mode="after")
    def _no_more_rows_than_the_others(self) -> MeasureConfig:
        view = self.model_view
        if view is not None and view.n is not None and view.n > self.n:
            raise ValueError(f"model_view.n: {view.n} rows are more than the {self.n} of measure.n, which every set "
                             "has; lower the one, or raise the other")
        return self
