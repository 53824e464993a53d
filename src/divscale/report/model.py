"""What a report is made from: tables and plain values, nothing that needs an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TEST = "test"  # the test set that verdicts are about

# One evaluated arm a row; the columns named in `ReportInput.metrics` (float64) come on top.
#   method           "probe" | "full" | "lora"
#   design           "real_only" | "add_on" | "constant_total" | "generated_only" | "judge_labelled"
#   labelled         real rows, per label (classification) or in total; 0 for generated_only
#   generated        generated (or judge-labelled) rows asked for, counted like `labelled`; 0 for real_only; of a mix by
#                    shares not whole, for it rounds once over all labels
#   generated_share  share of the training rows that is generated, as realised
#   filter           of the generated rows (`schema.Filter`); null where nothing was generated
#   level            the dial's value; null for real_only and judge_labelled
#   generation_seed  null where nothing was generated
#   parameters       of the model; null for probes
#   test             "test", or the name of another test set
ARMS = pa.schema([
    ("arm", pa.string()),
    ("method", pa.string()),
    ("model", pa.string()),
    ("design", pa.string()),
    ("labelled", pa.int64()),
    ("generated", pa.float64()),
    ("generated_share", pa.float64()),
    ("filter", pa.string()),
    ("level", pa.float64()),
    ("generation_seed", pa.int64()),
    ("data_seed", pa.int64()),
    ("training_seed", pa.int64()),
    ("test", pa.string()),
    ("n_train", pa.int64()),
    ("parameters", pa.int64()),
])

# One number about one set a row. The real set's rows have filter "real", and level and generation_seed null.
# `value` is as the metric defines it (DCScore between 1 and n); `low` and `high` may be null.
SETS = pa.schema([
    ("level", pa.float64()),
    ("filter", pa.string()),
    ("generation_seed", pa.int64()),
    ("metric", pa.string()),
    ("value", pa.float64()),
    ("low", pa.float64()),
    ("high", pa.float64()),
    ("n", pa.int64()),
])

# One mix a row, averaged over its seeds: what was asked and the shares that came of it.
MIXES = pa.schema([
    ("design", pa.string()),
    ("labelled", pa.int64()),
    ("generated", pa.float64()),
    ("level", pa.float64()),
    ("filter", pa.string()),
    ("share_of_rows", pa.float64()),
    ("share_of_tokens", pa.float64()),
])


# One number about one generation of one line of descent a row. Generation 0 is the real prior; `data_seed` is null but
# for the scores of the probes that were trained on the generation's set alone.
LINES = pa.schema([
    ("regime", pa.string()),
    ("level", pa.float64()),
    ("generation", pa.int64()),
    ("generation_seed", pa.int64()),
    ("data_seed", pa.int64()),
    ("metric", pa.string()),
    ("value", pa.float64()),
])


@dataclass(frozen=True)
class Neighbour:
    """A row that a generated one is like: its label, its text, and the cosine similarity of their vectors."""

    label: str
    text: str
    cosine: float


@dataclass(frozen=True)
class Example:
    """One generated text.

    Attributes:
        label: The label it was asked for; empty where there are none.
        text: What was written.
        kept: Whether the filter kept it; null without a filter.
        real, generated: The nearest real row, and the nearest other row of the same set; null where there is none.
    """

    label: str
    text: str
    kept: bool | None = None
    real: Neighbour | None = None
    generated: Neighbour | None = None


@dataclass(frozen=True)
class Repeats:
    """How often a set repeats itself.

    Attributes:
        rows: Rows of the set.
        compared: How many of them, the first ones, were compared with each other.
        exact: Of these, rows whose text an earlier one has.
        near: Rows whose vector is nearly that of an earlier one (these take in the same text).
        cosine: Similarity from which vectors are nearly the same.
    """

    rows: int
    compared: int
    exact: int
    near: int
    cosine: float


@dataclass(frozen=True)
class StageCost:
    """What all stages of a name took, whichever run made them: how many, rows out, wall seconds, hours of the devices
    (GPUs, or engines, ranks and workers on CPUs) that were at work side by side, tokens (0 where it has none).
    """

    stage: str
    runs: int
    rows: int
    seconds: float
    device_hours: float
    tokens: int = 0


@dataclass(frozen=True)
class ChosenRate:
    """The learning rate of all arms of one way of training and one number of training rows.

    Attributes:
        way: Method and model.
        rows: Training rows (per label in classification).
        rates, losses: What was tried, and the mean validation loss that it came to (null: it diverged).
        chosen: The rate with the lowest loss.
    """

    way: str
    rows: int
    rates: tuple[float, ...]
    losses: tuple[float | None, ...]
    chosen: float


@dataclass(frozen=True)
class Cleaned:
    """What cleaning made of one generated set: rows in, rows kept, and rows removed by reason."""

    level: float
    generation_seed: int
    rows: int
    kept: int
    removed: Mapping[str, int]


@dataclass(frozen=True)
class Failure:
    """Something that was asked for and is missing from the results, and why.

    Attributes:
        what: What is missing.
        reason: Why.
        of_a_set: It is a measure of a set, so it is missing from the tables of measures.
    """

    what: str
    reason: str
    of_a_set: bool = False


@dataclass(frozen=True)
class ReportInput:
    """Everything a report says.

    Attributes:
        name: The study's name.
        task: "classification", "qa" or "text"; decides whether counts are per label.
        dial: The recipe's dial ("temperature", "topics", ...).
        arms: Table of schema `ARMS` and one float64 column a metric.
        sets: Table of schema `SETS`.
        mixes: Table of schema `MIXES`.
        metrics: Score columns of `arms`; the first is the one that verdicts are about.
        judge_accuracy: Share of held-out real rows the judge labels right; null without a judge.
        judge_kind: What the judge is, in words ("probe trained on the prior", "oracle").
        examples: Generated texts by level.
        repeats: How often each level's set repeats itself.
        neighbours_from: Which real rows the nearest ones were looked for among, in words.
        study_yaml: The resolved configuration.
        versions: Versions by package.
        harness: Table of schema `ARMS` and one float64 column a task and metric of lm-evaluation-harness; null: none.
        by_example: Score of every test example by arm (`arms.arm`), float32 [E], of the first metric and on "test", in
            one order of the examples; arms without it have no intervals over other examples.
        lines: Table of schema `LINES`; null without lines of descent.
        notes: Plain statements a reader must know ("the generator was trained on the spot, ...").
    """

    name: str
    task: str
    dial: str
    arms: pa.Table
    sets: pa.Table
    mixes: pa.Table
    metrics: tuple[str, ...]
    judge_accuracy: float | None = None
    judge_kind: str | None = None
    examples: Mapping[float, tuple[Example, ...]] = field(default_factory=dict)
    repeats: Mapping[float, Repeats] = field(default_factory=dict)
    neighbours_from: str = ""
    costs: tuple[StageCost, ...] = ()
    study_yaml: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    cleaned: tuple[Cleaned, ...] = ()
    rates: tuple[ChosenRate, ...] = ()
    harness: pa.Table | None = None
    lines: pa.Table | None = None
    by_example: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def other_tests(self) -> tuple[str, ...]:
        """Names of the test sets beside "test"."""
        return tuple(dict.fromkeys(name for name in self.arms["test"].to_pylist() if name != TEST))

    def on(self, test: str) -> ReportInput:
        """The same, with scores on one test set alone."""
        return replace(self, arms=self.arms.filter(pc.equal(self.arms["test"], test)))  # pyright: ignore

    def __post_init__(self) -> None:
        assert self.metrics, "a report needs at least one score"
        for table, names in (
            (self.arms, [*ARMS.names, *self.metrics]), (self.sets, SETS.names), (self.mixes, MIXES.names),
        ):
            missing = [name for name in names if name not in table.column_names]
            assert not missing, f"a report's table lacks {missing}"
