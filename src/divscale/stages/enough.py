"""What a study asks of its real data, checked as soon as the data is split: before a model is trained or asked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.data.mix import real_of
from divscale.data.split import draw_labelled
from divscale.errors import ConfigError, DataError


def check_enough(study: Study, samples: pa.Table, pool: np.ndarray, test_rows: int) -> None:
    """Raise where a later stage is bound to find too little.

    Args:
        study: What is asked.
        samples: SAMPLES, all real rows.
        pool: Row numbers of the labelled pool.
        test_rows: Rows of the test set.

    Raises:
        DataError: One label only, or too few labelled rows for `data.labelled`, for a mix's `total` or for as many real
            rows alone.
        ConfigError: `pretrain` names a label that is not there, or `measure.n` is more rows than a set can have.
    """
    per_label = study.data.task == "classification"
    named = sorted({label for label in samples["label"].to_pylist() if label})
    labels = named if per_label else []
    if per_label and len(labels) < 2:
        raise DataError(f"data.source: every row has the one label '{labels[0]}', and a classifier needs two or more. "
                        "Keep more labels (data.labels), or give data that has them.")
    draw_labelled(samples, pool, max(study.data.labelled), 0, per_label=per_label)
    for place, mix in enumerate(study.mix):
        if mix.total is not None:
            field = f"mix.{place}.total"
            real = real_of(mix.total, min(mix.generated_share))
            draw_labelled(samples, pool, real, 0, per_label=per_label, field=field)
            taking = [f"train.{i}.arms.designs" for i, entry in enumerate(study.train)
                      if study.takes_real(entry, mix.total)]
            try:
                draw_labelled(samples, pool, mix.total if taking else 0, 0, per_label=per_label, field=field)
            except DataError as error:
                raise DataError(f"{error} A constant total is compared with as many real rows alone; to do without, "
                                f"name the mixes in {' and '.join(taking)} and leave real_only out.") from error
    models = {"generator": study.pretrain.generator, "base": study.pretrain.base,
              **{f"bases.{name}": model for name, model in study.pretrain.bases.items()}}
    for role, model in models.items():
        for label in model.labels or ():
            if label not in named:
                raise ConfigError(f"pretrain.{role}.labels: '{label}' is no label of the data. Its labels are "
                                  f"{', '.join(named[:20]) or 'none'}.")
    _check_measured(study, max(len(labels), 1), test_rows)


def _check_measured(study: Study, labels: int, test_rows: int) -> None:
    n = study.measure.n
    sizes = {"a generated set has at most": study.recipe.samples * labels, "the test set has": test_rows}
    which, rows = min(sizes.items(), key=lambda item: item[1])
    if n > rows and (study.measure.diversity or study.measure.shift):
        raise ConfigError(f"measure.n: every set is measured at {n} rows, and {which} {rows}. Set measure.n to {rows} "
                          "or less, or bring more rows (recipe.samples, data.test_share).")
