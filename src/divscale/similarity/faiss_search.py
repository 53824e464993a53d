"""FAISS's exhaustive search, on the CPU or over the GPUs of this machine.

Shapes: N queries, M database rows, D features, K neighbours, G devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from divscale.errors import ConfigError, PreflightError
from divscale.similarity.float_rows import FloatRows
from divscale.similarity.tiles import blocks

Metric = Literal["inner_product", "l2"]
METRICS = {"inner_product": faiss.METRIC_INNER_PRODUCT, "l2": faiss.METRIC_L2}


class Neighbours(NamedTuple):
    """Scores (N x K, float32) and row indices (N x K, int64), nearest first."""

    scores_NK: NDArray[np.float32]
    indices_NK: NDArray[np.int64]


Search = Callable[[NDArray, NDArray, int, int], tuple[NDArray, NDArray]]  # (x_ND, y_MD, k, FAISS metric)


def check_metric(metric: str, k: int) -> None:
    """Raise ConfigError for an unknown metric or k below 1."""
    if metric not in METRICS or k < 1:
        raise ConfigError(f"Neighbours are found by inner_product or l2 and k is at least 1; got {metric!r} and k={k}.")


def gpu_count(device: str) -> int:
    """GPUs that FAISS works with on that device: 0 on "cpu", all of the machine's otherwise.

    Raises:
        PreflightError: a device other than "cpu" where FAISS sees no GPU.
    """
    if device == "cpu":
        return 0
    if not faiss.get_num_gpus():
        raise PreflightError(f"FAISS was asked to work on {device}, but this one ({faiss.__version__}) sees no GPU. "
                             "Install faiss-gpu on a machine with one, or use the CPU (device cpu).")
    return faiss.get_num_gpus()


def exhaustive(x_ND: NDArray, y_MD: NDArray, k: int, metric: Metric, device: str) -> Neighbours:
    """The k nearest of M for each of N, by N M D operations; float32, C-contiguous, k <= M.

    `device` "cuda" uses every GPU of the machine: each searches a share of the database, and the shares' best are
    merged. Written from FAISS's documentation (`knn_gpu`); never run on a GPU yet.

    Raises:
        PreflightError: "cuda" where FAISS sees no GPU.
    """
    gpus = gpu_count(device)
    if not gpus:
        return Neighbours(*faiss.knn(x_ND, y_MD, k, metric=METRICS[metric]))
    return over_shares(x_ND, y_MD, k, metric, [_on_gpu(gpu) for gpu in range(gpus)])


def over_shares(x_ND: NDArray, y_MD: NDArray, k: int, metric: Metric, searches: Sequence[Search]) -> Neighbours:
    """Search a contiguous share of the database with each of `searches` at once, and merge: exact.

    Of equally near rows those of earlier shares come first.
    """
    shares = blocks(len(y_MD), -(-len(y_MD) // len(searches)))

    def one(search: Search, share: slice) -> tuple[NDArray, NDArray]:
        part_SD = y_MD[share]
        scores, indices = search(x_ND, part_SD, min(k, len(part_SD)), METRICS[metric])
        return scores, indices + share.start

    with ThreadPoolExecutor(len(shares)) as threads:
        found = list(threads.map(one, searches, shares))
    return nearest_of(found, k, metric)


def nearest_of(found: Sequence[tuple[NDArray, NDArray]], k: int, metric: Metric) -> Neighbours:
    """The k best of scores and indices that several shares of a database gave, ties in the order of the shares."""
    scores, indices = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    best = np.argsort(-scores if metric == "inner_product" else scores, axis=1, kind="stable")[:, :k]
    return Neighbours(np.take_along_axis(scores, best, 1), np.take_along_axis(indices, best, 1))


def by_panels(x: FloatRows, y: FloatRows, k: int, metric: Metric, device: str) -> Neighbours:
    """`exhaustive` for rows that may lie on disk: each panel of x meets the panels of y one after another.

    Memory: a panel of each, an eighth of what is free at most, and two times N K scores and indices. y is read once for
    each panel of x.
    """
    panels = y.panels()
    whole = y.read(slice(0, len(y))) if len(panels) == 1 else None
    parts: list[Neighbours] = []
    for rows in x.panels():
        x_BD = whole if x is y and whole is not None else x.read(rows)
        best: Neighbours | None = None
        for columns in panels:
            y_CD = y.read(columns) if whole is None else whole
            found = exhaustive(x_BD, y_CD, min(k, len(y_CD)), metric, device)
            found.indices_NK[...] += columns.start
            best = found if best is None else nearest_of([best, found], k, metric)
        assert best is not None, "y has rows"
        parts.append(best)
    return parts[0] if len(parts) == 1 else Neighbours(*map(np.concatenate, zip(*parts, strict=True)))


def _on_gpu(gpu: int) -> Search:
    resources = faiss.StandardGpuResources()

    def search(x_ND: NDArray, y_MD: NDArray, k: int, metric: int) -> tuple[NDArray, NDArray]:
        return faiss.knn_gpu(resources, x_ND, y_MD, k, metric=metric, device=gpu)

    return search
