"""Contamination: rows that overlap the test set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from divscale.generation.filters.gone import Found, Gone
from divscale.generation.filters.words import ngrams, words

OVERLAP = "overlaps the test set"
Nearest = Callable[[NDArray[np.int64], NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.floating]]]


def shared_words(
    texts: Sequence[str], contexts: Sequence[str | None], test_ids: Sequence[str], test_texts: Sequence[str],
    test_contexts: Sequence[str | None], n: int,
) -> Found:
    """Rows that share n words in a row with a test text, or all their words where these are fewer than n.

    13 words is what GPT-3 (Brown et al. 2020, appendix C) and later audits use. Below n words only the same example
    counts: the same words, on the same context where there is one ("Who is he?" is asked of many stories).

    Cost: O(words of both), a dictionary of the test set's n-grams.
    """
    grams: dict[str, int] = {}
    whole: dict[tuple[str, str], int] = {}
    for i, (text, context) in enumerate(zip(test_texts, test_contexts, strict=True)):
        said = words(text)
        whole.setdefault((" ".join(said), " ".join(words(context or ""))), i)
        for gram in ngrams(said, n):
            grams.setdefault(gram, i)
    found: Found = {}
    for row, (text, context) in enumerate(zip(texts, contexts, strict=True)):
        said = words(text)
        hit = next(((gram, grams[gram]) for gram in ngrams(said, n) if gram in grams), None)
        joined = " ".join(said)
        if hit is None and (same := whole.get((joined, " ".join(words(context or ""))))) is not None:
            hit = joined, same
        if hit is not None:
            found[row] = Gone(OVERLAP, hit[0], test_ids[hit[1]])
    return found


def near_test(
    contexts: Sequence[str | None], test_ids: Sequence[str], test_contexts: Sequence[str | None], nearest: Nearest,
    cosine: float,
) -> Found:
    """Rows whose vector is at `cosine` or nearer to that of a test row on the same context.

    Args:
        contexts: what each of N rows stands on, or None.
        test_ids: ids of M test rows.
        test_contexts: what they stand on.
        nearest: rows, test rows -> for each row the nearest of those test rows, and the cosine similarity.
        cosine: from which a row goes.
    """
    found: Found = {}
    places = by_key(test_contexts)
    for context, rows in by_key(contexts).items():
        if context not in places:
            continue
        nearest_B, cosine_B = nearest(rows, places[context])
        for row, test_row, similarity in zip(rows.tolist(), nearest_B.tolist(), cosine_B.tolist(), strict=True):
            if similarity >= cosine:
                found[row] = Gone(OVERLAP, f"cosine {similarity:.3f}", test_ids[int(test_row)])
    return found


def by_key(keys: Sequence[object]) -> dict[object, NDArray[np.int64]]:
    """Positions of each key, ascending; keys in order of their first."""
    places: dict[object, list[int]] = {}
    for i, key in enumerate(keys):
        places.setdefault(key, []).append(i)
    return {key: np.asarray(rows, np.int64) for key, rows in places.items()}
