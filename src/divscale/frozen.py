"""The base of every configuration model: strict, frozen, no unknown keys."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class FrozenConfig(BaseModel):
    """A configuration. Equal values are equal identities; nothing can be set after validation."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


def as_sequence(value: Any) -> Any:
    """A tuple of what a study gives as a list or as one value."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def by_name(value: Any) -> Any:
    """A section that names a `model`, of what a study gives as the name alone."""
    return {"model": value} if isinstance(value, str) else value


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value} appears twice; keep one")
    return values


T = TypeVar("T")
Distinct = AfterValidator(_distinct)  # for a tuple whose values name different things

# A field that takes one value or a list of them: `temperature: 0.7` or `temperature: [0.2, 0.8]`.
OneOrMany = Annotated[tuple[T, ...], BeforeValidator(as_sequence), Field(min_length=1), Distinct]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Times = Annotated[int, Field(ge=1, le=1000)]    # how often something is done again for each row
