"""`divscale preview`: the prompts, a parsed example and the training pair of a study, without an engine or Ray."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from divscale.config import Study
from divscale.errors import ConfigError, DataError
from divscale.rendering.encode import encode_pair
from divscale.rendering.tasks import training_pair
from divscale.stages.planned_requests import Planned, planned_rounds, visible_rows
from divscale.stages.prompt_tokens import PromptReader, local_tokenizer, prompt_reader
from divscale.training.config import TrainConfig

SAMPLES = 20  # per label or in total: enough to show prompts from, few enough to be fast


def preview(study: Study, n: int) -> dict[str, Any]:
    """What the generator would be shown and what would be trained on.

    Args:
        study: what is asked.
        n: prompts shown of each round.

    Returns:
        `unit` and `why_words` of the counts; `rounds`: each with its `levels` (those with the same prompts stand
        together), `round`, `template`, `requests` of a seed, `prompts` (`prompt` as rendered, `count`, `label`), and a
        `parsed` example (`completion`, `sample` or `reason`); `training`: a pair with its label mask for each entry of
        `train`.

    Cost: reading the data, and some seconds of imports where the generator has a tokenizer.

    Raises:
        ConfigError: n below 1, or what `plan` raises.
    """
    if n < 1:
        raise ConfigError(f"-n: {n} prompts cannot be shown; give 1 or more.")
    real, reader = visible_rows(study), prompt_reader(study)
    rounds: dict[tuple[str, ...], dict[str, Any]] = {}
    for planned in planned_rounds(study, real, SAMPLES):
        found = _round(planned, n, reader)
        key = (planned.this.name, *(prompt["prompt"] for prompt in found["prompts"]), found["unknown"])
        alike = rounds.setdefault(key, found)
        if alike is not found:
            alike["levels"] += found["levels"]
            alike["requests"] += found["requests"]
    return {"study": study.name, "recipe": study.recipe.kind, "dial": study.recipe.dial,
            "levels": list(study.recipe.levels), "generator": study.generator.model, "real_rows": real.num_rows,
            "unit": reader.unit, "why_words": reader.why_words, "rounds": list(rounds.values()),
            "training": [_trained(entry, study, real) for entry in study.train]}


def print_preview(study: Study, n: int, *, as_json: bool) -> int:
    """Print `preview`. Returns the exit code."""
    found = preview(study, n)
    print(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(_lines(found)))
    return 0


def _round(planned: Planned, n: int, reader: PromptReader) -> dict[str, Any]:
    shown = {"levels": planned.levels, "round": planned.this.name, "template": planned.this.template,
             "requests": planned.total, "unknown": planned.unknown, "prompts": [], "parsed": None}
    if planned.requests is None or planned.requests.num_rows == 0:
        return {**shown, "unknown": planned.unknown or "it asks for nothing at this level"}
    rows = planned.requests.num_rows
    places = sorted({i * rows // n for i in range(min(n, rows))})
    asked = planned.requests.take(pa.array(places)).to_pylist()
    prompts = [{"prompt": reader.render(row["prompt"]), "count": reader.count(row["prompt"]), "label": row["label"],
                "max_tokens": row["max_tokens"]} for row in asked]
    return {**shown, "prompts": prompts, "parsed": _parsed(planned, asked[0]["request_id"])}


def _parsed(planned: Planned, request_id: str) -> dict[str, Any]:
    assert planned.completions is not None and planned.samples is not None and planned.rejected is not None
    completion = next(row["completion"] for row in planned.completions.to_pylist() if row["request_id"] == request_id)
    sample = next((row for row in planned.samples.to_pylist() if row["request_id"] == request_id), None)
    reason = next((row["reason"] for row in planned.rejected.to_pylist() if row["id"] == request_id), None)
    kept = sample and {name: sample[name] for name in ("text", "label", "answers") if sample[name] is not None}
    return {"completion": completion, "sample": kept, "reason": reason}


def _trained(entry: TrainConfig, study: Study, real: pa.Table) -> dict[str, Any]:
    """The first real row as this entry trains on it."""
    row, where = real.slice(0, 1).to_pylist()[0], {"method": entry.method, "model": entry.called}
    if entry.method == "probe" or entry.head == "classifier":
        return {**where, "text": row["text"], "target": row["label"]}
    prompt, completion = training_pair(row, study.data.task)
    pair = {**where, "prompt": prompt, "completion": completion, "max_length": entry.max_length}
    tokenizer = None if entry.from_scratch else local_tokenizer(entry.model, entry.revision)
    if tokenizer is None:
        return {**pair, "tokens": None, "targets": None}
    try:
        ids, targets = encode_pair(tokenizer, prompt, completion, entry.max_length)
    except DataError as error:
        return {**pair, "tokens": None, "targets": None, "reason": str(error)}
    return {**pair, "tokens": tokenizer.convert_ids_to_tokens(ids), "targets": targets}


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    levels = ", ".join(f"{level:g}" for level in found["levels"])
    yield (f"{found['study']}: recipe {found['recipe']}, {found['dial']} {levels}; generator {found['generator']}, "
           f"which may know {found['real_rows']:,} real rows")
    if found["why_words"]:
        yield f"words are counted, not tokens: {found['why_words']}"
    for shown in found["rounds"]:
        yield ""
        at = ", ".join(f"{level:g}" for level in shown["levels"])
        yield (f"round {shown['round']}, template {shown['template']}, {found['dial']} {at}"
               + ("" if shown["unknown"] else f": {shown['requests']:,} requests a seed"))
        if shown["unknown"]:
            yield f"  not shown: {shown['unknown']}"
        for prompt in shown["prompts"]:
            label = f", label {prompt['label']}" if prompt["label"] else ""
            yield (f"  prompt of {prompt['count']} {found['unit']}, up to {prompt['max_tokens']} tokens to be "
                   f"written{label}")
            yield from _quoted(prompt["prompt"])
        if parsed := shown["parsed"]:
            yield "  a real row, as it would be written"
            yield from _quoted(parsed["completion"])
            yield f"  is read as {json.dumps(parsed['sample'], ensure_ascii=False)}" if parsed["sample"] else (
                f"  is refused: {parsed['reason']}")
    for pair in found["training"]:
        yield ""
        yield f"training, method {pair['method']}, model {pair['model']}"
        yield from _pair_lines(pair)


def _pair_lines(pair: Mapping[str, Any]) -> Iterator[str]:
    if "target" in pair:
        yield from _quoted(pair["text"])
        yield f"  is classified as {pair['target']!r}; there is no label mask"
        return
    yield "  given, without loss"
    yield from _quoted(pair["prompt"])
    yield "  to be written"
    yield from _quoted(pair["completion"])
    if pair["tokens"] is not None:
        targets = [token for token, target in zip(pair["tokens"], pair["targets"], strict=True) if target]
        yield (f"  {len(pair['tokens'])} tokens (max_length {pair['max_length']}), loss on the last {len(targets)}: "
               f"{' '.join(targets)}")
    else:
        yield f"  {pair.get('reason') or 'the model is not on this machine, or not trained yet: no tokens to show'}"


def _quoted(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        yield f"    | {line}"
