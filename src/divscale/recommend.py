"""`divscale recommend`: which level, how much of it and which filter, within a budget; and that training set."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from divscale.affordable import Budget, affordable
from divscale.config import Study
from divscale.data.export import export
from divscale.data.realised import resolve
from divscale.errors import ConfigError
from divscale.evaluation.config import HIGHER_IS_BETTER
from divscale.evaluation.scores import score
from divscale.graph.stage import Stage, in_order
from divscale.graph.store import Store
from divscale.learned import Learned
from divscale.live import running
from divscale.report.naming import (
    DESIGNS,
    FILTERS,
    amount_name,
    is_dcscore_share,
    listed,
    measure_name,
    number,
    p_value,
    score_name,
    signed,
    unit,
)
from divscale.report.statistics.curves import by_unit
from divscale.report.statistics.halving import Rung, best, cost, schedule_within
from divscale.report.statistics.intervals import Estimate, Unit, difference, estimate
from divscale.run import interruptible, make, store_of
from divscale.stages.candidates import Candidates, Tried, candidates, stages_of
from divscale.stages.out_file import made_folder
from divscale.view import Tally, Terminal

FILE = "recommendation.json"


@dataclass(frozen=True)
class Recommendation:
    """The setting that was chosen on validation rows, and what it is worth on test rows.

    Attributes:
        setting: Design, level, filter, generated rows and share, as the study asks for them.
        score, real_only: On the test rows, over all draws of seeds.
        gain: Their paired difference, in the score's own direction.
        alone: How many real rows alone that is over: as many as a constant total has, else the labelled count.
        trained, whole_grid: Trainings that it took, and those of every setting on every draw.
        seconds: Of all stages that it needed, those of earlier runs too.
        mixed: The mix of the first draw.
        measured: What its generated set measures.
    """

    setting: tuple[Any, ...]
    score: Estimate
    real_only: Estimate
    gain: Estimate | None
    alone: int
    trained: int
    whole_grid: int
    seconds: float
    mixed: Stage
    measured: Stage


def recommend(
    among: Candidates, study: Study, store: Store, events: Tally, budget: int | None = None,
) -> Recommendation:
    """Chooses by successive halving over the draws of seeds; what is in the store already is not trained again.

    Args:
        among: The settings of `study`.
        study: One labelled count, one way of training, some validation rows.
        store: Where its results are.
        events: Is told what happens.
        budget: Trainings at most, real rows alone among them; null: a third of the whole grid.

    Raises:
        ConfigError: The budget is too small.
    """
    draws, settings = len(among.draws), len(among.settings)
    whole = (settings + len(among.real_only)) * draws
    wanted = budget if budget is not None else max(-(-whole // 3), settings + 2 * draws)
    schedule = schedule_within(settings, draws, wanted - draws)
    if schedule is None:
        least = settings + 2 * draws - 1
        raise ConfigError(f"--budget: {wanted} trainings are too few: {settings} settings have to be tried once, the "
                          f"best on all {draws} draws, beside real rows alone. Give at least {least}, or name fewer "
                          "settings.")
    metric, left = study.evaluate.metrics[0], list(among.settings)
    for rung, following in zip(schedule, [*schedule[1:], Rung(1, draws)], strict=True):
        wanted_now = [one for key in left for one in among.settings[key][:rung.draws]]
        make(stages_of(iter(wanted_now), tested=False), study, store, events)
        scores = {key: [_sign(metric) * score(metric, store.open(one.validated).table("predictions"))
                        for one in among.settings[key][:rung.draws]] for key in left}
        left = best(scores, following.settings)
    chosen, alone = among.settings[left[0]], among.beside(left[0])
    measured = chosen[0].measured
    assert measured is not None  # settings are mixes with generated rows
    ends = [*stages_of(iter([*chosen, *alone]), tested=True), measured]
    make(ends, study, store, events)
    own, real = (_on_test(tried, among, metric, store) for tried in (chosen, alone))
    tried = [one.validated for rows in among.settings.values() for one in rows]
    made = in_order([*ends, *(stage for stage in tried if store.find(stage) is not None)])
    seconds = sum(store.open(stage).record.seconds for stage in made if store.find(stage) is not None)
    return Recommendation(left[0], estimate(own), estimate(real), difference(own, real), among.rows_beside(left[0]),
                          cost(schedule) + draws, whole, seconds, chosen[0].mixed, measured)


def recommend_from_terminal(study: Study, root: str | None, out: str, budget: Budget, learned: Learned) -> int:
    """Recommends, says it in words, and writes the recommended training set to a folder. Returns the exit code.

    Raises:
        ConfigError: As `candidates`, `affordable` and `recommend`, or `out` cannot be written.
    """
    folder, store, tally = made_folder(out), store_of(root), Tally()
    among, trainings = candidates(study), budget.trainings
    if budget.limits:
        most, cost_of_it = affordable(among, study, store, budget, learned)
        trainings = most if trainings is None else min(most, trainings)
        if trainings == most:
            print(f"divscale: --budget allows {trainings} trainings, the whole of it estimated at "
                  f"{cost_of_it.spent()}; --budget {trainings} asks for the same again.", file=sys.stderr)
    with interruptible(), Terminal(tally, study.name), running(study.name, store.root):
        found = recommend(among, study, store, tally, trainings)
    words = in_words(found, study)
    samples = samples_of(found.mixed, store)
    file = export(samples, folder, task=study.data.task, layout="samples", name=f"{study.name}, recommended mix",
                  about=words, facts=facts(found, study, store))
    (folder / FILE).write_text(json.dumps(as_json(found, study), indent=1), encoding="utf-8")
    for sentence in words:
        print(f"  {sentence}")
    print(f"Training set: {file} ({samples.num_rows} rows)")
    return 0


def in_words(found: Recommendation, study: Study) -> list[str]:
    """What is recommended, what it is worth, and what it cost: three sentences."""
    design, metric, per = found.setting[0], study.evaluate.metrics[0], _per(study)
    beside = "" if design == "add_on" else f", {found.alone}{per}"
    worth = f"It scores {_value(metric, found.score)} {score_name(metric)} on the test rows"
    if found.gain is not None:
        worth += f", {signed(metric, found.gain.mean)}{unit(metric, difference=True)} over real rows alone{beside}"
        if found.gain.low == found.gain.low:
            low, high = sorted(_sign(metric) * bound for bound in (found.gain.low, found.gain.high))
            worth += (f" (95 % interval {signed(metric, found.gain.low)} to {signed(metric, found.gain.high)}, p "
                      f"{p_value(found.gain.p)}, {found.gain.units} draws)")
            worth += ("" if low > 0 else ", which is worse: train on the real rows alone" if high < 0 else
                      ", from which it is not told apart")
    return [_taken(found, study), f"{worth}.", f"It was chosen on validation rows by {found.trained} trainings of the "
            f"{found.whole_grid} of the whole grid, in {found.seconds:,.0f} s of stages."]


def as_json(found: Recommendation, study: Study) -> dict[str, Any]:
    """The recommendation for programs; bounds that one draw cannot give are null."""
    names = ("design", study.recipe.dial, "filter", "generated", "generated_share")

    def numbers(of: Estimate | None) -> Mapping[str, Any] | None:
        return None if of is None else {name: value if value == value else None for name, value in (
            ("mean", of.mean), ("low", of.low), ("high", of.high), ("p", of.p), ("draws", of.units))}

    return {"setting": dict(zip(names, found.setting, strict=True)), "labelled": study.data.labelled[0],
            "metric": study.evaluate.metrics[0], "score": numbers(found.score), "real_only": numbers(found.real_only),
            "real_only_rows": found.alone, "gain": numbers(found.gain), "trainings": found.trained,
            "whole_grid": found.whole_grid, "seconds": round(found.seconds, 1)}


def facts(found: Recommendation, study: Study, store: Store) -> dict[str, str]:
    """What the card of the training set states: where its rows are from, how they were made, what they measure."""
    mix, measured = store.open(found.mixed).values, store.open(found.measured).values
    writers = list(dict.fromkeys(model.model for model in study.generator.models))
    by = f"{'one or more of ' if len(writers) > 1 else ''}{listed(writers)}"
    recipe = {"kind": study.recipe.kind, **study.recipe.model_dump(mode="json", exclude_defaults=True)}
    not_measured = {"diversity and shift": f"not measured: {measured['reason']}"} if "reason" in measured else {}
    return {
        "real rows": f"{mix['real_rows']:,}, of {study.data.source}",
        "generated rows": f"{mix['generated_rows']:,}, by {by}",
        "recipe": ", ".join(f"{name}: {value}" for name, value in recipe.items()),
        "share generated": f"{mix['share_of_rows']:.1%} of rows, {mix['share_of_tokens']:.1%} of tokens",
        **{f"{measure_name(name)} of the generated set": f"{_measured(name, one)} (n = {one['n']})"
           for name, one in measured["metrics"].items()},
        **not_measured,
        "licence of the real rows": study.data.licence or "not stated; see their source",
        "licence of the generated rows": _licence(study.generator.licence, writers),
    }


def samples_of(mixed: Stage, store: Store) -> pa.Table:
    """The rows of a mix, in its order."""
    tables = {artifact.record.fingerprint: artifact.table("samples") for artifact in (
        store.open(stage) for role, stage in mixed.inputs.items() if role in ("data", "set")
        and isinstance(stage, Stage))}
    return resolve(store.open(mixed).table("mix"), tables)


def _taken(found: Recommendation, study: Study) -> str:
    design, level, filter_, generated, share = found.setting
    mixed: Any = found.mixed.config
    per, rows = _per(study), mixed.labelled
    take = f"take {study.recipe.dial.replace('_', ' ')} {level:g}, text {FILTERS[filter_ or 'none']}"
    if design == "constant_total":  # generated rows stand in the place of real ones
        written = generated if per else round(generated)  # of every label, on average
        return (f"With {rows} rows{per} in all, {amount_name(rows - written)} of them real and {amount_name(written)} "
                f"generated ({share:.0%}), {take} ({DESIGNS[design]}).")
    amount = f"a generated share of {share:.0%}" if share is not None else f"{generated} generated rows{per}"
    given = f"{rows} real rows{per}" if rows else "no real rows"
    return f"With {given}, {take}, {amount} ({DESIGNS[design]})."


def _per(study: Study) -> str:
    return " a label" if study.data.task == "classification" else ""


def _on_test(tried: Sequence[Tried], among: Candidates, metric: str, store: Store) -> dict[Unit, float]:
    return by_unit({draw: score(metric, store.open(one.tested).table("predictions"))
                    for draw, one in zip(among.draws, tried, strict=True)})


def _sign(metric: str) -> int:
    return 1 if HIGHER_IS_BETTER[metric] else -1


def _licence(stated: str | None, writers: Sequence[str]) -> str:
    if len(writers) == 1:
        return stated or "not stated; see the generator's terms"
    if not stated:
        return f"not stated; see the terms of {listed(writers)}"
    return f"{stated} for what {writers[0]} writes; not stated for {listed(writers[1:])}"


def _measured(name: str, one: Mapping[str, Any]) -> str:
    return number(name, one["value"] / (one["n"] if is_dcscore_share(name) else 1)) + unit(name)


def _value(metric: str, found: Estimate) -> str:
    return f"{number(metric, found.mean)}{unit(metric)}"
