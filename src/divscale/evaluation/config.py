"""What a study's tuned models are scored by, and asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from divscale.frozen import Count, Distinct, FrozenConfig
from divscale.schema import Task

Score = Literal["accuracy", "macro_f1", "loss", "ece", "exact_match", "perplexity", "squad_exact_match", "token_f1",
                "rouge_l", "distinct_2", "ngram_diversity"]
HIGHER_IS_BETTER: dict[str, bool] = {
    "accuracy": True,
    "macro_f1": True,
    "exact_match": True,
    "loss": False,
    "perplexity": False,
    "ece": False,
    "squad_exact_match": True,
    "token_f1": True,
    "rouge_l": True,
    "distinct_2": True,
    "ngram_diversity": True,
}
# of what the tuned model writes itself; the others are teacher-forced
WRITTEN: frozenset[str] = frozenset({"squad_exact_match", "token_f1", "rouge_l", "distinct_2", "ngram_diversity"})
# of a classifier's classes and their probabilities; a causal head has neither
OF_CLASSES: frozenset[str] = frozenset({"macro_f1", "ece"})


def usual_scores(task: Task, head: str) -> tuple[Score, ...]:
    """Those of a model for which none are named."""
    if task != "classification":
        return ("exact_match", "loss")
    return ("accuracy", "macro_f1", "loss") if head == "classifier" else ("accuracy", "loss")


def check_scores(scores: Iterable[str], task: Task, field: str) -> None:
    """Raises ValueError: one does not apply to the task."""
    wrong = {"exact_match", "perplexity", *WRITTEN} if task == "classification" else {"accuracy", "macro_f1", "ece"}
    for score in scores:
        if score in wrong:
            raise ValueError(f"{field}: {score} does not apply to data.task {task}")


class HarnessConfig(FrozenConfig):
    """Tasks of lm-evaluation-harness, by name, for every fine-tuned causal model.

    tasks: names of tasks, groups or tags, of the harness itself or of `include_path`.
    include_path: a folder with task files (YAML) of one's own, and with the data that they name. A path in them that
        is relative is looked for in this folder. Every node must see it.
    limit: the first rows of each task alone; null: all.
    """

    tasks: Annotated[tuple[str, ...], Distinct] = Field(min_length=1)
    include_path: str | None = None
    limit: Count | None = None


class EvaluateConfig(FrozenConfig):
    """Scores on real held-out data; the first is the one the report argues with.

    metrics: accuracy, macro_f1 and ece of classification; exact_match (of the whole reference, to the token),
        perplexity and loss by teacher forcing; squad_exact_match, token_f1, rouge_l, and the diversity (distinct_2,
        ngram_diversity) of what the tuned model writes greedily, up to `max_tokens`, in `engine`.
    """

    metrics: Annotated[tuple[Score, ...], Distinct] = Field(default=("accuracy", "macro_f1", "loss"), min_length=1)
    engine: Literal["vllm", "transformers"] = "vllm"
    max_tokens: Count = 64
    harness: HarnessConfig | None = None

    @property
    def writes(self) -> bool:
        """Whether a score needs answers that the model writes."""
        return not WRITTEN.isdisjoint(self.metrics)
