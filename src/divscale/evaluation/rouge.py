"""ROUGE-L (Lin 2004) of written answers, by Google's `rouge-score`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any


def rouge_l(answer: str, references: Sequence[str]) -> float:
    """The largest F-measure over the references of the longest common subsequence of words, in [0, 1].

    Words are runs of ASCII letters and digits in lower case, without stemming, as `rouge-score` has them: for other
    scripts it is 0. Cost: the product of both lengths.
    """
    return float(_scorer().score_multi(list(references), answer)["rougeL"].fmeasure)


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"])
