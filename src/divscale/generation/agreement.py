"""What a study says about which generated rows carry the right label or answer, and who decides."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from divscale.frozen import Count, FrozenConfig, Share, Times
from divscale.generation.config import Temperature


class AgreementConfig(FrozenConfig):
    """Who decides whether a row's label or answer is right, for the filter `label_agreement` and for the report.

    by:
        judge: a probe on the measuring encoder that has seen only the prior (classification).
        votes: a generator is shown the row without its label (qa: answer) and names it, `votes` times. Several votes
            at a temperature are self-consistency (arXiv 2203.11171); one at temperature 0 is a judge prompt.

    In storyland its oracle decides, unless `by: votes` is given.
    """

    by: Literal["judge", "votes"] = "judge"
    votes: Times = Field(default=5, description="answers asked for each row")
    least: Annotated[Share, Field(gt=0)] = Field(
        default=0.5, description="share of the votes that must name the row's own label or answer")
    temperature: Temperature = 0.7
    max_tokens: Count = 16
    generator: Annotated[int, Field(ge=0)] = Field(
        default=0, description="who votes: 0 is generator.model, 1 the first of generator.others, ...")
    prompt: str | None = Field(default=None, description="path of a Jinja2 template in place of the packaged one")

    @model_validator(mode="after")
    def _only_of_votes(self) -> AgreementConfig:
        if self.by == "judge" and (others := sorted(self.model_fields_set - {"by"})):
            raise ValueError(f"{' and '.join(others)} belong to by: votes; leave them out, or set by: votes")
        return self
