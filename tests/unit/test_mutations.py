"""1,000 mutated tables and templates: every one is a clear error or accounted rows, and no engine is started for it."""

from __future__ import annotations

import csv
import io
import json
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from divscale.data.config import DataConfig
from divscale.data.sources import load
from divscale.errors import DivscaleError
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import MODULES, Sources, get
from divscale.runtime.accounting import check_rows
from divscale.schema import COMPLETIONS, REJECTED, REQUESTS, SAMPLES

# The same examples everywhere and every time.
MUTATED = settings(max_examples=500, derandomize=True, deadline=None, database=None,
                   suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large])
ROWS = [{"id": f"r{i}", "text": f"{ask} did Ann find {i}?", "label": ("cat", "dog")[i % 2], "context": f"Ann found a coin {i // 2}.",
         "answers": ["a coin"], "group": f"g{i // 2}"} for i in range(8) for ask in ("What",)]
TEMPLATES = Path(__file__).parents[2] / "src" / "divscale" / "generation" / "templates"
TASKS = ("classification", "qa", "text")
pytestmark = pytest.mark.usefixtures("started")

odd_text = st.text(max_size=12) | st.sampled_from(["", " ", "\x00", "\ud800", "\u202e", "\r\n", '"', "{{ x }}", "a" * 5000, "None"])
odd_value = (st.none() | st.booleans() | st.integers() | st.floats() | odd_text | st.binary(max_size=4).map(repr)
             | st.lists(odd_text | st.none() | st.integers(), max_size=3) | st.dictionaries(odd_text, odd_text, max_size=2))
cell = st.tuples(st.integers(0, len(ROWS) - 1), st.sampled_from([*ROWS[0], "other"]), odd_value)
row_change = st.tuples(st.sampled_from(["drop", "double", "empty", "keep"]), st.integers(0, len(ROWS) - 1))
bytes_change = st.tuples(st.sampled_from(["flip", "cut", "insert"]), st.floats(0, 1), st.binary(min_size=1, max_size=4))
completion = odd_text | st.sampled_from([
    "What? answer: a coin", '{"question": "What?", "answer": "x"}', '{"question": 1}', "[1]", "{", "1. \n", "text:", "answer:"])


def write(path: Path, rows: list[dict], kind: str) -> None:
    """`rows` in the format; cells that a format cannot hold become text."""
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif kind == "csv":
        names, out = list(dict.fromkeys(name for row in rows for name in row)), io.StringIO(newline="")
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        writer.writerows(rows)
        path.write_bytes(out.getvalue().encode("utf-8", "surrogatepass"))
    else:
        try:
            table = pa.Table.from_pylist(rows)
        except (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError):
            table = pa.Table.from_pylist([{name: repr(value) for name, value in row.items()} for row in rows])
        pq.write_table(table, path)


def mutated(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    for what, share, new in changes:
        at = int(share * len(content))
        if what == "flip":
            content = content[:at] + new + content[at + len(new):]
        elif what == "cut":
            content = content[:at]
        else:
            content = content[:at] + new + content[at:]
    return content


def answered(requests: pa.Table, texts: list[str]) -> pa.Table:
    """A completion for every request: of the given texts in turn, some cut off, some failed."""
    return pa.Table.from_pylist([
        {"request_id": request_id, "completion": None if i % 7 == 6 else texts[i % len(texts)].encode("utf-8", "replace").decode(),
         "finish_reason": ("stop", "length")[i % 2], "error": "no answer" if i % 7 == 6 else None}
        for i, request_id in enumerate(requests["request_id"].to_pylist())], schema=COMPLETIONS)


def through(recipe, real: pa.Table, task: str, prompts: dict[str, str], texts: list[str]) -> None:
    """Every round of the recipe's first level, up to its samples; every request is accounted for."""
    module, made = get(recipe), {}
    for this in module.rounds(recipe, recipe.levels[0]):
        sources = Sources(real, {name: made[name] for name in this.after})
        requests = module.build_requests(this, sources, task=task, seed=0, prompt=prompts[this.template])
        assert requests.schema == REQUESTS
        samples, rejected = module.parse(this, requests, answered(requests, texts), task=task)
        assert (samples.schema, rejected.schema) == (SAMPLES, REJECTED)
        check_rows(requests["request_id"].to_pylist(), samples["request_id"].to_pylist(), rejected["id"].to_pylist(), where="")
        made[this.name] = samples


def recipe_of(kind: str):
    given = {"kind": kind, "samples": 3, "attempts": 1, **({"replaced_share": 0.5} if kind == "paraphrase" else {})}
    return MODULES[kind].Config.model_validate(given)


@cache
def packaged(task: str) -> tuple[str, ...]:
    return tuple(path.read_text() for path in sorted((TEMPLATES / task).glob("*.j2")) if not path.name.startswith("para"))


@MUTATED
@given(cells=st.lists(cell, max_size=4), row_changes=st.lists(row_change, max_size=3), raw=st.just([]) | st.just([]) | st.lists(bytes_change, max_size=2),
       kind=st.sampled_from(["jsonl", "csv", "parquet"]), task=st.sampled_from(TASKS), allowed=st.sampled_from([0.0, 1.0]),
       recipe=st.sampled_from(["decoding", "topics", "paraphrase"]), texts=st.lists(completion, min_size=1, max_size=4))
def test_a_mutated_table_is_a_clear_error_or_accounted_rows(tmp_path, cells, row_changes, raw, kind, task, allowed, recipe, texts):
    rows = [dict(row) for row in ROWS]
    for place, name, value in cells:
        rows[place][name] = value
    for what, place in row_changes:
        if place < len(rows) and what != "keep":
            rows[place:place + 1] = {"drop": [], "double": [rows[place]] * 2, "empty": [{}]}[what]
    path = tmp_path / f"rows.{kind}"
    write(path, rows, kind)
    path.write_bytes(mutated(path.read_bytes(), raw))
    try:
        loaded = load(DataConfig(source=str(path), task=task, max_rejected_share=allowed)).train
        assert loaded.rows_in == loaded.samples.num_rows + loaded.rejected.num_rows + loaded.filtered
        chosen = recipe_of(recipe)
        through(chosen, loaded.samples, task, prompts_for(task, "chat", chosen), texts)
    except DivscaleError as error:
        assert_one_paragraph(error)


pieces = st.sampled_from([
    "{{ label }}", "{{ context }}", "{{ examples }}", "{{ examples[0] }}", "{{ examples[99] }}", "{{ topic.upper() }}", "{{ nothing }}",
    "{% for e in examples %}", "{% endfor %}", "{% if topic %}", "{% endif %}", "{% else %}", "{{ label.__class__ }}", "{{ label|attr('x') }}",
    "{{ label|nofilter }}", "{{ label * 10**6 }}", "{{ label + 1 }}", "{{ 1 / 0 }}", "{{ 2 ** 64 }}", "{% set x = [label] %}", "{{ x }}",
    "{% macro f() %}", "{% endmacro %}", "{{ f() }}", "{% include 'x' %}", "{% extends label %}", "{% raw %}", "{#", "#}", "{{ loop.index }}",
    "{{ range(10) | list }}", "{{ label[5:] }}", "{{ dict(a=1).a }}", "{{ '%d' % label }}", "{{ '{}'.format(label) }}", "{{ '\\ud800' }}",
    "{{ lipsum(1) }}", "{{ cycler(1, 2).next() }}", "{{ caller() }}", "{{ self }}", "{{ self.x() }}", "{% block b %}", "{% endblock %}",
    "{% call label() %}{% endcall %}", "{{ namespace(a=1) }}", "{% do x %}", "{{ label|int }}", "{{ context|length }}", "{{ (1, 2)|join }}"])


@MUTATED
@given(first=st.integers(0, 9), cuts=st.lists(st.tuples(st.floats(0, 1), pieces | odd_text), min_size=1, max_size=5),
       inside=st.sampled_from([False, False, True]),
       task=st.sampled_from(TASKS), kind=st.sampled_from(["decoding", "topics", "paraphrase"]))
def test_a_mutated_template_is_a_clear_error_or_accounted_rows(tmp_path, first, cuts, inside, task, kind):
    template = packaged(task)[first % len(packaged(task))]
    for share, piece in cuts:
        at = int(share * len(template)) if inside else template.rfind("\n", 0, int(share * len(template))) + 1
        template = template[:at] + piece + template[at:]
    path = tmp_path / "own.j2"
    path.write_bytes(template.encode("utf-8", "surrogatepass"))
    name = "paraphrase" if kind == "paraphrase" and first % 2 else "sample"
    try:
        recipe = recipe_of(kind).model_copy(update={"prompts": {name: str(path)}})
        through(recipe, pa.Table.from_pylist([{**row, "origin": "real"} for row in ROWS], schema=SAMPLES), task,
                prompts_for(task, "chat", recipe), ["What? answer: a coin"])
    except DivscaleError as error:
        assert_one_paragraph(error)


def test_no_engine_was_started_for_any_of_it(started):
    assert started() == []


def assert_one_paragraph(error: DivscaleError) -> None:
    message = str(error)
    assert error.exit_code in (2, 3, 4)
    assert len(message) > 30
    assert message.endswith((".", ")"))
    assert "Traceback" not in message
    message.encode()
