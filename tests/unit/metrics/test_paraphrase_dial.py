"""The paraphrase dial of a study, in vectors: known sizes of every diversity measure at every setting."""

from __future__ import annotations

import numpy as np
import pytest

from divscale.metrics import (
    dcscores,
    kth_neighbour_distance,
    log_det,
    mean_pairwise_distance,
    novelsum,
    rke,
    vendi_score,
)

COSINE = 0.95


def dialled(copies: int, share: float, n: int = 1000, d: int = 384) -> np.ndarray:
    """n unit rows: random directions, of which `share` are replaced by `copies` near-copies a source that stays."""
    rng = np.random.default_rng(0)
    x_ND = rng.normal(size=(n, d))
    x_ND /= np.linalg.norm(x_ND, axis=1, keepdims=True)
    sources = int(share * n / copies)
    for source in range(sources):
        away = rng.normal(size=(copies, d))
        away -= np.outer(away @ x_ND[source], x_ND[source])
        away *= np.sqrt(1 - COSINE ** 2) / np.linalg.norm(away, axis=1, keepdims=True)
        first = sources + source * copies
        x_ND[first:first + copies] = COSINE * x_ND[source] + away
    return x_ND


@pytest.mark.parametrize("copies, share, plain, sharp, vendi, modes", [
    (4, 0.0, 2.710, 1000, 317, 278), (4, 0.25, 2.705, 853, 273, 216), (4, 0.5, 2.701, 704, 230, 174),
    (4, 0.75, 2.696, 555, 188, 148), (9, 0.25, 2.701, 827, 252, 176), (9, 0.5, 2.692, 654, 193, 128),
    (9, 0.75, 2.679, 486, 144, 102),
])
def test_scores_are_those_of_the_table_at_every_setting(copies, share, plain, sharp, vendi, modes):
    x_ND = dialled(copies, share)
    scores = dcscores(x_ND, temperatures=(1.0, 0.05))
    assert scores[1.0] == pytest.approx(plain, abs=0.003)
    assert scores[0.05] == pytest.approx(sharp, rel=0.01)
    assert vendi_score(x_ND) == pytest.approx(vendi, rel=0.015)
    assert rke(x_ND) == pytest.approx(modes, rel=0.02)


@pytest.mark.parametrize("measure", [
    vendi_score, rke, novelsum, log_det, mean_pairwise_distance, kth_neighbour_distance,
    lambda x: vendi_score(x, order=0.5), lambda x: vendi_score(x, kernel="rbf", gamma=1.0),
])
def test_every_measure_falls_as_more_is_replaced(measure):
    scores = [measure(dialled(4, share, n=300, d=96)) for share in (0.0, 0.25, 0.5, 0.75)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]
