"""What generation would take: requests and tokens from the study, speed from what the store has recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from divscale.config import Study
from divscale.graph.record import Record
from divscale.graph.stage import Stage
from divscale.graph.store import Store
from divscale.stages.planned_requests import Planned, planned_rounds, real_rows
from divscale.stages.prompt_tokens import prompt_reader

SAMPLES = 1000  # per label or in total: requests of more follow in proportion
PROMPTS = 50    # of a round whose tokens are counted


@dataclass(frozen=True)
class GenerationCost:
    """An estimate for the generate stages that are not cached.

    Attributes:
        requests: asked of the engine once; retries come on top.
        prompt: tokens of all prompts (or words, see `unit`), from the mean of some.
        unit: tokens or words.
        max_tokens: completion tokens if every completion were as long as allowed.
        tokens: completion tokens expected from recorded runs of this generator; null without any.
        rate: completion tokens a second that those runs wrote, engine starts included; null without any.
        unknown: rounds whose requests depend on what earlier ones write.
    """

    requests: int
    prompt: int
    unit: str
    max_tokens: int
    tokens: int | None
    rate: float | None
    unknown: tuple[str, ...]

    @property
    def seconds(self) -> float | None:
        """Expected time in the engines; null where no rate is known."""
        return self.tokens / self.rate if self.tokens is not None and self.rate else None

    def in_words(self) -> str:
        """One line for people."""
        said = (f"{self.requests:,} requests, about {self.prompt:,} prompt {self.unit}, at most {self.max_tokens:,} "
                "completion tokens")
        if self.seconds is None:
            said += "; no rate measured yet"
        else:
            said += (f"; about {self.tokens:,} expected, {duration(self.seconds)} at {self.rate:,.0f} tokens/s as "
                     "recorded")
        return said + (f"; without {' and '.join(self.unknown)}, known only once earlier rounds ran"
                       if self.unknown else "")


def duration(seconds: float) -> str:
    """Seconds as s, min or h."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


class Requests:
    """Requests of every generate stage of a study, from the real rows. Reads the data once.

    Attributes:
        real: these rows.
    """

    def __init__(self, study: Study) -> None:
        self.real = real_rows(study)
        self._reader = prompt_reader(study)
        self._planned: dict[str, Planned] = {}
        self._left: dict[str, int] = {}
        if study.recipe.target:  # pilots first, for what is planned on any set is planned on whole ones
            self._plan(study.model_copy(update={"recipe": study.recipe.piloted}))
        self._plan(study)

    def of(self, stage: Stage) -> Planned | None:
        """The round of a generate stage; None where its requests cannot be known yet."""
        config: Any = stage.config
        planned = self._planned.get(_key(config.round, config.recipe))
        return None if planned is None or planned.requests is None else planned

    def asked(self, stage: Stage) -> int | None:
        """Requests that a generate stage sends: of its round those that its pilot, if it has one, has not answered."""
        planned, begun = self.of(stage), stage.inputs.get("begun")
        pilot = self.of(begun) if isinstance(begun, Stage) else None
        if planned is None or pilot is None:
            return planned.total if planned else None
        if stage.fingerprint not in self._left:
            known = _prompts(pilot)
            same = len(known & _prompts(planned)) / max(1, len(known))
            self._left[stage.fingerprint] = planned.total - round(same * pilot.total)
        return self._left[stage.fingerprint]

    def cost(self, stages: Iterable[Stage], store: Store) -> GenerationCost | None:
        """What those generate stages would take; None for no stage."""
        stages = list(stages)
        if not stages:
            return None
        known = [(self.asked(stage) or 0, planned) for stage in stages if (planned := self.of(stage)) is not None]
        requests = sum(sent for sent, _ in known)
        prompt = sum(sent * self._mean_prompt(planned) for sent, planned in known)
        longest = round(sum(sent * planned.max_tokens for sent, planned in known))
        asked, tokens, seconds = _recorded(stages[0], store.records("generate"))
        return GenerationCost(
            requests, round(prompt), self._reader.unit, longest,
            min(longest, round(requests * tokens / asked)) if asked else None, tokens / seconds if seconds else None,
            tuple(dict.fromkeys(str(s.plain_config["round"]) for s in stages if self.of(s) is None)))

    def _plan(self, study: Study) -> None:
        for planned in planned_rounds(study, self.real.visible, SAMPLES):
            recipe = planned.this.recipe
            if recipe.kind == study.recipe.kind:
                recipe = recipe.model_copy(update={"samples": study.recipe.samples})
            self._planned[_key(planned.this.name, recipe)] = planned

    def _mean_prompt(self, planned: Planned) -> float:
        assert planned.requests is not None
        prompts = planned.requests["prompt"].to_pylist()
        some = prompts[:: max(1, len(prompts) // PROMPTS)]
        return sum(self._reader.count(prompt) for prompt in some) / max(1, len(some))


def expected_rows(stage: Stage, store: Store, requests: Requests | None) -> int | None:
    """Rows that a stage gives: as recorded, else as asked for (some may fail or be filtered); None: unknown."""
    artifact = store.find(stage)
    if artifact is not None:
        found = artifact.record.rows
        return None if found is None else found.ok if found.samples_out is None else found.samples_out
    if stage.name == "generate":
        planned = requests.of(stage) if requests else None
        return planned.total if planned else None
    samples = stage.inputs.get("samples") if stage.name in ("embed", "clean", "correctness") else None
    return expected_rows(samples, store, requests) if isinstance(samples, Stage) else None


def _key(name: str, recipe: Any) -> str:
    return f"{name} {recipe.identity().model_dump_json()}"


def _prompts(planned: Planned) -> set[tuple[str, str]]:
    assert planned.requests is not None
    return set(zip(planned.requests["request_id"].to_pylist(), planned.requests["prompt"].to_pylist(), strict=True))


def _recorded(stage: Stage, records: Iterable[Record]) -> tuple[int, int, float]:
    """Requests, completion tokens and seconds of all records of the same model and engine.

    The first stage of a pass carries its whole time, so that only the sum over all of them is a rate.
    """
    asked = tokens = 0
    seconds = 0.0
    own = stage.plain_config
    for record in records:
        if all(record.config.get(name) == own[name] for name in ("model", "engine")) and record.rows:
            asked += record.rows.asked
            tokens += int(record.values.get("tokens", 0))
            seconds += record.seconds
    return asked, tokens, seconds
