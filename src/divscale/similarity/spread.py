"""Whether passes over all pairs run in this process or over a cluster, decided in one place for every metric.

Shapes: N rows of x, M rows of y, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from divscale.runtime.session import Session
from divscale.similarity.engine import Reduced, passes_by, reduce_pairs
from divscale.similarity.sharded import reduce_pairs_sharded
from divscale.similarity.sides import Vectors, opened

WORTH_IT = 1e12  # multiply-adds: ten seconds of a few cores


def reducer(session: Session) -> Callable[..., Reduced]:
    """`reduce_pairs` as it serves this cluster best: in this process, or over its nodes and GPUs.

    Over them where a running cluster is connected to, this machine has several GPUs, or
    `resources.similarity_actors` asks for it. A local Ray on one node is not started only to find out.
    """
    if session.resources.similarity_actors is None and session.is_local:
        gpus = torch.cuda.device_count()
        if min(gpus, gpus if session.resources.gpus is None else session.resources.gpus) < 2:
            return reduce_pairs
    return partial(reduce_pairs_sharded, session)


@contextmanager
def spread(session: Session, *, device: str = "auto", at_least: float = WORTH_IT) -> Iterator[None]:
    """Within this context every large pass over all pairs, whichever metric asks for it, goes where `reducer` says.

    Args:
        session: Ray.
        device: the actors', in place of the one the metric was told.
        at_least: multiply-adds of a pass that is spread; smaller ones stay in this process, for actors take seconds
            to start.
    """
    run = reducer(session)
    if run is reduce_pairs:
        yield
        return

    def spread_if_large(x_ND: Vectors, y_MD: Vectors | None = None, **asked: Any) -> Reduced:
        x = opened(x_ND)
        y = None if y_MD is None else opened(y_MD)
        size = len(x) * (len(x) / 2 if y is None else len(y)) * x.shape[1]
        return run(x, y, **asked | {"device": device}) if size >= at_least else reduce_pairs(x, y, **asked)

    with passes_by(spread_if_large):
        yield
