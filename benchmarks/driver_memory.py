"""What grows in the driver of a run and in the page of its report, a row and an arm: the figures of docs/scale.md.

Each is measured at a size and at ten times that, in a process of its own: completions of a pass that wait for their
stage's end (`stages/passes.py`), the training rows of arms that are handed out together (`stages/train.py`), the texts
and vectors of an embedding hand-out (`stages/embed.py`: the arrays themselves, no engine), and the analysis and page of
a report on synthetic arms.

Run: python benchmarks/driver_memory.py   (prints JSON; exits 1 where it is missed; about two minutes)
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REQUIREMENTS = {"bytes_a_completion": 2_000.0, "bytes_a_training_row": 500.0, "bytes_a_text": 3_000.0,
                "report_page_mib": 5.0, "report_times_an_arm": 2.0}
SIZES = {"completions": (50_000, 500_000), "training_rows": (100_000, 1_000_000), "texts": (30_000, 300_000),
         "report": (205, 2_050)}
WORDS = "which package of the standard library does this sentence of documentation speak about, number"


def main() -> int:
    if sys.argv[1:2] == ["--part"]:
        print(json.dumps(part(sys.argv[2], int(sys.argv[3]))))
        return 0
    found = {name: [own_process(name, size) for size in sizes] for name, sizes in SIZES.items()}

    def slope(name: str) -> float:
        (small, large), (few, many) = found[name], SIZES[name]
        return round((large["peak_bytes"] - small["peak_bytes"]) / (many - few), 1)

    few, many = found["report"]
    figures = {
        "bytes_a_completion": slope("completions"), "bytes_a_training_row": slope("training_rows"),
        "bytes_a_text": slope("texts"), "report_page_mib": round(many["page_bytes"] / 2**20, 3),
        "report_times_an_arm": round(many["computing_s"] / few["computing_s"] / 10, 2),
    }
    met = all(value <= REQUIREMENTS[name] for name, value in figures.items())
    print(json.dumps({"requirements": REQUIREMENTS, "met": met, **figures, "sizes": SIZES, "runs": found}, indent=1))
    return 0 if met else 1


def own_process(name: str, size: int) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, "--part", name, str(size)], stdout=subprocess.PIPE, text=True,
                          check=True)
    print(name, size, done.stdout.strip(), file=sys.stderr, flush=True)
    return json.loads(done.stdout)


def part(name: str, size: int) -> dict[str, float]:
    begun = time.process_time()
    kept = {"completions": completions, "training_rows": training_rows, "texts": texts, "report": report}[name](size)
    return {"computing_s": round(time.process_time() - begun, 2),
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            **({"page_bytes": len(kept)} if name == "report" else {})}


def completions(size: int) -> Any:
    """Rows as a pass keeps them, by request, of batches of 64 as engines hand them over."""
    import pyarrow as pa

    from divscale.schema import COMPLETIONS

    kept: dict[str, Any] = {}
    for start in range(0, size, 64):
        rows = [{**dict.fromkeys(COMPLETIONS.names), "request_id": f"{i:064x}", "completion": f"{WORDS} {i}",
                 "finish_reason": "stop"} for i in range(start, min(size, start + 64))]
        for row in pa.Table.from_pylist(rows, schema=COMPLETIONS).to_pylist():
            kept[row["request_id"]] = row
    return kept


def training_rows(size: int) -> Any:
    """Tables of 1,000 rows an arm, all of a hand-out at once."""
    import pyarrow as pa

    from divscale.stages.train import training_rows as rows_of

    samples = [pa.table({"text": [f"{WORDS} {i}" for i in range(start, start + 1_000)],
                         "label": ["collections"] * 1_000}) for start in range(0, size, 1_000)]
    return [rows_of(one, "classifier", "classification") for one in samples]


def texts(size: int) -> Any:
    """Distinct texts, their places, their vectors of 384 float32, and the rows that a job takes of these."""
    import numpy as np

    distinct = list(dict.fromkeys(f"{WORDS} {i}" for i in range(size)))
    x_ND = np.ones((size, 384), np.float32)
    place = {text: i for i, text in enumerate(distinct)}
    return distinct, place, x_ND[[place[text] for text in distinct[: size // 10]]]


def report(size: int) -> Any:
    """The page of so many arms: ten levels under every filter, over as many data seeds as it takes."""
    tests = Path(__file__).parents[1] / "tests" / "unit" / "report"
    sys.path.insert(0, str(tests))
    import test_size  # pyright: ignore[reportMissingImports] (a file of the tests)

    from divscale.report import page

    test_size.SEEDS = size // 41
    made = test_size.large()
    assert made.arms.num_rows == size, made.arms.num_rows
    return page.render(made).encode("utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
