"""What a study says about its data and its mixes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from divscale.frozen import Count, FrozenConfig, OneOrMany, Share
from divscale.redact import redact
from divscale.schema import Filter, Task


class Columns(FrozenConfig):
    """Names of the source's columns. One the source lacks is an error unless it is an optional one's default."""

    id: str = "id"
    text: str = "text"
    label: str = "label"
    context: str = "context"
    answers: str = "answers"
    group: str = "group"


TestName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=40)]


class DataConfig(FrozenConfig):
    """Real data: where it is, what it means, how it is split."""

    source: str = Field(description="pydocs, storyland, or a Parquet, JSONL or CSV file (path or URI)")
    test: str | None = Field(
        default=None, description="held-out file, of whose texts, groups and contexts (of no more rows than it) no row "
                                  "is trained on; null: a share of the source, split by group")
    out_of_distribution: dict[TestName, str] = Field(
        default={}, description="further held-out files by name, of another kind than the source; scored beside "
                                "`test`, but for rows that the source has too"
    )
    task: Task = "classification"
    columns: Columns = Columns()
    labels: tuple[str, ...] | Count | None = Field(
        default=None, description="labels kept: a list, or the first n by name"
    )
    labelled: OneOrMany[Count] = Field(
        default=(10,), description="real training rows: per label (classification) or in total"
    )
    prior_share: Share = Field(
        default=0.75, description="share of the training rows that only the generator and the judge see"
    )
    test_share: Share = Field(default=0.2, description="share held out when `test` is null")
    validation_share: Share = Field(
        default=0.0, description="share of the labelled pool that `train.validation` looks at and nothing learns from"
    )
    licence: str | None = Field(default=None, max_length=200, description="of the rows, for the card of a training set")
    max_rejected_share: Share = Field(default=0.0, description="invalid rows allowed before the study stops")
    world_size: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=2000, description="stories that storyland writes")

    @field_validator("source", "test")
    @classmethod
    def _no_password_in_an_address(cls, address: str | None) -> str | None:
        if address is not None and redact(address) != address:
            raise ValueError(f"{redact(address)} holds credentials, and a study is shared and recorded; take them out "
                             "of the address and set them in the environment (AWS_ACCESS_KEY_ID and "
                             "AWS_SECRET_ACCESS_KEY of s3://, GOOGLE_APPLICATION_CREDENTIALS of gs://)")
        return address

    @field_validator("out_of_distribution")
    @classmethod
    def _none_is_called_test(cls, files: dict[str, str]) -> dict[str, str]:
        if "test" in files:  # its scores would take the place of those on the held-out rows of the source
            raise ValueError("the name test belongs to the held-out rows of data.test or data.test_share; give "
                             f"{files['test']} another one")
        for address in files.values():
            cls._no_password_in_an_address(address)
        return files


Shortfall = Literal["error", "allow", "oversample"]


class MixConfig(FrozenConfig):
    """How training sets are composed. Counts are per label (classification) or in total, as `data.labelled` is.

    Designs:
        add_on: all the labelled rows and `generated` more, or as many as make `generated_share` of the mix.
        constant_total: `total` rows (null: the labelled count) of which `generated_share` are generated.
        generated_only: `generated` rows and no real ones.
        judge_labelled: the labelled rows and `generated` real ones that the judge labelled (the control that shows
            what the judge's knowledge alone is worth).
    A real-only mix for every labelled count is always made, and one of `total` rows for what is trained on mixes of it.
    """

    design: Literal["add_on", "constant_total", "generated_only", "judge_labelled"] = "constant_total"
    generated: tuple[Count, ...] = ()
    generated_share: tuple[Share, ...] = ()
    total: Count | None = None
    levels: tuple[float, ...] | None = Field(default=None, description="levels it applies to; null: all")
    filters: tuple[Filter, ...] | None = Field(
        default=None, description="null: all of the recipe"
    )
    labelled: tuple[int, ...] | None = Field(default=None, description="labelled counts it applies to; null: all")
    shortfall: Shortfall = Field(
        default="error", description="too few generated rows: stop, take what is there, or repeat rows"
    )

    def amount_of(self, rows: int, share: float) -> float:
        """Generated rows that a share asks for, beside so many real ones or of so many in all, counted like these.

        Not whole: a mix rounds once over all its labels, and shares that give a label as many are mixes of their own.
        """
        return round(rows * share if self.design == "constant_total" else rows * share / (1 - share), 9)
