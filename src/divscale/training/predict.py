"""A trained model's predictions on held-out rows. Shapes: B rows, T tokens, V vocabulary or classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from divscale.schema import PREDICTIONS
from divscale.training.batches import Row, collate
from divscale.training.encode import encode_rows
from divscale.training.machine import Machine
from divscale.training.models import load
from divscale.training.suitable import check_causal, check_positions
from divscale.training.work import Evaluation, Head, Progress

MAX_LOGITS = 2**28  # 1 GiB in float32, held about three times while they are read


def predict(item: Evaluation, machine: Machine, report: Callable[[Progress], None] = lambda _: None) -> pa.Table:
    """Scores an evaluation's rows; every rank takes its share and gets the whole table. `report` hears of every pass.

    Classifier: `prediction` is the most likely label, `confidence` its probability, `loss` the negative log-likelihood
    of the right one.

    Causal, teacher-forced: `correct` says that at every target position, EOS included, the right token has the highest
    logit. That holds exactly if greedy decoding of the prompt writes the reference and stops: as long as the argmax
    has been right, greedy decoding has seen the same prefix. `prediction` decodes these argmaxes (up to EOS); where
    `correct` is false it is what greedy decoding writes only up to the first wrong token. `loss` is the mean over
    target tokens.

    Returns:
        `divscale.schema.PREDICTIONS`, in the order of `item.rows`.
    """
    import torch

    with machine.together():
        model, tokenizer = load(item.model_dir, item.head, item.labels, base=item.base_model)
        if item.as_found:
            check_positions(model, item.model_dir, item.max_length, "max_length")
            if item.head == "causal":
                check_causal(model, item.model_dir, "model")
        machine.beat()
        machine.use_threads_for(sum(p.numel() for p in model.parameters()))
        rows = encode_rows(tokenizer, item.rows, item.head, item.labels, item.max_length, prompt_weight=0.0)
    model = model.to(machine.device, getattr(torch, item.dtype)).eval()
    machine.beat()
    with torch.inference_mode():
        outputs = outputs_of(model, tokenizer, rows, item.head, item.labels, item.batch_size, machine,
                             lambda done: report(Progress(item.key, done, len(rows), None, 0)))
    predictions, correct, losses, confidences = zip(*outputs, strict=True)
    target = item.rows.column("completion" if item.head == "causal" else "label")
    return pa.Table.from_arrays(
        [item.rows.column("id").cast(pa.string()), target.cast(pa.string()), pa.array(predictions, pa.string()),
         pa.array(correct), pa.array(losses, pa.float64()), pa.array(confidences, pa.float64())], schema=PREDICTIONS)


def outputs_of(model: Any, tokenizer: Any, rows: list[Row], head: Head, labels: tuple[str, ...], batch_size: int,
               machine: Machine, on_rows: Callable[[int], None] = lambda _: None,
               ) -> list[tuple[str, bool, float, float | None]]:
    """Returns (prediction, correct, loss, confidence) of every row, as in `predict`. Every rank takes its share, in as
    many forward passes as the others (ranks that share weights need that), and gets the whole.

    A pass has `batch_size` rows, fewer where the logits of so many would be more than `MAX_LOGITS` numbers.
    After each, `on_rows` is told how many rows all ranks have done.
    """
    import torch.distributed as dist

    # By length, so that a batch has little padding; the last rows twice where the shares would not be equal.
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids_T))
    order += order[-1:] * (-len(rows) % machine.ranks)
    per_token = len(tokenizer) if head == "causal" else 0
    read = _read_causal if head == "causal" else _read_classifier
    outputs: dict[int, tuple[str, bool, float, float | None]] = {}
    for passed in passes([len(rows[i].ids_T) for i in order], machine.ranks, batch_size, per_token):
        machine.beat()
        batch = order[passed][machine.rank::machine.ranks]
        inputs = collate([rows[i] for i in batch], tokenizer.pad_token_id, machine.device)
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits.float()
        outputs |= zip(batch, read(logits, inputs, tokenizer, labels), strict=True)
        on_rows(min(passed.stop, len(rows)))
    shares: list[Any] = [outputs]
    if machine.ranks > 1:
        shares = [None] * machine.ranks
        dist.all_gather_object(shares, outputs)
    merged = {i: output for share in shares for i, output in share.items()}
    return [merged[i] for i in range(len(rows))]


def passes(lengths: Sequence[int], ranks: int, batch_size: int, logits_per_token: int) -> Iterator[slice]:
    """Cuts rows, sorted by length, into the forward passes of all ranks together, of a multiple of `ranks` rows each.

    Args:
        lengths: Tokens of every row, ascending; as many as a multiple of `ranks`.
        batch_size: Rows of a rank in one pass, at most.
        logits_per_token: With it, a rank's pass has at most `MAX_LOGITS` logits, padding counted, or a single row.
    """
    start = 0
    while start < len(lengths):
        size = min(batch_size, (len(lengths) - start) // ranks)
        while size > 1 and size * lengths[start + size * ranks - 1] * logits_per_token > MAX_LOGITS:
            size -= 1
        yield slice(start, start + size * ranks)
        start += size * ranks


def _read_classifier(logits_BV: Any, inputs: dict[str, Any], _: Any, labels: tuple[str, ...]
                     ) -> list[tuple[str, bool, float, float | None]]:
    from torch.nn.functional import cross_entropy

    best_B, nll_B = logits_BV.argmax(-1), cross_entropy(logits_BV, inputs["labels"], reduction="none")
    right_B = best_B == inputs["labels"]
    confidence_B = logits_BV.softmax(-1).amax(-1)
    return [(labels[best], right, nll, confidence) for best, right, nll, confidence in zip(
        best_B.tolist(), right_B.tolist(), nll_B.tolist(), confidence_B.tolist(), strict=True)]


def _read_causal(logits_BTV: Any, inputs: dict[str, Any], tokenizer: Any, _: Any
                 ) -> list[tuple[str, bool, float, float | None]]:
    from torch.nn.functional import cross_entropy

    targets_BT, is_target_BT = inputs["input_ids"][:, 1:], inputs["weights"][:, 1:] > 0
    logits_BTV = logits_BTV[:, :-1]
    best_BT = logits_BTV.argmax(-1)
    nll_BT = cross_entropy(logits_BTV.transpose(1, 2), targets_BT, reduction="none")
    right_B = ((best_BT == targets_BT) | ~is_target_BT).all(-1)
    loss_B = (nll_BT * is_target_BT).sum(-1) / is_target_BT.sum(-1)
    texts = []
    for best_T, is_target_T in zip(best_BT, is_target_BT, strict=True):
        ids = best_T[is_target_T].tolist()
        stop = ids.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in ids else len(ids)
        texts.append(tokenizer.decode(ids[:stop]))
    return [(*found, None) for found in zip(texts, right_B.tolist(), loss_B.tolist(), strict=True)]
