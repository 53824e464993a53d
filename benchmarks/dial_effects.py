"""Does measured diversity move with each dial? Studies in miniature, with nothing to download but the data.

    python benchmarks/dial_effects.py [--data FOLDER] [--store FOLDER] [CASE ...]          all cases without a name

Banking77 and FairytaleQA are Parquet files under FOLDER (`data`, or $DIVSCALE_BENCH_DATA), laid out as the studies in
configs/ name them; cases whose data are missing are not run. The generators are trained on the spot: about dials, not
about good text. Studies are kept in the store (`.divscale`), so a run that was cut off goes on, and another costs
nothing.

A case of several seeds redraws its generator; its values are means over them, with their standard errors.

Requirement: over the levels, DCScore at temperature 0.05 and Vendi fall with the share of paraphrases and rise with
topics and with select's diversity, strictly; and they rise with temperature up to 1 (beyond, Vendi may fall again).
Paraphrases and contexts of FairytaleQA are shown for their mechanics and required of nothing: no model of half a million
parameters reads a passage. Nor are topics within one intent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from divscale.api import load_study

REQUIREMENT = "DCScore (0.05) and Vendi are monotone over the levels of every dial, of temperature up to 1"
CONFIGS = Path(__file__).parents[1] / "configs"
MEASURES = ("dcscore@0.05", "vendi")
BESIDE = ("mmd2", "label_correct")  # what moves with it: shift, and correctness where there is an oracle or a judge
CONTEXT_WORDS, CONTEXT_ROWS = 80, 600  # of FairytaleQA, for a model of 384 tokens
WITHOUT_ARMS = ["mix=[]", "train=[]", "seeds={generation: 1, data: 1, training: 1}"]
BANKING = [*WITHOUT_ARMS, "measure={n: 300, shift: [mmd]}"]
READER = "{hidden_size: 64, layers: 2, heads: 2, vocab_size: 1000, max_length: 384, initializer_range: 0.08}"

FAIRYTALES = [
    *WITHOUT_ARMS, "data.prior_share=0.8", "data.labelled=[8]", "measure={n: 40, shift: [mmd]}",
    "generator={model: pretrain, engine: {engine: vllm, max_model_len: 384}}",
    f"pretrain={{generator: {{architecture: {READER}, prompt_weight: 0.1, optim: {{lr: 6.0e-3, steps: 200, "
    "schedule: linear, batch_size: 16}}}"]


@dataclass(frozen=True)
class Case:
    """One dial of one study."""

    config: str
    overrides: list[str]
    rises: bool = True
    up_to: float = float("inf")  # levels that must be monotone
    required: bool = True
    data: str | None = None
    seeds: int = 1  # of the generator; one where the levels lie far apart


CASES = {
    "storyland-paraphrase": Case("storyland", [
        *WITHOUT_ARMS, "data.world_size=800", "pretrain.generator.optim.steps=600", "recipe.filters=[none]",
        "measure={n: 200, shift: [mmd]}"], rises=False),
    "banking77-topics": Case("banking77", [  # its intents are the topics: labels of queries, not classes to be told apart
        *BANKING, "pretrain.generator.optim.steps=1200", "data.task=text", "data.labelled=[20]", "evaluate.metrics=[perplexity]",
        "recipe={kind: topics, topics_from: labels, topics: [1, 2, 5, 10, 20], samples: 400, max_tokens: 48, "
        "temperature: 0.7}"], data="banking77"),
    # words of an intent's texts: intents are so narrow that five of them are as diverse as the real texts
    "banking77-words": Case("banking77", [
        *BANKING, "recipe={kind: topics, topics: [1, 2, 5, 10], samples: 20, max_tokens: 48, temperature: 0.7}"],
        required=False, data="banking77", seeds=5),
    "banking77-decoding": Case("banking77", [
        *BANKING, "recipe={kind: decoding, temperature: [0.2, 0.5, 0.8, 1.0, 1.3, 1.7], samples: 20, max_tokens: 48}"],
        up_to=1.0, data="banking77"),
    "banking77-select": Case("banking77", [
        *BANKING, "recipe={kind: select, diversity: [0, 0.25, 0.5, 0.75, 1], samples: 20, candidates: 5, "
                  "max_tokens: 48, temperature: 0.8}"], data="banking77"),
    "fairytaleqa-topics": Case("fairytaleqa", [
        *FAIRYTALES, "recipe={kind: topics, topics: [1, 4, 16, 64], samples: 80, max_tokens: 48, max_failed_share: 0.6, "
                     "temperature: 0.7}"], required=False, data="fairytaleqa"),
    "fairytaleqa-select": Case("fairytaleqa", [
        *FAIRYTALES, "recipe={kind: select, diversity: [0, 0.5, 1], samples: 40, candidates: 5, max_tokens: 48, "
                     "max_failed_share: 0.6, temperature: 0.7}"], data="fairytaleqa"),
    # no two of its questions ask the same, so nothing shows a model that is trained on the spot how to paraphrase
    "fairytaleqa-paraphrase": Case("fairytaleqa", [
        *FAIRYTALES, "recipe={kind: paraphrase, replaced_share: [0, 0.4, 0.8], samples: 80, max_tokens: 48, "
                     "max_failed_share: 0.6, temperature: 0.7}"], rises=False, required=False, data="fairytaleqa"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DIVSCALE_BENCH_DATA", "data")))
    parser.add_argument("--store", type=Path, default=Path(".divscale"))
    wanted = parser.parse_args()
    if unknown := set(wanted.cases) - set(CASES):
        parser.error(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    found, missing = {}, []
    for name in wanted.cases or CASES:
        source = CASES[name].data
        if source and not (wanted.data / source / "train.parquet").exists():
            missing.append(name)
            continue
        found[name] = measured(name, CASES[name], wanted.data, wanted.store)
        print(table(name, found[name]), file=sys.stderr, flush=True)
    met = all(found[name]["monotone"][measure] for name in found if CASES[name].required for measure in MEASURES)
    print(json.dumps({"requirement": REQUIREMENT, "met": met and not missing, "cases": found, "without_data": missing}))
    return 1 if not met else 3 if missing else 0


def measured(name: str, case: Case, data: Path, store: Path) -> dict[str, Any]:
    """Every measure by level, and whether it is monotone."""
    overrides = [*case.overrides, f"name=dial-{name}", f"seeds.generation={case.seeds}"]
    if case.data:
        train, test = (data / case.data / f"{part}.parquet" for part in ("train", "test"))
        if case.data == "fairytaleqa":
            train, test = (with_short_contexts(path, store / "dial-effects") for path in (train, test))
        overrides += [f"data.source={train}", f"data.test={test}"]
    sets = load_study(CONFIGS / f"{case.config}.yaml", overrides).run(store).sets.to_pylist()
    real = {row["metric"]: row["value"] for row in sets if row["filter"] == "real"}
    levels = sorted({row["level"] for row in sets if row["level"] is not None})
    values, errors = {}, {}
    for measure in (*MEASURES, *BESIDE):
        found = [[row["value"] for row in sets if (row["metric"], row["level"]) == (measure, level)] for level in levels]
        values[measure] = [mean(of) if of else None for of in found]
        errors[measure] = [stdev(of) / len(of) ** 0.5 if len(of) > 1 else None for of in found]
    return {"levels": levels, "seeds": case.seeds, **values, "standard_error": errors,
            "real": {measure: real.get(measure) for measure in MEASURES},
            "monotone": {measure: monotone(case, levels, values[measure]) for measure in MEASURES}}


def monotone(case: Case, levels: list[float], values: list[float | None]) -> bool:
    held = [value for level, value in zip(levels, values, strict=True) if level <= case.up_to]
    return None not in held and all((low < high) if case.rises else (low > high) for low, high in pairwise(held))


def with_short_contexts(path: Path, folder: Path) -> Path:
    """The first rows whose context is short enough for a model that is trained on the spot."""
    rows = pq.read_table(path)
    words = pa.array([len(context.split()) for context in rows["context"].to_pylist()])
    folder.mkdir(parents=True, exist_ok=True)
    short = folder / f"fairytaleqa-{path.name}"
    pq.write_table(rows.filter(pc.less_equal(words, CONTEXT_WORDS)).slice(0, CONTEXT_ROWS), short)
    return short


def table(name: str, found: dict[str, Any]) -> str:
    """A case in Markdown."""
    columns = [measure for measure in (*MEASURES, *BESIDE) if any(value is not None for value in found[measure])]
    lines = [f"{name}: " + ", ".join(f"{measure} {'monotone' if yes else 'NOT monotone'}" for measure, yes in
                                     found["monotone"].items()), "| level | " + " | ".join(columns) + " |",
             "|---" * (1 + len(columns)) + "|"]
    for i, level in enumerate(found["levels"]):
        cells = (_cell(found[column][i], found["standard_error"][column][i]) for column in columns)
        lines.append(f"| {level:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None, error: float | None) -> str:
    return "-" if value is None else f"{value:.4g}" + ("" if error is None else f" ± {error:.2g}")


if __name__ == "__main__":
    sys.exit(main())
