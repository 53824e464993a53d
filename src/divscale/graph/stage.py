"""A stage: a step with an identity. How it is run is the runner's and the handlers' business."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from divscale.frozen import FrozenConfig
from divscale.graph.canonical import digest, plain


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of a study.

    Attributes:
        name: its kind; a handler is registered under it.
        version: raised when the code's result changes for the same configuration.
        config: everything that changes the result, and nothing else.
        inputs: other stages, by role. A role holds one stage or a tuple of them (order is identity).
        title: words for people; not identity.
        light: roles of which the record is enough, whose files may be gone; not identity.
    """

    name: str
    version: int
    config: FrozenConfig
    inputs: Mapping[str, Stage | tuple[Stage, ...]] = field(default_factory=dict[str, "Stage | tuple[Stage, ...]"])
    title: str = ""
    light: frozenset[str] = frozenset()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over name, version, config and the inputs' fingerprints: 64 hexadecimal digits."""
        return digest(
            {"name": self.name, "version": self.version, "config": self.config, "inputs": self.input_fingerprints}
        )

    @property
    def input_fingerprints(self) -> dict[str, str | list[str]]:
        """The inputs' fingerprints by role."""
        return {
            role: [s.fingerprint for s in value] if isinstance(value, tuple) else value.fingerprint
            for role, value in self.inputs.items()
        }

    @property
    def plain_config(self) -> dict[str, Any]:
        """The configuration as JSON's own types."""
        return plain(self.config)

    def parents(self) -> Iterator[Stage]:
        """Every input stage, roles in order."""
        for parent, _ in self.needs():
            yield parent

    def needs(self) -> Iterator[tuple[Stage, bool]]:
        """Every input stage, roles in order, and whether its files are read, not its record alone."""
        for role, value in self.inputs.items():
            for parent in value if isinstance(value, tuple) else (value,):
                yield parent, role not in self.light


def in_order(targets: Iterable[Stage]) -> list[Stage]:
    """Every stage the targets need, each once (by fingerprint), inputs first. O(stages + edges)."""
    ordered: dict[str, Stage] = {}
    stack: list[tuple[Stage, bool]] = [(target, False) for target in reversed(list(targets))]
    while stack:
        stage, expanded = stack.pop()
        if stage.fingerprint in ordered:
            continue
        if expanded:
            ordered[stage.fingerprint] = stage
        else:
            stack.append((stage, True))
            stack.extend((parent, False) for parent in reversed(list(stage.parents())))
    return list(ordered.values())
