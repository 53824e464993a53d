"""Claim: the Vendi score of a million rows is exact, and costs about what one product of the vectors with themselves does.

Ours is float64 throughout: blocks of rows are scaled to unit length and multiplied in float64, half of each product
being saved by symmetry. The yardstick is X.T @ X of the same float32 matrix in float32, by NumPy, which saves the same
half and scales nothing. The two take turns three times, and the fastest of each are compared: others on the
machine only ever slow a run down. Against `vendi-score` the full form is meant:
X @ X.T and all N eigenvalues; both sides get float64 there.

Run: python benchmarks/vendi_dual.py       (prints JSON; exits 1 where a requirement is missed; 1.5 GB for the vectors)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np

ROWS, FEATURES, REPEATS = 1_000_000, 384, 3
FULL_ROWS = 4_000
CHUNK = 50_000
REQUIREMENT = {
    "over_one_product": 4.0,  # seconds of vendi_score at a million rows, over those of X.T @ X, at most
    "relative_error": 1e-6,  # of float32 input, against float64 products of float64 rows, at most
    "faster_than_full": 50.0,  # times, at 4,000 rows, at least
    "difference_from_full": 1e-6,  # relative, at most
}


def main() -> int:
    """Measure, print the JSON, return the exit code."""
    from vendi_score import vendi

    from divscale.metrics import vendi_score

    x_ND = vectors(ROWS)
    product, ours = [], []
    for _ in range(REPEATS):
        product.append(seconds(lambda: x_ND.T @ x_ND)[0])
        took, score = seconds(lambda: vendi_score(x_ND))
        ours.append(took)
    expected = in_float64(x_ND)
    few_ND = x_ND[:FULL_ROWS].astype(np.float64)
    full_seconds, full = seconds(lambda: vendi.score_X(few_ND))
    few = [seconds(lambda: vendi_score(few_ND)) for _ in range(5)]
    found = {
        "over_one_product": min(ours) / min(product),
        "relative_error": abs(score / expected - 1),
        "faster_than_full": full_seconds / min(took for took, _ in few),
        "difference_from_full": abs(few[0][1] / full - 1),
    }
    met = all(found[name] >= limit if name == "faster_than_full" else found[name] <= limit
              for name, limit in REQUIREMENT.items())
    print(json.dumps({"rows": ROWS, "features": FEATURES, "score": score, "product_seconds": product,
                      "vendi_seconds": ours, "full_rows": FULL_ROWS, "full_seconds": full_seconds,
                      "few_seconds": [took for took, _ in few], "found": found, "requirement": REQUIREMENT,
                      "met": met}, indent=1))
    return 0 if met else 1


def vectors(n: int) -> np.ndarray:
    """Rows of 200 directions with noise, made in chunks: no second copy is ever held. float32."""
    rng = np.random.default_rng(0)
    centres_KD = rng.standard_normal((200, FEATURES), dtype=np.float32)
    x_ND = np.empty((n, FEATURES), np.float32)
    for start in range(0, n, CHUNK):
        rows = x_ND[start:start + CHUNK]
        rng.standard_normal(out=rows, dtype=np.float32)
        rows += centres_KD[rng.integers(0, 200, len(rows))]
    return x_ND


def in_float64(x_ND: np.ndarray) -> float:
    """The score from the plain formula in float64, chunk by chunk."""
    gram = np.zeros((FEATURES, FEATURES))
    for start in range(0, len(x_ND), CHUNK):
        rows = x_ND[start:start + CHUNK].astype(np.float64)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        gram += rows.T @ rows
    eigenvalues = np.linalg.eigvalsh(gram / len(x_ND))
    eigenvalues = eigenvalues[eigenvalues > 1e-15]
    return float(np.exp(-(eigenvalues * np.log(eigenvalues)).sum()))


def seconds(call: Callable[[], float]) -> tuple[float, float]:
    """Seconds of wall, and the result."""
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result


if __name__ == "__main__":
    raise SystemExit(main())
