"""One arm, from its rows to its trained model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from divscale.errors import DivergedError
from divscale.training.batches import Row, collate, micro_batches, step_rows, steps_of
from divscale.training.checkpoint import Checkpoints, State
from divscale.training.encode import encode_rows
from divscale.training.engine import initialize
from divscale.training.loss import weighted_nll
from divscale.training.machine import Machine
from divscale.training.metrics import Metrics
from divscale.training.models import build
from divscale.training.packing import check_isolation, collate_packed
from divscale.training.validation import Validation
from divscale.training.work import Arm, Progress, Trained

CHECK_EVERY_STEPS = 10  # a NaN never heals, so looking now and then loses a few steps at most


def train(arm: Arm, machine: Machine, report: Callable[[Progress], None]) -> Trained:
    """Trains and exports an arm. Every rank calls it with the same arm; the result is the same on all.

    Gradients are those of the loss per unit of target weight over the *global* batch, whatever the ranks and the
    accumulation. Dropout is off, so that ranks and restarts change nothing.

    Raises:
        DivergedError: The loss is no longer finite (all ranks raise together).
        DivscaleError: The model or the rows are unusable (likewise).
    """
    started = time.monotonic()
    with machine.together():
        model, tokenizer = build(arm)
        machine.beat()
        parameters = sum(p.numel() for p in model.parameters())
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        machine.use_threads_for(parameters)
        rows = encode_rows(tokenizer, arm.rows, arm.head, arm.labels, arm.max_length, arm.prompt_weight)
        machine.beat()
        validation = Validation(arm, tokenizer, machine)
        if arm.packing != "none":
            check_isolation(model.eval())
    steps = steps_of(arm.optim.epochs, arm.optim.steps, len(rows), arm.optim.batch_size)
    engine, accumulation, micro_size = initialize(arm, model, steps, machine)
    machine.beat()
    folder = Path(arm.work_dir) if arm.work_dir else None
    checkpoints = Checkpoints(folder and folder / "checkpoints", arm.checkpoint_every_s, arm.zero_stage, machine)
    metrics = Metrics(folder, parameters, trained, machine, arm.tracking)
    try:
        order = list(step_rows([len(row.ids_T) for row in rows], arm.optim.batch_size, steps, arm.seed,
                                arm.batching))
        step, tokens, losses, validation.seen = checkpoints.restore(engine)
        machine.beat()
        metrics.begin(step, tokens)
        since, begun = machine.zeros(2), time.monotonic()
        for step, batch in enumerate(order[step:], step + 1):  # noqa: B020 (goes on from where it was)
            since += optimiser_step(engine, arm, rows, batch, accumulation, micro_size, tokenizer.pad_token_id, machine)
            machine.beat()
            tokens += sum(len(rows[i].ids_T) for i in batch)
            is_due = validation.is_due(step, steps)
            if step % CHECK_EVERY_STEPS == 0 or step == steps or is_due:
                loss = mean_loss(arm, since, step, machine)
                losses.append((step, loss))
                since = machine.zeros(2)
                metrics.trained(step, loss, engine.get_lr()[0], tokens)
                report(Progress(arm.key, step, steps, loss, tokens))
                if is_due:
                    metrics.validated(*validation.look(engine, step, micro_size))
                if validation.is_hopeless:
                    break
                checkpoints.save_if_due(engine, State(step, tokens, losses, validation.seen))
        steps_s = time.monotonic() - begun
        files, exported_step = validation.export(engine, step)
        machine.beat()
    finally:
        engine.destroy()
        metrics.close()
    seen = [rows[i] for batch in order[:step] for i in batch]
    return Trained(
        key=arm.key, files=files, parameters=parameters, trained_parameters=trained,
        steps=step, samples=len(seen), tokens=tokens,
        cut_samples=sum(row.cut > 0 for row in rows), cut_tokens=sum(row.cut for row in rows),
        target_tokens=sum(int((row.weights_T > 0).sum()) for row in seen), final_loss=losses[-1][1],
        losses=tuple(losses), validated=tuple(validation.seen), exported_step=exported_step,
        seconds=time.monotonic() - started, steps_s=steps_s, ranks=machine.ranks)


def optimiser_step(engine: Any, arm: Arm, rows: list[Row], batch: list[int], accumulation: int, micro_size: int,
                   pad_id: int, machine: Machine) -> Any:
    """Takes one step; returns this rank's [sum of weighted losses, sum of weights]."""
    weight = float(sum(rows[i].weights_T.sum() for i in batch))
    totals = machine.zeros(2)
    for share in micro_batches(batch, machine.rank, machine.ranks, micro_size, accumulation):
        samples = [rows[batch[0] if i is None else i] for i in share]
        inputs = (collate(samples, pad_id, machine.device) if arm.packing == "none"
                  else collate_packed(samples, arm.max_length, pad_id, machine.device))
        if share == [None]:
            inputs["weights"].zero_()
        loss = weighted_nll(engine, inputs)
        # DeepSpeed averages gradients over ranks; what is wanted is their sum over the global weight.
        engine.backward(loss * (machine.ranks / weight), scale_wrt_gas=False)
        engine.step()
        totals[0] += loss.detach()
        totals[1] += inputs["weights"].sum()
    return totals


def mean_loss(arm: Arm, totals: Any, step: int, machine: Machine) -> float:
    """Returns the mean loss over all ranks since the last look; raises on every rank if it is not finite."""
    loss_sum, weight = machine.sum_over_ranks(totals).tolist()
    if not math.isfinite(loss_sum):
        raise DivergedError(f"training arm {arm.key}: the loss was not finite by step {step}. "
                            f"Lower its learning rate ({arm.optim.lr:g}), or look for damaged rows.")
    return loss_sum / weight
