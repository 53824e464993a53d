"""Claim: `divscale recommend` comes within one standard error of the best arm of the full grid, at a third of its cost.

Banking77, 20 intents, 5 real rows an intent, a linear head on the packaged MiniLM. The grid is six temperatures x three
amounts of generated rows x as generated or with correctness held, on five draws of the labelled rows: 185 trainings with
real rows alone. Five times, each with a generator of its own trained on the spot, the choice is made by successive halving
on validation rows within 61 trainings. The best arm is the one with the highest mean on the test rows over the same five
draws: chosen with the test rows in hand, which a recommendation never has. Beside it stands what the whole grid, all 185
trainings, chooses on the validation rows. Five times more it is made for a study of five generators, each with another draw
of the labelled rows (`pairing: zipped`), which is what a study would do.

Run: python benchmarks/recommend_banking77.py DATA STORE   (prints JSON; exits 1 where it is missed; 20 minutes on two cores)
     DATA holds Banking77's train.parquet and test.parquet; run again with the same STORE to go on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from divscale.config import Study
from divscale.evaluation.scores import score
from divscale.graph.store import Store
from divscale.recommend import recommend
from divscale.report.statistics.intervals import Estimate, difference, estimate
from divscale.run import make, store_of
from divscale.stages.candidates import Candidates, Tried, candidates, stages_of
from divscale.study_file import load
from divscale.view import Tally, Terminal

REQUIREMENT = ("the recommended arm is within one standard error of the best arm of the full grid, with at most a third of "
               "its trainings, for 5 generators of 5")
STUDY = Path(__file__).resolve().parents[1] / "configs" / "studies" / "decomposition-banking77.yaml"
GENERATORS = 5


def main() -> int:
    if len(sys.argv) < 3:
        print("it needs Banking77's files and a store: recommend_banking77.py DATA STORE", file=sys.stderr)
        return 3
    data, store = Path(sys.argv[1]), store_of(sys.argv[2])
    study = load(STUDY, [
        f"data.source={data / 'train.parquet'}", f"data.test={data / 'test.parquet'}", "data.labelled=[5]",
        "data.validation_share=0.3", "recipe.temperature=[0.2,0.5,0.8,1.0,1.3,1.7]", "recipe.filters=[none,label_agreement]",
        "mix={design: add_on, generated: [5, 10, 20], shortfall: allow}",
        f"seeds={{generation: {GENERATORS}, data: 5, training: 1, pairing: crossed}}"])
    among, tally = candidates(study), Tally()
    with Terminal(tally, "recommend-banking77"):
        everything = [one for tried in (*among.settings.values(), *among.real_only.values()) for one in tried]
        make(stages_of(iter(everything), tested=True), study, store, tally)
        rows = [{"generator": seed, **chosen(lambda draw, seed=seed: draw[0] == seed, among, study, store, tally)}
                for seed in range(GENERATORS)]
        zipped = [{"draw of generator 0": k,
                   **chosen(lambda draw, k=k: draw[1] == (draw[0] + k) % GENERATORS, among, study, store, tally)}
                  for k in range(GENERATORS)]
    met = all(row["within_one_standard_error"] and row["trainings"] <= row["whole_grid"] / 3 for row in rows)
    print(json.dumps({"requirement": REQUIREMENT, "met": met, "generators": rows, "over five generators": zipped},
                     indent=1))
    return 0 if met else 1


def chosen(belongs: Callable[[tuple[int, int, int]], bool], among: Candidates, study: Study, store: Store, tally: Tally
           ) -> dict[str, Any]:
    """The choice on the draws (generation, data, training seed) that belong, beside the best of their full grid."""
    mine = [i for i, draw in enumerate(among.draws) if belongs(draw)]

    def part(tried: list[Tried]) -> list[Tried]:
        return [tried[i] for i in mine]

    own = Candidates({key: part(tried) for key, tried in among.settings.items()},
                     {rows: part(tried) for rows, tried in among.real_only.items()}, among.labelled,
                     [among.draws[i] for i in mine])
    whole = (len(own.settings) + 1) * len(own.draws)
    found = recommend(own, study, store, tally, whole // 3)
    scores = {key: on_test(tried, store) for key, tried in own.settings.items()}
    means = {key: estimate(values) for key, values in scores.items()}
    best = max(means, key=lambda key: means[key].mean)
    order = sorted(means, key=lambda key: -means[key].mean)
    behind = difference(scores[best], scores[found.setting])
    assert behind is not None and found.gain is not None
    error = standard_error(means[best])
    validated = {key: fmean(score("accuracy", store.open(one.validated).table("predictions")) for one in tried)
                 for key, tried in own.settings.items()}
    by_whole_grid = max(validated, key=lambda key: validated[key])
    return {
        "recommended": found.setting, "best": best, "place": order.index(found.setting) + 1,
        "settings": len(order), "recommended_accuracy": round(means[found.setting].mean, 4),
        "best_accuracy": round(means[best].mean, 4), "real_only_accuracy": round(found.real_only.mean, 4),
        "standard_error_of_best": round(error, 4), "behind": round(behind.mean, 4),
        "within_one_standard_error": bool(means[found.setting].mean >= means[best].mean - error),
        "behind_of_whole_grid_on_validation_rows": round(means[best].mean - means[by_whole_grid].mean, 4),
        "gain": [round(x, 4) for x in (found.gain.mean, found.gain.low, found.gain.high)],
        "trainings": found.trained, "whole_grid": found.whole_grid,
    }


def on_test(tried: list[Tried], store: Store) -> dict[tuple[int | None, int], float]:
    return {(None, i): score("accuracy", store.open(one.tested).table("predictions")) for i, one in enumerate(tried)}


def standard_error(found: Estimate) -> float:
    from scipy.stats import t

    return (found.high - found.mean) / float(t.ppf(0.975, found.units - 1))


if __name__ == "__main__":
    sys.exit(main())
