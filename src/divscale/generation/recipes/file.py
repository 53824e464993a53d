"""The file recipe: a recipe of the user's own, a small Python file with the functions of `protocol.py`.

The file is read where the study is, never by workers. It has `build_requests`; `parse`, `rounds` and `TEMPLATES` only
where the usual ones will not do (`decoding.parse`, one round a level, the template `sample`); `compose` where levels
are made from rounds. `recipe.level` is the dial, `recipe.settings` whatever else it wants to know. Its text is part of
every result's identity. It is code, and runs as whoever runs the study: name only files that you would run.
"""

from __future__ import annotations

import hashlib
import os
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from divscale.errors import ConfigError, DivscaleError
from divscale.frozen import OneOrMany
from divscale.generation.config import RecipeConfig
from divscale.generation.recipes import decoding
from divscale.generation.recipes.protocol import Round, Sources
from divscale.schema import REJECTED, REQUESTS, SAMPLES, Task


class Config(RecipeConfig):
    """A recipe in a file: `level` is its dial."""

    kind: Literal["file"] = "file"
    path: str = Field(description="a Python file")
    level: OneOrMany[float] = (0.0,)
    settings: dict[str, str | int | float | bool] = Field(default={}, description="what else the file wants to know")

    own_dials: ClassVar[tuple[str, ...]] = ("level",)
    places: ClassVar[tuple[str, ...]] = ("prompts", "path")


class UserRecipe:
    """A user's file as a recipe's module: its functions, what it leaves out, and plain words where they fail.

    Raises:
        ConfigError: the file cannot be read or run, or has no `build_requests`.
    """

    Config = Config

    def __init__(self, path: str, code: bytes) -> None:
        self._path = path
        self.SHA256 = hashlib.sha256(code).hexdigest()
        self._module = module = ModuleType("user_recipe")
        self._guarded("the file", lambda: exec(compile(code, path, "exec"), module.__dict__))
        if not callable(getattr(module, "build_requests", None)):
            raise ConfigError(f"recipe.path: {path} has no function build_requests(this, sources, *, task, seed, "
                              "prompt); a recipe needs one.")
        self.TEMPLATES: tuple[str, ...] = tuple(getattr(module, "TEMPLATES", ("sample",)))
        self.COMPOSE_VECTORS: tuple[str, ...] = tuple(getattr(module, "COMPOSE_VECTORS", ()))
        if hasattr(module, "compose"):
            self.compose = self._compose
        if hasattr(module, "taught"):
            self.taught = module.taught

    def rounds(self, recipe: Config, level: float) -> tuple[Round, ...]:
        """The file's rounds; one where it does not say."""
        if not hasattr(self._module, "rounds"):
            return (Round("samples", recipe.at(level)),)
        found = self._guarded("rounds", lambda: tuple(self._module.rounds(recipe, level)))
        if not found or not all(isinstance(this, Round) for this in found):
            raise self._wrong("rounds", "gave no tuple of Round")
        return found

    def build_requests(self, this: Round, sources: Sources, *, task: Task, seed: int, prompt: str) -> pa.Table:
        """The file's requests, held to `schema.REQUESTS`."""
        table = self._guarded("build_requests", lambda: self._module.build_requests(
            this, sources, task=task, seed=seed, prompt=prompt))
        table = self._table("build_requests", table, REQUESTS)
        ids = table["request_id"].to_pylist()
        if len(set(ids)) < len(ids) or None in ids:
            raise self._wrong("build_requests", "gave requests with equal or missing request_id; derive ids with "
                                                "divscale.generation.requests.request")
        if table["prompt"].null_count:
            raise self._wrong("build_requests", "gave requests without a prompt")
        return table

    def parse(
        self, this: Round, requests: pa.Table, completions: pa.Table, *, task: Task,
    ) -> tuple[pa.Table, pa.Table]:
        """The file's samples and rejected rows; those of the decoding recipe where it does not say."""
        if not hasattr(self._module, "parse"):
            return decoding.parse(this, requests, completions, task=task)
        found = self._guarded("parse", lambda: self._module.parse(this, requests, completions, task=task))
        if not isinstance(found, tuple) or len(found) != 2:
            raise self._wrong("parse", "gave no pair of tables (samples, rejected)")
        return self._table("parse", found[0], SAMPLES), self._table("parse", found[1], REJECTED)

    def _compose(self, recipe: Config, sources: Sources, *, task: Task, seed: int) -> pa.Table:
        found = self._guarded("compose", lambda: self._module.compose(recipe, sources, task=task, seed=seed))
        return self._table("compose", found, SAMPLES)

    def _table(self, function: str, found: Any, schema: pa.Schema) -> pa.Table:
        if not isinstance(found, pa.Table):
            raise self._wrong(function, f"gave a {type(found).__name__} where an Arrow table is expected")
        try:
            return found.select(schema.names).cast(schema)
        except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise self._wrong(function, f"gave a table without the columns {', '.join(schema.names)} in their types "
                                        f"({str(error).splitlines()[0]})") from error

    def _guarded(self, function: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except DivscaleError:
            raise
        except Exception as error:
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                     if frame.filename == self._path]
            line = lines[-1] if lines else getattr(error, "lineno", None)
            where = f", line {line}" if line else ""
            raise self._wrong(function, f"failed{where}: {type(error).__name__}: {error}") from error

    def _wrong(self, function: str, what: str) -> ConfigError:
        return ConfigError(f"recipe.path: {function} of {self._path} {what.rstrip('.')}. Correct the file.")


def module_of(recipe: Config) -> UserRecipe:
    """The recipe that a study's file makes. Errors as `UserRecipe`."""
    path = str(Path(os.path.expanduser(recipe.path)))  # noqa: PTH111 (an unknown user is no error here)
    try:
        code = Path(path).read_bytes()
    except OSError as error:
        why = error.strerror
        raise ConfigError(f"recipe.path: {path} cannot be read ({why}); give a recipe's Python file.") from None
    return _module(path, code)


@cache
def _module(path: str, code: bytes) -> UserRecipe:
    return UserRecipe(path, code)
