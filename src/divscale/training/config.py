"""What a study says about fine-tuning, and about the small models trained on the spot."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from divscale.frozen import Count, Distinct, FrozenConfig, as_sequence
from divscale.schema import Filter, trained_here

Rate = Annotated[float, Field(gt=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]  # at 1 AdamW's running means would never move
OneOrManyRates = Annotated[tuple[Rate, ...], BeforeValidator(as_sequence), Distinct]
Packing = Literal["none", "best_fit"]
Batching = Literal["random", "length_grouped"]
Offload = Literal["none", "optimizer", "all"]


class OptimConfig(FrozenConfig):
    """AdamW and its schedule. Exactly one of `epochs` and `steps` holds the amount of training constant."""

    lr: Rate = 1e-3
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Rate = 1.0
    batch_size: Count = Field(default=16, description="samples per optimiser step, over all ranks")
    micro_batch_size: Count | None = Field(
        default=None, description="per rank and forward pass; null: batch_size / ranks"
    )
    epochs: Annotated[float, Field(gt=0)] | None = None
    steps: Count | None = None

    @model_validator(mode="after")
    def _one_budget(self) -> OptimConfig:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of epochs and steps")
        return self


class ArchitectureConfig(FrozenConfig):
    """A Llama-architecture model small enough to train from scratch, and its BPE tokenizer."""

    hidden_size: Count = 128
    layers: Count = 3
    heads: Count = 4
    vocab_size: Count = 1000
    max_length: Count = 128
    # At this size 0.02 learns badly: after 400 steps on pydocs the loss was 3.2 nats a token, with 0.06 it was 0.9.
    initializer_range: Rate = 0.06


class PretrainConfig(FrozenConfig):
    """A model trained from scratch on the prior split."""

    architecture: ArchitectureConfig = ArchitectureConfig()
    labels: tuple[str, ...] | None = Field(default=None, description="rows of the prior it sees, by label; null: all")
    prompt_weight: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="loss weight of a prompt token, completion 1"
    )
    optim: OptimConfig = OptimConfig(lr=3e-3, batch_size=64, steps=400, weight_decay=0.1)


class LoraConfig(FrozenConfig):
    """Low-rank adapters (arXiv 2106.09685) on frozen weights: y = Wx + alpha / rank * BAx. There is no dropout."""

    rank: Count = 16
    alpha: Rate = 32
    target_modules: Literal["all-linear"] | tuple[str, ...] = Field(
        default="all-linear", description="names of the layers that get adapters; all-linear: all but the head"
    )
    merge: bool = Field(default=False, description="export a whole model with the adapters added in, not them alone")


class ArmSelection(FrozenConfig):
    """Which mixes a training entry runs on. Null: all."""

    designs: tuple[str, ...] | None = None
    labelled: tuple[int, ...] | None = None
    levels: tuple[float, ...] | None = None
    filters: tuple[Filter, ...] | None = None
    generated: tuple[int, ...] | None = None
    data_seeds: Count | None = None

    def take(self, design: str, labelled: int, level: float | None, filtered: str | None, generated: float) -> bool:
        """Whether a mix is among them, of some data seed; `level` is null for one that has no generated text."""
        return (
            (self.designs is None or design in self.designs)
            and (self.labelled is None or labelled in self.labelled)
            and (self.levels is None or level is None or level in self.levels)
            and (self.filters is None or level is None or filtered in self.filters)
            and (self.generated is None or not generated or round(generated) in self.generated)
        )


class ValidationConfig(FrozenConfig):
    """Looks at the validation rows (`data.validation_share`) while an arm trains; none of them is ever a test row."""

    every_steps: Count = Field(description="optimiser steps between two looks; the last step is looked at too")
    patience: Count | None = Field(default=None, description="looks without a lower loss that end an arm; null: none")
    keep: Literal["best", "last"] = Field(default="best", description="weights that are exported: of the lowest loss")


EntryName = Annotated[str, Field(min_length=1, max_length=80)]


class TrainConfig(FrozenConfig):
    """One way of training. It runs on every mix that `arms` selects, with every training seed.

    method:
        probe: multinomial logistic regression on frozen embeddings (L2, strength 1 / `probe_c`).
        full: every weight, through DeepSpeed.
        lora: adapters beside frozen weights (and a classifier's head), likewise.
    name: what the report calls its model; entries of one method and model, which differ in schedule, rank or another
        setting, are told apart by it.
    model: `encoder` (the measuring encoder, as a downstream model), `pretrain` (a small causal model trained on the
        prior's text without labels; `pretrain:NAME`, one of `pretrain.bases`), or a Hugging Face folder or name.
    """

    method: Literal["probe", "full", "lora"] = "full"
    name: EntryName | None = None
    model: str = "encoder"
    revision: str | None = None
    head: Literal["classifier", "causal"] = Field(
        default="classifier", description="what is trained on top (methods full and lora)"
    )
    lora: LoraConfig = LoraConfig()
    lr: OneOrManyRates = Field(
        default=(), description="rates to choose among on validation rows, for every number of training rows; empty: "
                                "optim.lr"
    )
    optim: OptimConfig = OptimConfig(epochs=3)
    validation: ValidationConfig | None = None
    zero_stage: Annotated[int, Field(ge=0, le=3)] = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    max_length: Count = Field(default=128, description="tokens a sample is cut to, and of a row of packed ones")
    packing: Packing = Field(default="none", description="best_fit: samples of a step share rows; causal models")
    batching: Batching = Field(default="length_grouped", description="whether samples of a step are of like length")
    gradient_checkpointing: bool = Field(default=False, description="compute activations twice, keep one layer's")
    offload: Offload = Field(default="none", description="to the host: optimizer (ZeRO 1-3), all: weights too (ZeRO 3)")
    probe_c: Rate = 1.0
    arms: ArmSelection = ArmSelection()

    @model_validator(mode="after")
    def _fits_together(self) -> TrainConfig:
        if self.method != "lora" and self.lora != LoraConfig():
            raise ValueError(f"lora: method {self.method} trains no adapters; set method: lora, or leave lora out")
        if self.lr and self.method == "probe":
            raise ValueError("lr: a probe has no learning rate; leave it out")
        if self.lr and self.optim.lr != OptimConfig.model_fields["lr"].default:
            raise ValueError("lr and optim.lr both say what the learning rate is; give one of the two")
        if self.packing != "none" and self.head == "classifier":
            raise ValueError("packing: a classifier reads one sample a row; set head: causal, or packing: none")
        if self.method != "probe" and self.head == "causal" and self.model == "encoder":
            raise ValueError("head: causal needs a language model, and model encoder reads both ways, so that it would "
                             "see the token it is to predict; name another model, or set head: classifier")
        if self.offload != "none" and self.zero_stage < (least := 3 if self.offload == "all" else 1):
            raise ValueError(f"offload: {self.offload} needs zero_stage {least}{' or more' if least < 3 else ''}, and "
                             f"it is {self.zero_stage}; raise it, or set offload: none")
        return self

    @property
    def called(self) -> str:
        """What the report calls its model."""
        return self.name or self.model

    @property
    def from_scratch(self) -> bool:
        """Whether it starts from a model that the study trains on the spot."""
        return trained_here(self.model)

    def teaches(self, model: str, revision: str | None) -> bool:
        """Whether it says how a named language model learns from what it reads."""
        return (self.method != "probe" and self.head == "causal" and not self.from_scratch
                and (self.model, self.revision) == (model, revision))

    @property
    def at_its_rate(self) -> TrainConfig:
        """The same with the one rate of `lr`, where it gives one; several are for a choice to be made among."""
        return self.at(self.lr[0]) if len(self.lr) == 1 else self

    def at(self, rate: float) -> TrainConfig:
        """The same at one learning rate."""
        return self.model_copy(update={"lr": (), "optim": self.optim.model_copy(update={"lr": rate})})
