"""Claim: five levels of the paraphrase dial cost little more than two, for all share one base set and one pool.

Counted, not timed: the requests of the distinct rounds of all levels, built by the recipe's own pure functions from
FairytaleQA's questions and stories; real questions stand for what a model would write. The two levels are the dial's
ends (0 and 0.8 replaced): the highest level decides how many paraphrases there have to be, so levels below it are free.
`without_sharing` is what five separate sets would cost.

Run: python benchmarks/dial_sharing.py [FAIRYTALEQA_FOLDER]   (prints JSON; exits 1 where it is missed, 3 without data)
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

REQUIREMENT = "five levels of the paraphrase dial cost at most 1.25 times the generations of its two ends"
LIMIT = 1.25
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FAIRYTALEQA", "data/fairytaleqa"))
    if not (folder / "train.parquet").is_file():
        print(f"{folder} has no train.parquet; give the folder of FairytaleQA.", file=sys.stderr)
        return 3
    from divscale.data.config import Columns
    from divscale.data.read import read
    from divscale.data.validate import validate

    raw = read(str(folder / "train.parquet"), Columns(text="question", group="story"), "qa")
    real = validate(raw, "qa", max_rejected_share=1.0).samples
    five, two = asked(real, SHARES), asked(real, (SHARES[0], SHARES[-1]))
    alone = sum(asked(real, (share,)) for share in SHARES)
    print(json.dumps({
        "requirement": REQUIREMENT, "met": five <= LIMIT * two, "rows": real.num_rows, "five_levels": five,
        "two_levels": two, "times": five / two, "without_sharing": alone,
        "lowest_level_alone": asked(real, SHARES[:1]), "highest_level_alone": asked(real, SHARES[-1:])}, indent=1))
    return 0 if five <= LIMIT * two else 1


def asked(real, shares: tuple[float, ...]) -> int:
    """Requests that a study of these levels sends: those of every distinct round, once."""
    import pyarrow as pa

    from divscale.generation.prompts import prompts_for
    from divscale.generation.recipes import Sources, get
    from divscale.generation.recipes.paraphrase import Config
    from divscale.schema import COMPLETIONS

    recipe = Config(samples=1000, paraphrases_per_source=(4,), replaced_share=shares)
    module, prompts = get(recipe), prompts_for("qa", "chat", recipe)
    rounds, made, requests = [], {}, 0
    for level in recipe.levels:
        for this in module.rounds(recipe, level):
            if this in rounds:
                continue
            rounds.append(this)
            table = module.build_requests(
                this, Sources(real, made), task="qa", seed=0, prompt=prompts[this.template])
            requests += table.num_rows
            written = [{"request_id": request_id, "completion": f"question: {row['text']}\nanswer: {row['answers'][0]}",
                        "finish_reason": "stop"}
                       for request_id, row in zip(table["request_id"].to_pylist(), real.to_pylist() * 10, strict=False)]
            made[this.name], _ = module.parse(
                this, table, pa.Table.from_pylist(written, schema=COMPLETIONS), task="qa")
    return requests


if __name__ == "__main__":
    sys.exit(main())
