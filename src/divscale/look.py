"""`plan` and `status`: looking at a study without running it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from divscale.config import Study
from divscale.errors import DivscaleError
from divscale.graph.plan import Step, changed_versions, make_plan
from divscale.learned import learned_from
from divscale.live import beat_age_s, condition, in_words, runs_of
from divscale.run import store_of
from divscale.stages.expand import expand
from divscale.stages.generation_cost import Requests, expected_rows
from divscale.stages.identity import unresolved_model
from divscale.stages.study_cost import study_cost


def print_plan(study: Study, root: str | None, *, as_json: bool, rates: Sequence[str] = ()) -> int:
    """What is cached, what would run and why, and what it would cost; `rates` are as `learned_from` takes them."""
    learned = learned_from(rates)
    store, target = store_of(root), expand(study)
    steps = make_plan([target], store)
    waiting = [step.stage for step in steps if not step.cached]
    requests, no_estimate = _requests(study) if waiting else (None, "")
    whole = study_cost(
        study, target, waiting, requests, store, learned.stores, learned.benchmarks) if requests else None
    pending = [stage for stage in waiting if stage.name == "generate"]
    cost = requests.cost(pending, store) if requests else None
    changed = changed_versions([target], store)
    unresolved = sorted({model for step in steps if (model := unresolved_model(step.stage)) is not None})
    if as_json:
        print(json.dumps({
            "stages": [
                {"stage": s.stage.name, "title": s.stage.title, "fingerprint": s.stage.fingerprint, "cached": s.cached,
                 "reason": s.reason, "rows": expected_rows(s.stage, store, requests)} for s in steps],
            "generation": {**asdict(cost), "seconds": cost.seconds} if cost else None, "no_estimate": no_estimate,
            "cost": whole.as_json() if whole else None, "changed_versions": changed, "unresolved_models": unresolved}))
        return 0
    for name, group in _by_name(steps).items():
        cached = sum(step.cached for step in group)
        rows = [expected_rows(step.stage, store, requests) for step in group]
        line = f"{name:<12} {len(group):>5} stage(s), {cached} cached, {len(group) - cached} to run"
        line += f", {sum(filter(None, rows)):,}{'+' if None in rows else ''} rows" if any(rows) else ""
        why = next((f"{step.stage.title}: {step.reason}" for step in group if not step.cached), "")
        print(f"{line}{'  ' + why if why else ''}")
    if pending:
        print(f"generation: {cost.in_words() if cost else f'no estimate, for the study would stop: {no_estimate}'}")
    for line in whole.lines() if whole else ():
        print(line)
    for model in unresolved:
        print(f"unresolved: model {model} is not on this machine; its stages can be planned, not run")
    for name, (then, now) in changed.items():
        print(f"note: {name} was {then} when cached results were made, now {now}; they are used as they are")
    return 0


def _requests(study: Study) -> tuple[Requests | None, str]:
    """What would be asked; or why that cannot be said, which is what a run would stop with."""
    try:
        return Requests(study), ""
    except DivscaleError as error:
        return None, str(error)


def print_status(study: Study, root: str | None, *, as_json: bool) -> int:
    """How much of a study is committed, and what its runs are doing. Exit code 0 when all of it is, 1 otherwise."""
    store, target = store_of(root), expand(study)
    stages = [step.stage for step in make_plan([target], store)]
    total, done = Counter(s.name for s in stages), Counter(s.name for s in stages if store.find(s) is not None)
    complete, runs = total == done, runs_of(store.root, study.name)
    if as_json:
        print(json.dumps({
            "complete": complete, "stages": {n: {"total": total[n], "done": done[n]} for n in total},
            "runs": [{"condition": condition(run), "beat_age_s": beat_age_s(run), **run} for run in runs]}))
    else:
        for name in total:
            print(f"{name:<12} {done[name]:>5} of {total[name]}")
        for run in runs:
            print("\n".join(in_words(run)))
        at_work = any(condition(run) == "live" for run in runs)
        print("complete" if complete else "incomplete: a run is at work on it" if at_work else
              "incomplete: divscale run goes on from here")
    return 0 if complete else 1


def _by_name(steps: list[Step]) -> dict[str, list[Step]]:
    groups: dict[str, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.stage.name, []).append(step)
    return groups
