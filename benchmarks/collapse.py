"""Model collapse in miniature: six generations on pydocs under three regimes, three seeds with everything redrawn.

The study is configs/studies/collapse.yaml with more generations, steps and seeds: a model of 0.7 million parameters writes sentences for twelve packages, the next
one starts from scratch and learns from what it reads, for the same steps. Loss is that of each generation's writer on real
test sentences it never saw (nats a byte); accuracy is that of a linear head on the frozen encoder, trained on the
generation's set alone and scored on the real test set. Means over seeds with 95 % t intervals.

Run: python benchmarks/collapse.py STORE > benchmarks/results/collapse.md   (run again with the same STORE to go on)
"""

from __future__ import annotations

import datetime
import sys
from importlib.metadata import version
from pathlib import Path

from divscale.report.naming import measure_name, number, p_value, signed
from divscale.report.statistics.descent import Descent, contrasts, descents
from divscale.report.statistics.intervals import Estimate
from divscale.run import make, store_of
from divscale.stages.expand import expand
from divscale.study_file import load
from divscale.view import Tally, Terminal

STUDY = Path(__file__).resolve().parents[1] / "configs" / "studies" / "collapse.yaml"
LARGER = ("recursion.generations=6", "pretrain.generator.optim.steps=300", "seeds={generation: 3, data: 3, training: 3, pairing: zipped}")
SHOWN = {"real_loss": "loss on real text", "accuracy": "accuracy of a probe, %", "ece": "its calibration error, %",
         "label_correct": "labels right, as judged, %", "vendi": "Vendi", "dcscore@0.05": "DCScore (0.05), of 200",
         "mmd2": "MMD^2", "distinct_2": "Distinct-2"}


def main() -> int:
    study = load(STUDY, [*LARGER, *sys.argv[2:]])
    report = expand(study)
    store, tally = store_of(sys.argv[1]), Tally()
    with Terminal(tally, "collapse"):
        make([report], study, store, tally)
    lines = store.open(report).table("lines")
    found = descents(lines)
    print(f"# collapse\n\n{(__doc__ or '').strip().split('Run:')[0].strip()}\n\nMade {datetime.date.today()} on two CPU "
          f"cores, torch {version('torch')}, transformers {version('transformers')}.\n")
    generations = sorted({g for one in found for g in one.generations})
    print(f"| number | regime | {' | '.join(f'g {g}' for g in generations)} | last less first | p |")
    print("|---|---|" + "---|" * (len(generations) + 2))
    for metric, name in SHOWN.items():
        for one in (one for one in found if one.metric == metric):
            print(f"| {name} | {one.line.regime} | {' | '.join(cell(one, g) for g in generations)} | "
                  f"{change(metric, one.change)} | {p_value(one.change.p) if one.change else ''} |")
    print("\nIn the last generation, paired by seed:\n")
    for c in contrasts(lines, list(SHOWN)):
        print(f"- {SHOWN[c.metric]}: {c.regime} less {c.against} {change(c.metric, c.over)} (p {p_value(c.over.p)})")
    print(f"\nGeneration 0 is the real prior and the writer that learnt from it. {measure_name('vendi')} and the other "
          f"measures of a set are taken at {study.measure.n} rows.")
    return 0


def cell(one: Descent, generation: int) -> str:
    return number(one.metric, one.means[one.generations.index(generation)].mean) if generation in one.generations else ""


def change(metric: str, found: Estimate | None) -> str:
    if found is None:
        return ""
    return f"{signed(metric, found.mean)} [{signed(metric, found.low)}, {signed(metric, found.high)}]"


if __name__ == "__main__":
    sys.exit(main())
