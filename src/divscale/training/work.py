"""What the training fleet is given and what it gives back: plain frozen values that pickle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from divscale.errors import DataError
from divscale.training.config import (
    ArchitectureConfig,
    Batching,
    LoraConfig,
    Offload,
    OptimConfig,
    Packing,
    ValidationConfig,
)
from divscale.training.tracking import Tracking

Head = Literal["classifier", "causal"]
COLUMNS: dict[Head, tuple[str, str]] = {"causal": ("prompt", "completion"), "classifier": ("text", "label")}


@dataclass(frozen=True, eq=False)
class Arm:
    """One training run.

    Attributes:
        key: Names the arm in results and messages: its stage's fingerprint, where it has one.
        model: A local folder or Hugging Face name, or the architecture of a model to train from scratch together with
            a BPE tokenizer fitted to `rows`.
        head: `causal` learns completions, `classifier` learns labels.
        rows: `prompt` and `completion` (causal) or `text` and `label` (classifier), strings without nulls.
        optim: The optimiser, its schedule and the amount of training.
        output_dir: Existing or new local folder for the trained model.
        labels: Every label, in class order (classifier).
        lora: Adapters to train on a model that is loaded; None trains every weight.
        prompt_weight: Loss weight of a prompt token; a completion token weighs 1 (causal).
        max_length: Tokens a sample is cut to, and of a row of packed ones.
        packing, batching: How a step's samples become rows, and which samples make a step.
        gradient_checkpointing: Activations are computed twice instead of kept.
        offload: What the host's memory holds, as in `deepspeed_config`.
        seed: Decides initial weights that are not loaded, and the order of rows.
        validation: Whether and how often `validation_rows` are looked at.
        validation_rows: Columns as in `rows`; null without `validation`.
        work_dir: Existing folder for checkpoints, metrics and the best weights so far, found again after a restart;
            null: there are none. On the file system of `output_dir`, and there where there is a `validation`.
        checkpoint_every_s: Seconds between two checkpoints.
        tracking: Where its metrics go beside `work_dir`; null: nowhere.
        stage, title: Of its stage, for the log; null without one.

    Raises:
        DataError: No rows, a missing column, a null, or a label that `labels` lacks.
    """

    key: str
    model: str | ArchitectureConfig
    head: Head
    rows: pa.Table
    optim: OptimConfig
    output_dir: str
    labels: tuple[str, ...] = ()
    revision: str | None = None
    lora: LoraConfig | None = None
    zero_stage: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    max_length: int = 128
    packing: Packing = "none"
    batching: Batching = "length_grouped"
    gradient_checkpointing: bool = False
    offload: Offload = "none"
    prompt_weight: float = 0.0
    seed: int = 0
    validation: ValidationConfig | None = None
    validation_rows: pa.Table | None = None
    work_dir: str | None = None
    checkpoint_every_s: float = 600.0
    tracking: Tracking | None = None
    stage: str | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        _check_rows(f"training arm {self.key}", self.rows, COLUMNS[self.head], self.labels)
        if self.validation is not None:
            assert self.validation_rows is not None and self.work_dir is not None
            _check_rows(f"validation of training arm {self.key}", self.validation_rows, COLUMNS[self.head], self.labels)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A trained model scored on held-out rows.

    Attributes:
        model_dir: A folder with a model, or with adapters.
        base_model: What adapters were trained on, if it is not where they say.
        rows: `id` and the columns of `Arm.rows`.
        batch_size: Rows per forward pass and rank; it changes speed only.
        as_found: No arm made the model: it is asked whether it is causal, and has the positions, as an arm's is.
        stage, title: As in `Arm`.
    """

    key: str
    model_dir: str
    head: Head
    rows: pa.Table
    labels: tuple[str, ...] = ()
    base_model: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    max_length: int = 128
    batch_size: int = 64
    as_found: bool = False
    stage: str | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        _check_rows(f"evaluation {self.key}", self.rows, ("id", *COLUMNS[self.head]), self.labels)


Item = Arm | Evaluation


@dataclass(frozen=True)
class Trained:
    """A finished arm. Counts are of real tokens, once, without padding.

    Attributes:
        files: Names of the files in the arm's `output_dir`.
        parameters: Of the whole model.
        trained_parameters: Of these the ones that were trained.
        samples: Rows seen, with repeats.
        cut_samples: Rows of the data that were longer than `max_length`.
        cut_tokens: Tokens that they lost.
        tokens: Tokens seen, with repeats.
        target_tokens: Of these the ones with a loss (causal), or rows (classifier).
        validated: (step, mean loss of the validation rows in nats, share of them that is right); empty without.
        exported_step: The step whose weights were exported.
        losses: (step, mean loss per unit of target weight since the last entry, nats), about ten per second at most.
        seconds: Wall time of model building, training and export on rank 0.
        steps_s: Of these, what the steps of this life took, looks at validation rows among them.
        ranks: That trained it together.
        rss_mib: Resident memory of rank 0 when everything of the arm was freed.
    """

    key: str
    files: tuple[str, ...]
    parameters: int
    trained_parameters: int
    steps: int
    samples: int
    cut_samples: int
    cut_tokens: int
    tokens: int
    target_tokens: int
    final_loss: float
    losses: tuple[tuple[int, float], ...]
    validated: tuple[tuple[int, float, float], ...]
    exported_step: int
    seconds: float
    steps_s: float = 0.0
    ranks: int = 1
    rss_mib: float = 0.0


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A finished evaluation. `predictions` has schema `divscale.schema.PREDICTIONS`, in the order of the rows."""

    key: str
    predictions: pa.Table
    seconds: float
    rss_mib: float = 0.0


@dataclass(frozen=True)
class Failed:
    """An item that could not be done, and why, in one paragraph; `diverged` ones would end the same way again."""

    key: str
    reason: str
    rss_mib: float = 0.0
    diverged: bool = False


Result = Trained | Evaluated | Failed


@dataclass(frozen=True)
class Progress:
    """Where the running item is. `loss` is per unit of target weight, nats; of an evaluation it is null, and its steps
    are rows.
    """

    key: str
    step: int
    steps: int
    loss: float | None
    tokens: int


def grouped(items: Sequence[Item]) -> list[Item]:
    """Returns the items in the order of the queue: arms before evaluations (which may need one), arms of one model,
    ZeRO stage and dtype together, those with ZeRO 3 last. Every arm of ZeRO 3 costs a start of the group; in this
    order nothing else does. Within a group the order given stays.
    """
    seen: dict[object, int] = {}

    def place(item: Item) -> tuple[int, int, int]:
        if isinstance(item, Evaluation):
            return 1, 0, 0
        group = str(item.model), item.revision, item.zero_stage, item.dtype
        return 0, item.zero_stage // 3, seen.setdefault(group, len(seen))

    return sorted(items, key=place)


def _check_rows(what: str, rows: pa.Table, columns: tuple[str, ...], labels: tuple[str, ...]) -> None:
    if missing := [name for name in columns if name not in rows.column_names]:
        raise DataError(f"{what} lacks the column {missing[0]!r}; it has {', '.join(rows.column_names) or 'none'}.")
    if rows.num_rows == 0:
        raise DataError(f"{what} has no rows; give it at least one.")
    for name in columns:
        if nulls := rows.column(name).null_count:
            raise DataError(f"{what} has {nulls} empty values in the column {name!r}; drop or fill those rows.")
    if "label" in columns and (unknown := sorted(set(rows.column("label").to_pylist()) - set(labels))):
        raise DataError(f"{what} has the label {unknown[0]!r}, which is not one of its {len(labels)} labels.")
