"""Whether a classifier is as often right as it says it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15


def expected_calibration_error(confidence_N: NDArray[np.float64], correct_N: NDArray[np.bool_]) -> float:
    """ECE (Naeini et al. 2015; Guo et al. 2017): sum over `BINS` equal bins of confidence of the share of rows in the
    bin times |share that is right - mean confidence|, in [0, 1].

    Bins are open at the left and closed at the right; a confidence of 0 is in the first.

    Args:
        confidence_N: probability of the predicted class, in [0, 1].
        correct_N: whether it is the right one.
    """
    bin_N = np.clip(np.ceil(confidence_N * BINS).astype(int) - 1, 0, BINS - 1)
    gap = (np.bincount(bin_N, weights=correct_N.astype(float), minlength=BINS)
           - np.bincount(bin_N, weights=confidence_N, minlength=BINS))
    return float(np.abs(gap).sum() / len(confidence_N))
