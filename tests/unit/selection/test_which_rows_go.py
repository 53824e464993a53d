"""Duplicates of texts and vectors: which rows go, what they duplicate, and that none goes without a kept one like it."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from divscale.errors import ConfigError
from divscale.selection.near_text import jaccard, near_texts, shingles
from divscale.selection.near_vector import near_vectors
from divscale.selection.same_text import same_texts
from divscale.similarity.vectors import unit_rows


def test_the_same_text_in_another_case_spacing_or_unicode_form_is_a_duplicate_of_the_first():
    found = same_texts(["Grüß Gott", "other", "  grüß\n GOTT ", "Gru\u0308ß Gott", "other."])
    assert found.of_N.tolist() == [0, 1, 0, 0, 4]
    assert found.gone == 2 and found.similarity_N.tolist() == [1.0] * 5


def test_jaccard_of_shingles_is_the_definition():
    assert shingles("abcdef") == {"abcde", "bcdef"} and shingles("ab") == {"ab"}
    assert jaccard(shingles("abcdef"), shingles("abcdeg")) == pytest.approx(1 / 3)


def test_near_texts_go_with_the_kept_text_they_resemble_and_its_similarity():
    base = "the quick brown fox jumps over the lazy dog near the river bank at noon"
    texts = [base, "something else entirely, about other things", base + "!", base.replace("noon", "dawn")]
    found = near_texts(texts, [0.6, 0.95])
    assert found[0.6].of_N.tolist() == [0, 1, 0, 0]
    assert found[0.6].similarity_N[2] == pytest.approx(jaccard(shingles(texts[0]), shingles(texts[2])))
    assert found[0.95].of_N.tolist() == [0, 1, 0, 3]


def test_no_two_kept_texts_that_were_compared_are_too_alike_and_most_pairs_above_the_threshold_are_found():
    rng = random.Random(0)
    found = 0
    for _ in range(60):
        base = "".join(rng.choice("abcdefghij") for _ in range(200))
        other = base
        while jaccard(shingles(base), shingles(other)) > 0.75:
            place = rng.randrange(200)
            other = other[:place] + "z" + other[place + 1:]
        near = near_texts([base, other], [0.7])[0.7]
        likeness = jaccard(shingles(base), shingles(other))
        assert likeness >= 0.7 or not near.gone
        found += near.gone if likeness >= 0.7 else 1
    assert found >= 54


def clustered(n: int, d: int = 32, noise: float = 0.25, clusters: int = 20, seed: int = 0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(clusters, d))[rng.integers(0, clusters, n)] + noise * rng.normal(size=(n, d))).astype(np.float32)


def leaders_by_definition(x_ND, threshold):
    unit, kept, of = unit_rows(x_ND.astype(np.float64)), [], []
    for i, row in enumerate(unit):
        best = max(kept, key=lambda j: row @ unit[j], default=None)
        if best is not None and row @ unit[best] >= threshold:
            of.append(best)
        else:
            kept.append(i)
            of.append(i)
    return of


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.95])
def test_near_vectors_are_those_of_the_definition_row_by_row(threshold):
    x_ND = clustered(1500)
    found = near_vectors(x_ND, [0.5, 0.9, 0.95])[threshold]
    assert found.of_N.tolist() == leaders_by_definition(x_ND, threshold)
    unit = unit_rows(x_ND.astype(np.float64))
    assert found.similarity_N == pytest.approx((unit * unit[found.of_N]).sum(axis=1), abs=1e-5)


def test_every_row_that_goes_has_a_kept_one_like_it_and_no_two_kept_ones_are_alike():
    x_ND = clustered(600, noise=0.4)
    found = near_vectors(x_ND, [0.8])[0.8]
    kept = np.flatnonzero(found.kept)
    similarity = unit_rows(x_ND) @ unit_rows(x_ND).T
    assert set(found.of_N) == set(kept.tolist()) and 0 < found.gone < 600
    assert (similarity[np.arange(600), found.of_N] >= 0.8 - 1e-5).all()
    assert (similarity[np.ix_(kept, kept)] - np.eye(len(kept)) < 0.8 + 1e-5).all()


def test_a_chain_does_not_drag_its_far_end_along():
    angles = np.deg2rad([0, 20, 40, 60])
    x_ND = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert near_vectors(x_ND, [np.cos(np.deg2rad(21))])[np.cos(np.deg2rad(21))].of_N.tolist() == [0, 0, 2, 2]


def test_a_hundred_thousand_copies_of_a_row_are_one_row_in_seconds():
    x_ND = np.tile(np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32), (100_000, 1))
    x_ND[::1000] = np.random.default_rng(1).normal(size=(100, 16))
    begun = time.process_time()
    found = near_vectors(x_ND, [0.99])[0.99]
    assert time.process_time() - begun < 10
    assert found.kept.sum() == 101 and set(found.similarity_N) == {1.0}


@pytest.mark.parametrize("threshold", [-1.0, 1.1])
def test_similarities_that_cannot_be_are_refused(threshold):
    with pytest.raises(ConfigError, match="near: a Jaccard similarity"):
        near_texts(["a"], [threshold])
    with pytest.raises(ConfigError, match="semantic: a cosine similarity"):
        near_vectors(np.ones((2, 2)), [threshold])
