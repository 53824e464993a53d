"""A user's own recipe: the README's example works, and every mistake in a file is told before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from divscale.cli import main
from divscale.errors import ConfigError
from divscale.generation.recipes import AnyRecipe, Sources, get
from divscale.schema import COMPLETIONS, SAMPLES
from divscale.stages.planned_requests import planned_rounds
from divscale.stages.sources import code_of
from divscale.study_file import load

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = next(block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "def build_requests" in block)
SMOKE = ROOT / "tests" / "studies" / "smoke.yaml"
REAL = pa.Table.from_pylist([{"id": f"{label}{i}", "text": f"{label} {i}", "label": label, "origin": "real"}
                             for label in ("card", "loan") for i in range(5)], schema=SAMPLES)


def recipe_of(path, **fields):
    return TypeAdapter(AnyRecipe).validate_python({"kind": "file", "path": str(path), **fields}, strict=False)


def study_of(path, *levels):
    return load(SMOKE, ["recipe.kind=file", f"recipe.path={path}", f"recipe.level={list(levels)}",
                        "recipe.temperature=0.7"])


def written(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_readmes_recipe_asks_in_as_many_tones_as_its_level_says(tmp_path):
    recipe = recipe_of(written(tmp_path, EXAMPLE), level=[1, 2, 4], samples=8)
    assert (recipe.dial, recipe.levels) == ("level", (1.0, 2.0, 4.0))
    for level in recipe.levels:
        (this,) = get(recipe).rounds(recipe, level)
        asked = get(recipe).build_requests(this, Sources(REAL), task="classification", seed=0, prompt="")
        assert asked.num_rows == 16
        assert len({row["prompt"].split()[1] for row in asked.to_pylist()}) == level
        done = pa.Table.from_pylist([{"request_id": i, "completion": "Why?", "finish_reason": "stop"}
                                     for i in asked["request_id"].to_pylist()], schema=COMPLETIONS)
        samples, rejected = get(recipe).parse(this, asked, done, task="classification")
        assert (samples.num_rows, rejected.num_rows) == (16, 0)
        assert samples["label"].to_pylist() == asked["label"].to_pylist()


def test_the_files_text_is_identity_and_its_place_is_not(tmp_path):
    found = []
    for name, text in (("a.py", EXAMPLE), ("b.py", EXAMPLE), ("a.py", EXAMPLE + "\n# more")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        study = study_of(tmp_path / name, 1, 2)
        found.append((code_of(study), study.recipe.identity()))
    assert found[0] == found[1] and found[0][0] != found[2][0]


@pytest.mark.parametrize(("text", "what"), [
    ("def build_requests(:", "the file of {path} failed, line 1: SyntaxError"),
    ("import nothing_of_that_name", "the file of {path} failed, line 1: ModuleNotFoundError"),
    ("x = 1", "{path} has no function build_requests"),
    ("def build_requests(this, sources, *, task, seed, prompt):\n    return 1 / 0",
     "build_requests of {path} failed, line 2: ZeroDivisionError: division by zero. Correct the file."),
    ("def build_requests(this, sources, *, task, seed, prompt):\n    return []",
     "build_requests of {path} gave a list where an Arrow table is expected"),
    ("import pyarrow as pa\ndef build_requests(this, sources, *, task, seed, prompt):\n    return pa.table({'a': [1]})",
     "build_requests of {path} gave a table without the columns request_id"),
    (EXAMPLE.replace("(len(tones), label, i)", "(label,)"), "build_requests of {path} gave requests with equal"),
    (EXAMPLE + "\ndef parse(this, requests, completions, *, task):\n    return requests",
     "parse of {path} gave no pair of tables"),
    (EXAMPLE + "\ndef rounds(recipe, level):\n    return ['samples']", "rounds of {path} gave no tuple of Round"),
])
def test_a_mistake_in_the_file_is_named_with_its_function_and_line(tmp_path, text, what):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as told:
        list(planned_rounds(study_of(path, 1), REAL, 4))
    assert str(told.value).startswith(f"recipe.path: {what.format(path=path)}")


def test_a_missing_file_is_exit_2_and_one_line(tmp_path, capsys):
    code = main(["plan", str(SMOKE), "recipe.kind=file", f"recipe.path={tmp_path / 'none.py'}", "recipe.temperature=0.7",
                 "--store", str(tmp_path / "store")])
    assert (code, capsys.readouterr().err) == (
        2, f"divscale: recipe.path: {tmp_path / 'none.py'} cannot be read (No such file or directory); give a recipe's "
           "Python file.\n")
