"""`divscale report A B`: what two finished studies differ in, in configuration and in results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from divscale.config import Study
from divscale.errors import ConfigError
from divscale.graph.store import Artifact
from divscale.redact import redact_all
from divscale.report_command import finished
from divscale.run import store_of
from divscale.stages.out_file import prove_writable, whole
from divscale.study_file import load

ABSENT = "\N{EN DASH}"


def compare_from_terminal(words: Sequence[str], root: str | None, *, html: str | None, alone: Sequence[str]) -> int:
    """Print the comparison of two studies, and write its page where `html` says so. Returns 0.

    Args:
        words: study files, each followed by the overrides (`key.sub=value`) that it was run with.
        root: the store that both have run in.
        html: a file.
        alone: options that were given and belong to one study alone.

    Raises:
        ConfigError: not two studies, an option of one study alone, or a file that cannot be written.
        StageFailedError: one of them has not finished.
    """
    from divscale.report.comparison import compare, in_words, render

    groups = of_each(words)
    if len(groups) != 2:
        raise ConfigError(f"report compares two studies, and {len(groups)} were named "
                          f"({', '.join(path for path, _ in groups)}). Name two; a word without = is a study file.")
    if alone:
        raise ConfigError(f"--{alone[0]} belongs to the report of one study; leave it out, or name one study alone.")
    if html is not None:
        prove_writable("--html", Path(html), [path for path, _ in groups])
    studies = [load(path, overrides) for path, overrides in groups]
    store = store_of(root)
    sides = [_side(study, finished(study, store)) for study in studies]
    found = compare(*sides, _names(groups, studies), list(differing(*studies)))  # type: ignore[arg-type]
    print(in_words(found))
    if html is not None:
        with whole("--html", html, Path(html)) as (part,):
            part.write_text(render(found), encoding="utf-8")
        print(f"\n{html}")
    return 0


def of_each(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """(study file, its overrides) of words in which each study stands before its own overrides."""
    groups: list[tuple[str, list[str]]] = []
    for word in words:
        if "=" in word and groups:
            groups[-1][1].append(word)
        else:
            groups.append((word, []))
    return groups


def differing(a: Study, b: Study) -> Iterator[tuple[str, str, str]]:
    """(dotted key, value in a, value in b) where two studies differ; what is no part of identity comes last."""
    flat, other = (dict(_flat("", redact_all(json.loads(study.model_dump_json())))) for study in (a, b))
    keys = [key for key in {**flat, **other} if flat.get(key, ABSENT) != other.get(key, ABSENT)]
    for key in sorted(keys, key=lambda key: key.startswith(("resources.", "name"))):
        yield key, flat.get(key, ABSENT), other.get(key, ABSENT)


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    """Dotted keys with their values as text; lists of plain values stay whole."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else name, inner)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for i, inner in enumerate(value):
            yield from _flat(f"{prefix}.{i}", inner)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _side(study: Study, report: Artifact) -> Any:
    from divscale.report.statistics.compare import Side

    return Side(study.recipe.dial, study.evaluate.metrics, report.table("arms"), report.table("sets"))


def _names(groups: Sequence[tuple[str, Sequence[str]]], studies: Sequence[Study]) -> tuple[str, str]:
    a, b = (" ".join([study.name, *overrides]) for study, (_, overrides) in zip(studies, groups, strict=True))
    return a, b
