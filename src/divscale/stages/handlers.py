"""Which handler runs which stage, in the order in which stages are preferred when several could start."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from divscale.graph.runner import Handler, Job
from divscale.stages import (
    answer,
    clean,
    compose,
    correctness,
    descend,
    embed,
    evaluate,
    generate,
    harness,
    load,
    match,
    measure,
    mix,
    model_view,
    pretrain,
    rates,
    read_real,
    relabel,
    report,
    split,
    target,
    train,
)
from divscale.stages.context import Context

# Mixes need no fleet and come first, so that too few labelled rows are found before a model is trained. For the rest
# the order groups what shares a fleet: training, generation, embedding, then the workers' stages, then training again.
# What reads trained weights comes before what makes more of them, so that they can go (`retention`).
RUN: dict[str, Callable[[Sequence[Job], Context], None]] = {
    "load": load.run,
    "split": split.run,
    "mix": mix.run,
    "pretrain": pretrain.run,
    "descend": descend.run,
    "read": read_real.run,
    "generate": generate.run,
    "compose": compose.run,
    "blend": target.run_blends,
    "embed": embed.run,
    "pilot": target.run_pilots,
    "clean": clean.run,
    "relabel": relabel.run,
    "correctness": correctness.run,
    "match": match.run,
    "probe": train.run_probes,
    "measure": measure.run,
    "model_view": model_view.run,
    "score": evaluate.run_probes,
    "evaluate": evaluate.run,
    "answer": answer.run,
    "harness": harness.run,
    "rate": rates.run,
    "train": train.run,
    "trial": train.run,
    "report": report.run,
}


def handlers(context: Context) -> dict[str, Handler]:
    """The handlers bound to a run."""
    def bound(run: Callable[[Sequence[Job], Context], None]) -> Handler:
        return lambda jobs: run(jobs, context)

    return {name: bound(run) for name, run in RUN.items()}
