"""MAUVE and PRDC against the packages of their authors: the same values, sooner.

Two sets that share their clusters but not the clusters' weights, with the decaying spectrum that embeddings have.
MAUVE is compared over seeds of its k-means, one clustering a seed on either side; PRDC has no seed. Rounds alternate.

Run: python benchmarks/shift_peers.py      (needs requirements/bench.txt)
"""

from __future__ import annotations

import contextlib
import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from divscale.metrics.shift.mauve import mauve
from divscale.metrics.shift.prdc import prdc

ROWS, FEATURES, CLUSTERS, SEEDS, ROUNDS = 3_000, 384, 40, 5, 3
REQUIREMENTS = {
    "mauve_difference": "mean over seeds within the larger standard deviation over seeds of either",
    "mauve_star_difference": "likewise",
    "prdc_difference": "at most 1e-6 in any of the four",
    "mauve_time": "median below mauve-text's",
    "prdc_time": "median below prdc's",
}


def sets(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Reference and set, n x FEATURES each, float32."""
    rng = np.random.default_rng(0)
    spectrum = np.arange(1, FEATURES + 1) ** -0.5
    centers = rng.normal(size=(CLUSTERS, FEATURES)) * spectrum
    drawn = []
    for weights in (np.ones(CLUSTERS), np.geomspace(1, 0.1, CLUSTERS)):
        of = rng.choice(CLUSTERS, n, p=weights / weights.sum())
        drawn.append((centers[of] + rng.normal(size=(n, FEATURES)) * spectrum).astype(np.float32))
    return drawn[0], drawn[1]


def main() -> int:
    try:
        import prdc as prdc_package
        from mauve import compute_mauve
    except ImportError as missing:
        print(f"{missing}. Install requirements/bench.txt.", file=sys.stderr)
        return 3
    reference, generated = sets(ROWS)

    def their_mauve(seed: int) -> dict[str, float]:
        with contextlib.redirect_stdout(io.StringIO()):
            out = compute_mauve(p_features=reference, q_features=generated, seed=seed + 1, verbose=False)
        return {"value": float(out.mauve), "star": float(out.mauve_star)}

    def our_mauve(seed: int) -> dict[str, float]:
        out = mauve(generated, reference, seed=1000 * seed, clusterings=1)
        return {"value": out.value, "star": out.star}

    def their_prdc(_: int) -> dict[str, float]:
        with contextlib.redirect_stdout(io.StringIO()):
            out = prdc_package.compute_prdc(real_features=reference, fake_features=generated, nearest_k=5)
        return {name: float(out[name]) for name in ("precision", "recall", "density", "coverage")}

    def our_prdc(_: int) -> dict[str, float]:
        out = prdc(generated, reference, k=5)
        return {name: getattr(out, name) for name in ("precision", "recall", "density", "coverage")}

    small = sets(200)
    mauve(*small, clusterings=1)  # libraries are loaded and warm
    prdc(*small)
    mauves = alternated({"ours": our_mauve, "theirs": their_mauve}, SEEDS)
    prdcs = alternated({"ours": our_prdc, "theirs": their_prdc}, ROUNDS)
    figures: dict[str, Any] = {"rows": ROWS, "features": FEATURES, "mauve": mauves, "prdc": prdcs}
    met = {}
    for name in ("value", "star"):
        ours, theirs = ([found[name] for found in mauves[side]["found"]] for side in ("ours", "theirs"))
        difference, spread = abs(np.mean(ours) - np.mean(theirs)), max(np.std(ours, ddof=1), np.std(theirs, ddof=1))
        key = "mauve_difference" if name == "value" else "mauve_star_difference"
        figures[key], met[key] = {"difference": float(difference), "spread": float(spread)}, bool(difference <= spread)
    ours, theirs = (prdcs[side]["found"][0] for side in ("ours", "theirs"))
    figures["prdc_difference"] = max(abs(ours[name] - theirs[name]) for name in ours)
    met["prdc_difference"] = figures["prdc_difference"] <= 1e-6
    for name, taken in (("mauve_time", mauves), ("prdc_time", prdcs)):
        figures[name] = taken["ours"]["median_seconds"] / taken["theirs"]["median_seconds"]
        met[name] = figures[name] < 1
    print(json.dumps({"requirements": REQUIREMENTS, **figures, "each_met": met, "met": all(met.values())}, indent=1))
    return 0 if all(met.values()) else 1


def alternated(ways: dict[str, Callable[[int], dict[str, float]]], rounds: int) -> dict[str, Any]:
    """What every way found in each round, and its median seconds."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in sorted(ways, reverse=bool(turn % 2)):
            began = time.perf_counter()
            found[name].append(ways[name](turn))
            taken[name].append(time.perf_counter() - began)
    return {name: {"median_seconds": statistics.median(taken[name]), "seconds": taken[name], "found": found[name]}
            for name in ways}


if __name__ == "__main__":
    raise SystemExit(main())
