from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_recipes import PACKAGES, recipe_of

from divscale.data.texts import read_texts
from divscale.errors import ConfigError, DataError
from divscale.generation.prompts import prompts_for
from divscale.generation.recipes import Sources, get
from divscale.graph.stage import in_order
from divscale.stages.expand import expand
from divscale.study_file import validate

PERSONS = tuple(f"Person {i}, who collects {i} things." for i in range(12))


def persons_in(level, texts=PERSONS, seed=0):
    recipe = recipe_of(kind="personas", file="p.txt", samples=24, personas=(1, 4, 12))
    this = get(recipe).rounds(recipe, level)[0]
    requests = get(recipe).build_requests(
        this, Sources(PACKAGES, texts=texts), task="classification", seed=seed,
        prompt=prompts_for("classification", "chat", recipe)["sample"])
    assert requests.num_rows == 72
    return Counter(line.removeprefix("Write as this person would: ") for prompt in requests["prompt"].to_pylist()
                   for line in prompt.splitlines() if line.startswith("Write as"))


def test_fewer_personas_are_part_of_more_in_equal_shares_at_a_constant_number_of_requests():
    one, four, twelve = (persons_in(level) for level in (1, 4, 12))
    assert set(one) < set(four) < set(twelve) == set(PERSONS)
    assert (set(one.values()), set(four.values()), set(twelve.values())) == ({72}, {18}, {6})
    assert persons_in(4, PERSONS[::-1]) == four  # the order of the file is nothing
    assert set(persons_in(1, seed=1)) != set(one)


def test_personas_are_read_from_text_jsonl_csv_and_parquet_alike(tmp_path):
    rows = [{"persona": person, "n": i} for i, person in enumerate(PERSONS)]
    (tmp_path / "p.txt").write_text("\n\n".join(PERSONS) + f"\n{PERSONS[0]}  \n")
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "p.csv").write_text("persona,n\n" + "".join(f'"{r["persona"]}",{r["n"]}\n' for r in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    found = [read_texts(str(tmp_path / f"p.{end}"), "persona", "recipe.file") for end in ("txt", "jsonl", "csv", "parquet")]
    assert all(each == found[0] for each in found)
    assert found[0].values == PERSONS


@pytest.mark.parametrize(("name", "content", "error", "message"), [
    ("p.txt", b"", DataError, "holds no text"),
    ("p.txt", b"a\xff\n", DataError, "line 1, byte 1 of the file: not UTF-8"),
    ("p.txt", b"one\ntwo\none\n", DataError, "holds 2 distinct texts and the recipe asks for 3"),
    ("p.jsonl", b'{"person": "a"}\n', ConfigError, "has no column 'persona'; its columns are person"),
    ("p.jsonl", b'{"persona": null}\n', DataError, "row 1: persona holds None where a text should be"),
    ("p.jsonl", b"{", DataError, "line 1, column 2: not valid JSON"),
    ("p.parquet", b"PAR1", DataError, "not a readable Parquet file"),
    ("q.txt", None, ConfigError, "does not exist"),
])
def test_a_bad_file_of_personas_is_told_before_anything_is_spent(tmp_path, name, content, error, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        expand(study(tmp_path / name, [1, 3]))


def test_what_the_file_holds_is_identity_and_where_it_lies_is_not(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "b.txt").write_text("one\ntwo\nthree\n")
    before = generated(tmp_path / "a.txt", [1, 3])
    assert generated(tmp_path / "b.txt", [1, 3]) == before
    assert before < generated(tmp_path / "a.txt", [1, 2, 3])
    (tmp_path / "b.txt").write_text("one\ntwo\nfour\n")
    assert not generated(tmp_path / "b.txt", [1, 3]) & before


def test_personas_need_a_model_that_follows_instructions(tmp_path):
    with pytest.raises(ConfigError, match=r"generator\.model: pretrain: the personas recipe needs a model"):
        study(tmp_path / "a.txt", [1], generator={"model": "pretrain"})


def study(file, levels, **given):
    return validate({
        "name": "persons", "data": {"source": "pydocs"}, "generator": {"model": "nobody/nothing"},
        "recipe": {"kind": "personas", "file": str(file), "personas": levels}, **given}, "study.yaml")


def generated(file, levels):
    return {stage.fingerprint for stage in in_order([expand(study(file, levels))]) if stage.name == "generate"}
