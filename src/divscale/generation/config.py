"""What a study says about the generator, the recipe and its dial."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from divscale.frozen import Count, FrozenConfig, OneOrMany, Share

Temperature = Annotated[float, Field(ge=0, le=2)]  # vLLM takes no more
Probability = Annotated[float, Field(gt=0, le=1)]
Kind = Literal["topics", "decoding", "paraphrase"]
Filter = Literal["none", "label_agreement"]


class EngineConfig(FrozenConfig):
    """The part of a generator that changes what it writes."""

    engine: Literal["vllm", "transformers"] = "vllm"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    max_model_len: Count = 512


class RecipeConfig(FrozenConfig):
    """How generated samples are made. The one field given as a list is the dial; its values are the levels.

    kind:
        decoding: labelled text (or questions) for every label, the dial is `temperature`, `top_p` or `min_p`.
        topics: the same from `topics` distinct topics at a constant number of samples.
        paraphrase: a base set from real contexts, a `replaced_share` of which gives way to paraphrases
            (`paraphrases_per_source` of each source; at most m / (m + 1) of the set while sources stay).
    """

    kind: Kind
    samples: Count = Field(default=20, description="generated samples kept: per label (classification) or in total")
    candidates: Count = Field(default=1, description="requests per kept sample; more than 1 leaves room for a filter")
    temperature: OneOrMany[Temperature] = (0.7,)
    top_p: OneOrMany[Probability] = (1.0,)
    min_p: OneOrMany[Share] = (0.0,)
    max_tokens: Count = 64
    topics: OneOrMany[Count] | None = Field(default=None, description="number of topics; null: every label is one")
    replaced_share: OneOrMany[Share] = (0.0,)
    paraphrases_per_source: Count = 4
    keep_sources: bool = True
    filters: OneOrMany[Filter] = ("none",)
    prompt: str | None = Field(default=None, description="a Jinja2 template of your own for the sample prompt")
    paraphrase_prompt: str | None = Field(
        default=None, description="a Jinja2 template of your own for the paraphrase prompt"
    )
    max_failed_share: Share = Field(default=0.05, description="completions that may fail to parse after every retry")
    attempts: Count = Field(default=3, description="tries per request, each with a seed of its own")

    @model_validator(mode="after")
    def _one_dial(self) -> RecipeConfig:
        dials = [name for name in DIALS if len(getattr(self, name) or ()) > 1]
        if len(dials) > 1:
            raise ValueError(f"one dial at a time: {' and '.join(dials)} are all lists; leave one a list")
        if self.kind == "paraphrase" and dials not in ([], ["replaced_share"]):
            raise ValueError(f"the paraphrase recipe's dial is replaced_share; {dials[0]} takes one value")
        if self.kind != "paraphrase" and self.replaced_share != (0.0,):
            raise ValueError("replaced_share belongs to the paraphrase recipe")
        if self.kind != "topics" and self.topics is not None:
            raise ValueError("topics belongs to the topics recipe")
        limit = self.paraphrases_per_source / (self.paraphrases_per_source + 1)
        if self.kind == "paraphrase" and self.keep_sources and max(self.replaced_share) > limit + 1e-9:
            raise ValueError(
                f"replaced_share {max(self.replaced_share)} is more than {self.paraphrases_per_source} paraphrases per "
                f"source allow while sources stay ({limit:.3f}); raise paraphrases_per_source, or keep_sources: false"
            )
        return self

    @property
    def dial(self) -> str:
        """Name of the field that varies; the kind's own dial when none does."""
        for name in DIALS:
            if len(getattr(self, name) or ()) > 1:
                return name
        return {"decoding": "temperature", "topics": "topics", "paraphrase": "replaced_share"}[self.kind]

    def at(self, level: float) -> RecipeConfig:
        """The recipe with its dial fixed to `level`."""
        if self.dial == "topics":
            return self.model_copy(update={"topics": (int(level),) if level else None})
        return self.model_copy(update={self.dial: (float(level),)})

    @property
    def levels(self) -> tuple[float, ...]:
        """The dial's values, in the order given. `topics: null` counts as one level, 0."""
        return tuple(float(v) for v in (getattr(self, self.dial) or (0,)))


DIALS = ("temperature", "top_p", "min_p", "topics", "replaced_share")


class GeneratorConfig(FrozenConfig):
    """The model that writes. `pretrain` trains one on the spot from the prior split."""

    model: str = "pretrain"
    revision: str | None = None
    engine: EngineConfig = EngineConfig()
    chat_template: str | None = Field(default=None, description="path of a Jinja2 chat template; null: the model's own")
