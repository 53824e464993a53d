"""Rows as a model sees them: projected gradients and their diversity, and the loss of a reader. Runs in a worker.

Shapes: N rows, W numbers of a projected gradient.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from divscale.errors import DataError, DivscaleError
from divscale.metrics.config import MeasureConfig

if TYPE_CHECKING:
    from divscale.training.batches import Row
    from divscale.training.machine import Machine

G_VENDI, LOSS, PERPLEXITY = "g_vendi", "reference_loss", "reference_perplexity"
SEED = 0  # of the rows drawn, of the projection, and of the draws behind an interval: the same for all sets
ROWS_A_PASS = 16


@dataclass(frozen=True)
class View:
    """What a worker is given: folders of the models, and pairs of N rows for the gradients and for the loss.

    Attributes:
        proxy: Folder.
        reference: Folder; null: the proxy.
        learnt: `prompt` and `completion` that the gradients are of.
        read: `prompt` and `completion` that the reference reads.
        made: Those of the folders whose model was trained on the spot: its positions are rotary and end nowhere.
    """

    proxy: str
    reference: str | None
    learnt: pa.Table
    read: pa.Table
    made: frozenset[str]
    projected: int
    max_length: int
    subsamples: int


def look(view: View) -> dict[str, Any] | DivscaleError:
    """The values of one view, as a worker computes them.

    Returns:
        `metrics` (name -> {value, low, high, n}), `missing` (name -> why the rows do not allow it), `seconds` (name ->
        wall time, loading apart), `parameters` of the proxy. `reference_loss` is in nats a byte of the text, EOS
        counted, `reference_perplexity` is a token's. Or what a user can act on, where it is about the models.
    """
    found: dict[str, Any] = {"metrics": {}, "missing": {}, "seconds": {}}
    try:
        seeing = _load("proxy", view.proxy)
        found["parameters"] = sum(parameter.numel() for parameter in seeing.model.parameters())
        _timed(found, G_VENDI, lambda: _gradients(view, seeing))
        reader = seeing if view.reference is None else _load("reference", view.reference)
        _timed(found, LOSS, lambda: _losses(view, reader))
    except DivscaleError as error:
        return error
    return found


@dataclass(frozen=True)
class _Loaded:
    """A model on its device, and where it came from."""

    model: Any
    tokenizer: Any
    machine: Machine
    folder: str


def _load(role: str, folder: str) -> _Loaded:
    import torch

    from divscale.training.machine import Machine
    from divscale.training.models import load
    from divscale.training.suitable import check_causal

    model, tokenizer = load(folder, "causal", ())
    check_causal(model, folder, f"measure.model_view.{role}")
    on_gpu = torch.cuda.is_available()  # a GPU is seen where resources give one; not run on one yet
    machine = Machine(0, 1, "cuda" if on_gpu else "cpu", torch.get_num_threads())
    machine.use_threads_for(sum(parameter.numel() for parameter in model.parameters()))
    return _Loaded(model.to(machine.device).eval(), tokenizer, machine, folder)


def _timed(found: dict[str, Any], name: str, measured: Callable[[], dict[str, Any]]) -> None:
    begun = time.monotonic()
    try:
        found["metrics"] |= measured()
    except DataError as error:
        found["missing"][name] = str(error)
    found["seconds"][name] = time.monotonic() - begun


def _gradients(view: View, by: _Loaded) -> dict[str, dict[str, Any]]:
    """G-Vendi (arXiv 2505.20161): the Vendi score, under cosine, of projected gradients, at all rows given."""
    import torch

    from divscale.metrics.diversity.sketch import sketch_places, sketched
    from divscale.metrics.measure import measure_set
    from divscale.training.gradients import row_gradients

    rows = _encoded(view, view.learnt, by)
    sizes = [parameter.numel() for parameter in by.model.parameters() if parameter.requires_grad]
    places = [torch.from_numpy(place).to(by.machine.device) for place in sketch_places(sizes, view.projected, SEED)]
    x_NW = sketched(row_gradients(by.model, rows, by.machine.device), places, view.projected)
    config = MeasureConfig(n=len(x_NW), diversity=("vendi",), shift=(), subsamples=view.subsamples)
    score = measure_set(x_NW, None, None, config, n=len(x_NW), seed=SEED)["vendi"]
    return {G_VENDI: {"value": score.value, "low": score.low, "high": score.high, "n": score.n}}


def _losses(view: View, by: _Loaded) -> dict[str, dict[str, Any]]:
    """Loss in nats a byte of all text together, and the perplexity of a token."""
    import torch

    from divscale.metrics.intervals import ratio
    from divscale.training.predict import outputs_of

    rows = _encoded(view, view.read, by)
    with torch.inference_mode():
        read = outputs_of(by.model, by.tokenizer, rows, "causal", (), ROWS_A_PASS, by.machine)
    tokens_N = np.array([int((row.weights_T > 0).sum()) for row in rows])
    loss_N = np.array([loss for _, _, loss, _ in read]) * tokens_N
    by_byte = ratio(loss_N, [len(text.encode()) for text in view.read["completion"].to_pylist()])
    by_token = ratio(loss_N, tokens_N)
    return {LOSS: {"value": by_byte.value, "low": by_byte.low, "high": by_byte.high, "n": len(rows)},
            PERPLEXITY: {name: None if value is None else float(np.exp(value)) for name, value in (
                ("value", by_token.value), ("low", by_token.low), ("high", by_token.high))} | {"n": len(rows)}}


def _encoded(view: View, pairs: pa.Table, by: _Loaded) -> list[Row]:
    from divscale.training.encode import encode_rows
    from divscale.training.suitable import check_positions

    rows = encode_rows(by.tokenizer, pairs, "causal", (), view.max_length, prompt_weight=0.0)
    if by.folder not in view.made:
        check_positions(by.model, by.folder, max(len(row.ids_T) for row in rows), "measure.model_view.max_length")
    if empty := [i for i, row in enumerate(rows) if not row.weights_T.any()]:
        raise DataError(f"the text {pairs['completion'][empty[0]].as_py()!r} has no token that the model {by.folder} "
                        "could predict: its tokenizer has neither a BOS nor an EOS. Name another model.")
    return rows
