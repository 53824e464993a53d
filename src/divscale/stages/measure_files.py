"""`divscale measure`: the diversity of any dataset, and its shift from another, without a study."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from divscale.data.config import Columns
from divscale.data.read import RawRows, read
from divscale.data.validate import validate
from divscale.embedding.config import EmbedderConfig
from divscale.embedding.fleet import EmbeddingFleet
from divscale.errors import ConfigError, DataError, PreflightError
from divscale.metrics.config import MeasureConfig
from divscale.metrics.measure import measure_set
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.stages.identity import model_identity


def measure_from_terminal(
    data: str,
    column: str,
    *,
    reference: str | None,
    reference_column: str,
    embedder: str,
    n: int | None,
    seed: int,
    json_file: str | None,
) -> int:
    """Measure, print a table, write JSON where asked. Returns the exit code."""
    if json_file not in (None, "-") and not Path(json_file).resolve().parent.is_dir():
        raise ConfigError(f"--json: {json_file} cannot be written, because its folder does not exist. Make it first.")
    found = measure_files(
        data,
        column,
        reference=reference,
        reference_column=reference_column,
        embedder=EmbedderConfig(model=embedder),
        n=n,
        seed=seed,
    )
    if json_file == "-":
        print(json.dumps(found, indent=1))
        return 0
    if json_file is not None:
        Path(json_file).write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(
        f"{data}: {found['rows']} rows, measured at n = {found['n']}"
        + (f", against {reference}: {found['reference_rows']} rows" if reference else "")
    )
    for name, value in found["metrics"].items():
        spread = "" if value["low"] is None else f"  [{value['low']:.4g}, {value['high']:.4g}]"
        print(f"  {name:<18} {value['value']:>10.4g}{spread}")
    return 0


def measure_files(
    data: str,
    column: str,
    *,
    reference: str | None = None,
    reference_column: str | None = None,
    embedder: EmbedderConfig | None = None,
    n: int | None = None,
    seed: int = 0,
    resources: Resources | None = None,
) -> dict[str, Any]:
    """The measures of `divscale.metrics.measure.measure_set` for files.

    Args:
        data: Parquet, JSONL or CSV file (path or URI).
        column: its text column.
        reference: a file to measure the shift from.
        reference_column: its text column; default `column`.
        embedder: the encoder; default the packaged all-MiniLM-L6-v2.
        n: rows both sides are subsampled to; default as many as the smaller side has.
        seed: of the subsamples.

    Returns:
        `rows`, `reference_rows`, `n`, `embedder`, and `metrics`: name -> {value, low, high, n}.

    Raises:
        ConfigError: a missing file or column, or n above the number of rows.
        DataError: unreadable data or empty texts.
    """
    config, resources = embedder or EmbedderConfig(), resources or Resources()
    if n is not None and n < 4:
        raise ConfigError(f"n: {n} rows are too few to measure; give -n 4 or more.")
    if model_identity(config.model, config.revision, "embedder").kind == "unresolved":
        raise PreflightError(f"embedder: {config.model} is neither a folder nor in the local Hugging Face cache. "
                             f"Download it (hf download {config.model}), or give minilm, which is packaged.")
    texts = _texts(data, column)
    others = _texts(reference, reference_column or column) if reference else []
    smaller = min(len(texts), len(others)) if reference else len(texts)
    if n is not None and n > smaller:
        raise ConfigError(f"n: {n} rows are asked for and the smaller side has {smaller}; give a smaller -n.")
    with Session(resources) as session:
        fleet = EmbeddingFleet(session, config, resources)
        fleet.start()
        try:
            vectors = fleet.embed([*texts, *others], lambda _: None)
        finally:
            fleet.close()
    x_ND, reference_MD = vectors[: len(texts)], np.asarray(vectors[len(texts) :])
    measured = measure_set(x_ND, texts, reference_MD if reference else None, MeasureConfig(), n=n or smaller, seed=seed)
    return {
        "data": data,
        "rows": len(texts),
        "reference": reference,
        "reference_rows": len(others) if reference else None,
        "n": n or smaller,
        "embedder": config.model,
        "metrics": {k: asdict(v) for k, v in measured.items()},
    }


def _texts(uri: str, column: str) -> list[str]:
    raw = read(uri, Columns(text=column), "text", field="data")
    valid = validate(RawRows(uri, {"text": raw.columns["text"]}, raw.rows), "text", max_rejected_share=1.0)
    if valid.rejected.num_rows:
        print(f"{uri}: {valid.rejected.num_rows} of {raw.rows} rows have no text and are left out", file=sys.stderr)
    if valid.samples.num_rows < 4:
        raise DataError(f"{uri}: {valid.samples.num_rows} texts are too few to measure; give at least 4.")
    return valid.samples["text"].to_pylist()
