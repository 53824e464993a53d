"""What a study says about the generator, the recipe and its dial."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from divscale.errors import ConfigError
from divscale.frozen import Count, FrozenConfig, OneOrMany, Share, Times, by_name
from divscale.generation.target import TargetConfig
from divscale.schema import Filter, Task

Temperature = Annotated[float, Field(ge=0, le=2)]  # vLLM takes no more
Probability = Annotated[float, Field(gt=0, le=1)]
Api = Literal["chat", "completions"]


class EngineConfig(FrozenConfig):
    """The part of a generator that changes what it writes.

    `openai` asks an OpenAI-compatible endpoint. What it is, is the model's name there and the `api`; its address is
    not: the same model behind another port, tunnel or replica is the same model. Whoever puts other weights behind a
    name gives it another name, or a `generator.revision` of its own.
    """

    engine: Literal["vllm", "transformers", "openai"] = "vllm"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    max_model_len: Count = 512
    api: Api = Field(default="chat", description="of an endpoint: chat for chat models, completions for base models")
    base_url: str | None = Field(default=None, description="of an endpoint: its address; no part of identity")


class TextsFile(FrozenConfig):
    """A file of texts: one a line, or a column of a JSONL, CSV or Parquet file; `field` names it in messages."""

    path: str
    column: str
    field: str
    least: Count = Field(default=1, description="distinct texts that it has to hold")


class RecipeConfig(FrozenConfig):
    """What every recipe has: how much is written, how it is decoded, what of it counts. A recipe's own file adds to it.

    The one field given as a list is the dial; its values are the levels.
    """

    kind: str
    samples: Count = Field(default=20, description="generated samples kept: per label (classification) or in total")
    candidates: Times = Field(
        default=1, description="requests per kept sample; more than 1 leaves room for a filter")
    temperature: OneOrMany[Temperature] = (0.7,)
    top_p: OneOrMany[Probability] = (1.0,)
    min_p: OneOrMany[Share] = (0.0,)
    max_tokens: Count = 64
    filters: OneOrMany[Filter] = ("none",)
    target: TargetConfig | None = Field(
        default=None, description="diversity values to meet; the dial then lists the settings to search")
    prompts: dict[str, str] = Field(
        default={}, description="paths of Jinja2 templates of your own, by name: sample, paraphrase, ...")
    structured: bool = Field(
        default=False, description="completions are JSON by a schema that the engine holds them to (vllm, openai; chat "
                                   "models). One cut off at max_tokens is a failed row")
    max_failed_share: Share = Field(default=0.05, description="completions that may fail to parse after every retry")
    attempts: Times = Field(default=3, description="tries per request, each with a seed of its own")

    own_dials: ClassVar[tuple[str, ...]] = ()  # fields of the recipe itself that may be lists, the usual one first
    decoding_dials: ClassVar[tuple[str, ...]] = ("temperature", "top_p", "min_p")  # of these, those that may be lists
    places: ClassVar[tuple[str, ...]] = ("prompts",)  # fields that say where something lies, which is no identity

    @model_validator(mode="after")
    def _one_dial(self) -> RecipeConfig:
        dials = [name for name in (*self.own_dials, "temperature", "top_p", "min_p") if len(self._values(name)) > 1]
        if len(dials) > 1:
            raise ValueError(f"one dial at a time: {' and '.join(dials)} are all lists; leave one a list")
        allowed = (*self.own_dials, *self.decoding_dials)
        if dials and dials[0] not in allowed:
            raise ValueError(f"the {self.kind} recipe's dial is {' or '.join(allowed)}; {dials[0]} takes one value")
        if self.target and (not dials or len(self._values(dials[0])) < 3):
            raise ValueError(f"target: list three or more settings of a dial to search ({' or '.join(allowed)})")
        return self

    @property
    def dial(self) -> str:
        """Name of the field that varies; the recipe's usual one when none does. `target` where that is asked for."""
        if self.target:
            return "target"
        names = (*self.own_dials, *self.decoding_dials)
        return next((name for name in names if len(self._values(name)) > 1), names[0])

    @property
    def kept(self) -> int:
        """Most samples that one level has (of each label): candidates are all kept, unless a recipe chooses."""
        return self.samples * self.candidates

    def check_task(self, task: Task) -> None:
        """Raise a ValueError where the recipe as it is set cannot write for the task."""

    @property
    def levels(self) -> tuple[float, ...]:
        """The dial's values as numbers, in the order given. null counts as one level, 0. With a target: its values."""
        if self.target:
            return self.target.value
        return tuple(float(v) for v in (self._values(self.dial) or (0,)))

    def at(self, level: float) -> Self:
        """The recipe with its dial fixed to `level`."""
        given = next((v for v in self._values(self.dial) if float(v) == level), None)
        return self.fixed(self.dial, given if given is not None or not level else level)

    @property
    def searched(self) -> Self:
        """The recipe as it is, or without its target: the dial is then what is searched, its settings ascend."""
        if not self.target:
            return self
        plain = self.model_copy(update={"target": None})
        return plain.model_copy(update={plain.dial: tuple(sorted(self._values(plain.dial)))})

    @property
    def piloted(self) -> Self:
        """Of a recipe with a target: what pilots of its settings write."""
        assert self.target is not None
        whole = self.searched
        chooses = whole.kept == whole.samples  # among its candidates; of another recipe a pilot needs no more than one
        return whole.model_copy(update={"samples": self.target.pilot_samples,
                                        "candidates": whole.candidates if chooses else 1})

    def fixed(self, dial: str, value: float | None) -> Self:
        """The recipe with one value of a dial, which need not be among its levels; null: without the dial."""
        given = None if value is None else (value,)
        return self.model_copy(update={dial: given})

    def identity(self) -> Self:
        """What of the recipe is part of a result: not where its files lie, what is accepted or filtered afterwards."""
        fields = type(self).model_fields
        nowhere = {name: "" if fields[name].is_required() else fields[name].default for name in self.places}
        return self.model_copy(update={**nowhere, "filters": ("none",), "max_failed_share": 0.0})

    def located(self, like: RecipeConfig) -> Self:
        """The recipe with its files where `like`, of the same kind, has them."""
        return self.model_copy(update={name: getattr(like, name) for name in self.places})

    @property
    def texts(self) -> TextsFile | None:
        """The file of texts that the recipe draws from; what it holds is identity."""
        return None

    def _values(self, dial: str) -> tuple[Any, ...]:
        return getattr(self, dial) or ()


class GeneratorModel(FrozenConfig):
    """A model that writes. `pretrain` trains one on the spot from the prior split."""

    model: str = "pretrain"
    revision: str | None = None
    chat_template: str | None = Field(default=None, description="path of a Jinja2 chat template; null: the model's own")


class GeneratorConfig(GeneratorModel):
    """The model that writes, its engine, and further models for the recipes that take several."""

    engine: EngineConfig = EngineConfig()
    licence: str | None = Field(
        default=None, max_length=200, description="of what it writes, for the card of a training set")
    others: tuple[Annotated[GeneratorModel, BeforeValidator(by_name)], ...] = Field(
        default=(), description="names, or sections of model, revision and chat_template")

    @model_validator(mode="after")
    def _endpoint_or_engine(self) -> GeneratorConfig:
        engine = self.engine
        for name in ("api", "base_url") if engine.engine != "openai" else ("dtype", "max_model_len"):
            if name in engine.model_fields_set:
                raise ValueError(f"engine.{name} does not belong to engine {engine.engine}; leave it out")
        if engine.engine != "openai":
            return self
        if not re.fullmatch(r"https?://[^@?#\s]+", engine.base_url or ""):
            raise ValueError("engine openai needs engine.base_url, an address such as http://127.0.0.1:8000/v1 (the "
                             "key comes from OPENAI_API_KEY and never stands in it)")
        if any(model.model == "pretrain" for model in self.models):
            raise ValueError("engine openai needs model, the name the endpoint serves it under")
        if any(model.chat_template for model in self.models):
            raise ValueError("engine openai takes no chat_template: the endpoint applies the model's own; give it "
                             "there, or use engine.api: completions")
        return self

    @property
    def models(self) -> tuple[GeneratorModel, ...]:
        """Every model that may write, `model` first."""
        return self, *self.others

    def source(self, number: int) -> GeneratorModel:
        """The model that writes a round of that source, from 0.

        Raises:
            ConfigError: the study names fewer models.
        """
        if number >= len(self.models):
            raise ConfigError(f"generator.others: the recipe asks for model number {number + 1}, and generator.model "
                              f"with generator.others names {len(self.models)}. Name more, or lower recipe.sources.")
        return self.models[number]
