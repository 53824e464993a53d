"""Class probabilities -> per-example predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from divscale.schema import PREDICTIONS


def predictions_from_proba(ids: Sequence[str], targets: Sequence[str], proba_NK: np.ndarray,
                           classes: Sequence[str]) -> pa.Table:
    """Turns a classifier's probabilities into predictions.

    Args:
        ids: N row ids.
        targets: N right labels, each one of `classes`.
        proba_NK: Rows sum to 1. Probabilities are taken as at least 1e-300, so that a loss is finite.
        classes: K names, in the order of the columns.

    Returns:
        `divscale.schema.PREDICTIONS`; `loss` is the negative log-probability of the target, nats.
    """
    index = {name: i for i, name in enumerate(classes)}
    target_N = np.array([index[target] for target in targets])
    best_N = proba_NK.argmax(1)
    loss_N = -np.log(np.maximum(proba_NK[np.arange(len(target_N)), target_N], 1e-300))
    return pa.Table.from_arrays(
        [pa.array(ids, pa.string()), pa.array(targets, pa.string()),
         pa.array([classes[i] for i in best_N], pa.string()), pa.array(best_N == target_N),
         pa.array(loss_N, pa.float64()), pa.array(proba_NK.max(1), pa.float64())], schema=PREDICTIONS)
