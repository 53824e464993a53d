"""The incentives recipe (arXiv 2401.06643): paraphrases of few seeds in two rounds, the second under an incentive.

Half of the samples paraphrase the seeds plainly. The other half is asked for with what the first half shows: its most
telling words forbidden (taboo), its outliers as examples (hints), or its outliers as the seeds (chaining). The dial is
how many words, hints or outliers; 0 is a second half like the first. All levels share the first half.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from divscale.errors import DataError
from divscale.frozen import Count, OneOrMany
from divscale.generation.config import RecipeConfig
from divscale.generation.parsing import parse_completions
from divscale.generation.recipes.asking import decoding_salt
from divscale.generation.recipes.in_turn import in_turn
from divscale.generation.recipes.protocol import Round, Sources
from divscale.generation.requests import held_to, request, request_table
from divscale.order import shuffled
from divscale.rendering.templates import render
from divscale.schema import Task

TEMPLATES = ("incentive",)
SAYS = {"incentive": "text"}
_WORD = re.compile(r"[^\W\d_]+")


class Config(RecipeConfig):
    """Paraphrases of real seeds, the second half of which is asked to differ from the first."""

    kind: Literal["incentives"] = "incentives"
    method: Literal["taboo", "hints", "chaining"] = "taboo"
    strength: OneOrMany[Annotated[int, Field(ge=0)]] = Field(
        default=(3,), description="taboo words of a label, or outlying texts shown or paraphrased; 0: no incentive")
    seeds: Count = Field(default=6, description="real texts paraphrased: per label (classification) or in total")
    taboo_frequency: Count = Field(default=5, description="uses of a word in a label's texts before it can be taboo")

    own_dials: ClassVar[tuple[str, ...]] = ("strength",)
    decoding_dials: ClassVar[tuple[str, ...]] = ()

    def check_task(self, task: Task) -> None:
        """Taboo words are those that tell labels apart."""
        if self.method == "taboo" and task != "classification":
            raise ValueError("recipe.method: taboo words are those that tell labels apart, and data.task is "
                             f"{task}; take hints or chaining")


def rounds(recipe: Config, level: float) -> tuple[Round, ...]:
    """The plain half, shared by all levels, and the half under the incentive at that level."""
    default = {name: Config.model_fields[name].default for name in ("method", "strength", "taboo_frequency")}
    one, plain = recipe.at(level), recipe.model_copy(update=default)
    if one.strength == (0,):
        one = one.model_copy(update={**default, "strength": (0,)})  # the same, whatever the method would be
    outliers = one.strength != (0,) and one.method != "taboo"
    return (Round("first", plain, "incentive"),
            Round("second", one, "incentive", after=("first",), vectors=("first",) if outliers else ()))


def build_requests(this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
    """Requests for paraphrases of the seeds in turn: half of `samples` x `candidates` (for each label).

    Arguments and result as in `decoding.build_requests`; `prompt` is the text of the template `incentive`.

    Raises:
        DataError: the first half is too small or too uniform for the incentive.
    """
    recipe, first = cast(Config, this.recipe), sources.made.get("first")
    count, requests = recipe.samples * recipe.candidates, []
    half = count - count // 2 if first is None else count // 2
    strength = 0 if first is None else recipe.strength[0]
    labels = sorted(set(sources.real["label"].to_pylist())) if task == "classification" else [None]
    seeds = {label: _seeds(recipe, sources.real, label, seed) for label in labels}
    taboo = _taboo(recipe, first, seeds) if first is not None and strength and recipe.method == "taboo" else {}
    for label in labels:
        hints: list[str] = []
        chosen = seeds[label]
        if first is not None and strength and recipe.method != "taboo":
            outliers = _outliers(first, sources.vectors["first"], label, strength)
            if recipe.method == "hints":
                hints = [row["text"] for row in outliers]
            else:
                chosen = outliers
        for i in range(half):
            row = chosen[i % len(chosen)]
            text = render(prompt, text=row["text"], label=label, context=row["context"],
                          answer=(row["answers"] or [None])[0], taboo=taboo.get(label, []), hints=hints,
                          structured=recipe.structured)
            salt = (this.name, recipe.method, strength, *decoding_salt(this))
            requests.append(request(
                "incentive", (*salt, row["id"], i), text, recipe, seed, label=label, context=row["context"],
                answers=row["answers"], source_id=row["id"], ordinal=i,
                json_schema=held_to(recipe, task, rephrase=True)))
    return request_table(requests)


def parse(this: Round, requests: pa.Table, completions: pa.Table, *, task: Task) -> tuple[pa.Table, pa.Table]:
    """(SAMPLES: their seeds' labels, contexts and answers with new words, REJECTED)."""
    del this
    return parse_completions(requests, completions, task, rephrase=True)


def compose(recipe: Config, sources: Sources, *, task: Task, seed: int) -> pa.Table:
    """Both halves of a level, row by row in turn (of each label): any beginning of the set has as much of either."""
    del recipe, task, seed
    return in_turn([sources.made["first"], sources.made["second"]])


def untaught(recipe: Config) -> str:
    """No real row shows another's paraphrase."""
    del recipe
    return "no real row can show it how to paraphrase under an incentive; name generator.model"


def _seeds(recipe: Config, real: pa.Table, label: str | None, seed: int) -> list[dict[str, Any]]:
    rows = {row["id"]: row for row in real.to_pylist() if label is None or row["label"] == label}
    return [rows[row_id] for row_id in shuffled(rows, "incentives", seed)[:recipe.seeds]]


def _outliers(first: pa.Table, x_ND: NDArray[np.float32], label: str | None, wanted: int) -> list[dict[str, Any]]:
    """The texts of a label that are farthest from their mean, by cosine."""
    own = [i for i, of in enumerate(first["label"].to_pylist()) if label is None or of == label]
    if len(own) < wanted:
        raise DataError(f"recipe.strength: {wanted} outlying texts{f' of {label}' if label else ''} are asked for and "
                        f"the first round made {len(own)}; raise recipe.samples, or lower strength.")
    x_MD = np.asarray(x_ND)[own]
    farthest = np.argsort(x_MD @ x_MD.mean(axis=0), kind="stable")[:wanted]
    return first.take(pa.array([own[int(i)] for i in farthest])).to_pylist()


def _taboo(
    recipe: Config, first: pa.Table, seeds: dict[str | None, list[dict[str, Any]]],
) -> dict[str | None, list[str]]:
    """Words of largest positive weight for each label in a linear SVM over word counts of seeds and first round."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.svm import LinearSVC

    rows = [row for of_label in seeds.values() for row in of_label] + first.to_pylist()
    labels = np.array([row["label"] for row in rows])
    names = sorted(set(labels.tolist()))
    if len(names) < 2:
        raise DataError(f"recipe.method: taboo words are those that tell labels apart, and there is one, {names[0]}; "
                        "take hints or chaining, or give data of more labels.")
    texts = [row["text"] for row in rows]
    vectorizer = CountVectorizer(token_pattern=_WORD.pattern)
    counts_NV = vectorizer.fit_transform(texts)
    weights = LinearSVC(random_state=0).fit(counts_NV, labels).coef_
    weights_LV = np.vstack([-weights[0], weights[0]]) if len(names) == 2 else weights
    vocabulary: Sequence[str] = vectorizer.get_feature_names_out().tolist()
    taboo: dict[str | None, list[str]] = {}
    for name, weight_V in zip(names, weights_LV, strict=True):
        own = [text for text, label in zip(texts, labels, strict=True) if label == name]
        uses = Counter(word for text in own for word in _WORD.findall(text.lower()))
        telling = sorted((-weight, word) for weight, word in zip(weight_V.tolist(), vocabulary, strict=True)
                         if weight > 0 and uses[word] >= recipe.taboo_frequency)
        if len(telling) < recipe.strength[0]:
            raise DataError(
                f"recipe.strength: {recipe.strength[0]} taboo words of {name} are asked for, and {len(telling)} are "
                f"used {recipe.taboo_frequency} times or more and tell it apart; raise recipe.samples, or lower "
                "strength or recipe.taboo_frequency.")
        taboo[name] = [word for _, word in telling[:recipe.strength[0]]]
    return taboo
