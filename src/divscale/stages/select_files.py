"""`divscale select`: a subset of a data set with a wanted diversity.

Shapes: N rows of the pool, K rows chosen, D features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from divscale.data.copy_rows import EXTENSIONS, copy_rows
from divscale.data.dataset import find
from divscale.data.text_set import read_set
from divscale.embedding.config import EmbedderConfig
from divscale.errors import ConfigError
from divscale.runtime.resources import Resources
from divscale.selection.target import Chosen
from divscale.stages.embed_files import Log, check_embedder, check_seed, embed_texts
from divscale.stages.out_file import prove_writable, whole
from divscale.stages.subset import TEMPERATURE, Method, SelectMeasure, choose_subset


@dataclass(frozen=True)
class Selected:
    """A written subset: `chosen.value` is its diversity, measured on the rows written."""

    pool: int
    measure: str
    chosen: Chosen


def select_files(
    data: str, out: str, *, to_diversity: float, size: int, measure: SelectMeasure = "dcscore",
    method: Method = "k-center", text_column: str | None = None, vectors: str | None = None,
    embedder: EmbedderConfig | None = None, seed: int = 0, resources: Resources | None = None,
    log: Log = lambda _: None,
) -> Selected:
    """Write `size` rows of a data set whose diversity is as near to `to_diversity` as can be.

    Random rows are moved towards diverse ones (`method`) to raise diversity, towards the densest neighbourhood of the
    pool to lower it: see `selection.target.choose_to`. Levels of one pool share its texts; their mixtures of topics
    differ, which is what diversity is.

    Args:
        data: as `measure_files`.
        out: local file of the pool's format, written anew; not the pool.
        to_diversity: wanted value, 1 to `size`.
        size: rows, at least 4.
        measure: `dcscore` (cosine, temperature 0.05) or `vendi` (cosine, order 1): effective numbers of rows.
        method: which order raises diversity: `k-center` (reaches farthest), `dcscore` (greedy), `facility`
            (representative rows, which raise it least).
        text_column: as `measure_files`.
        vectors: list column of given vectors.
        embedder: the encoder otherwise.
        seed: of everything drawn.
        resources: of the encoder's fleet.
        log: takes what is said on the way.

    Raises:
        ConfigError: a value out of reach, with the reachable range; a size above the pool's; a file that cannot be.
        DataError: unreadable data.
        StageFailedError: `out` cannot be written after all, as on a full disk.
    """
    if measure not in get_args(SelectMeasure) or method not in get_args(Method):
        raise ConfigError(f"--measure is {' or '.join(get_args(SelectMeasure))} and --method one of "
                          f"{', '.join(get_args(Method))}; got {measure} and {method}.")
    dataset, file = find(data, "data"), Path(out)
    if file.suffix.lower() != f".{EXTENSIONS[dataset.format]}":
        raise ConfigError(f"--out: rows of {data} are written as .{EXTENSIONS[dataset.format]}; {out} has another "
                          "extension.")
    prove_writable("--out", file, [data, *(part.path for part in dataset.files)] if "://" not in data else [])
    check_seed(seed)
    if not math.isfinite(to_diversity):
        raise ConfigError(f"--to-diversity: {to_diversity} is no number of rows; give a finite one.")
    found = read_set(dataset, field="data", columns=text_column, vectors=vectors)
    log(f"{data}: {found.read_as}")
    if not 4 <= size <= len(found.ids):
        raise ConfigError(f"--size: {size} rows are asked for and the pool has {len(found.ids)} that can be measured; "
                          f"give a number from 4 to {len(found.ids)}.")
    x_ND = found.x_ND
    if x_ND is None:
        assert found.texts is not None
        config = embedder or EmbedderConfig()
        check_embedder(config)
        x_ND = embed_texts(found.texts, config, resources or Resources(), before=lambda *_: None, log=log)
    chosen = choose_subset(x_ND, size, to_diversity, measure=measure, method=method, seed=seed)
    wanted_N = np.zeros(found.rows_in, bool)
    wanted_N[found.ordinals[chosen.rows_K]] = True
    with whole("--out", out, file) as (part,):
        copy_rows(dataset, wanted_N, part)
    return Selected(len(found.ids), f"dcscore@{TEMPERATURE:g}" if measure == "dcscore" else measure, chosen)
