"""What handlers pull from outside identity: the study's resources, Ray, and the fleets, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from divscale.config import Study
from divscale.embedding.config import EmbedderConfig
from divscale.generation.config import EngineConfig
from divscale.graph.runner import Events
from divscale.graph.store import Store


class Fleet(Protocol):
    """Warm actors that hold an engine."""

    def start(self) -> Any:
        """Bring the actors up."""

    def close(self) -> None:
        """End the actors and wait until they are gone."""


F = TypeVar("F", bound=Fleet)


class Context:
    """One run of one study on one machine or cluster.

    Engines take turns: asking for another fleet closes the one that is warm, so that its memory is free before the
    next takes its place.
    """

    def __init__(self, study: Study, store: Store, events: Events) -> None:
        self.study = study
        self.store = store
        self.events = events
        self._session: Any = None
        self._warm: tuple[object, Fleet] | None = None

    @property
    def session(self) -> Any:
        """Ray, started at the first use."""
        if self._session is None:
            from divscale.runtime.session import Session

            self._session = Session(self.study.resources)
        return self._session

    def generation(self, model: str, engine: EngineConfig, revision: str | None) -> Any:
        """The generation fleet for one model."""
        from divscale.generation.fleet import GenerationFleet

        return self._turn(
            ("generation", model, revision, engine),
            lambda: GenerationFleet(
                self.session, model, engine, self.study.resources, revision=revision,
                chat_template=self.study.generator.chat_template),
        )

    def embedding(self, config: EmbedderConfig) -> Any:
        """The embedding fleet for one encoder."""
        from divscale.embedding.fleet import EmbeddingFleet

        return self._turn(("embedding", config), lambda: EmbeddingFleet(self.session, config, self.study.resources))

    def training(self) -> Any:
        """The training fleet."""
        from divscale.training.fleet import TrainingFleet

        return self._turn("training", lambda: TrainingFleet(self.session, self.study.resources))

    def workers(self) -> Any:
        """Plain worker actors for stages without an engine."""
        from divscale.stages.workers import WorkerFleet

        return self._turn("workers", lambda: WorkerFleet(self.session, self.study.resources))

    def close(self) -> None:
        """Release the fleet and Ray. Safe to call at any moment, and twice."""
        if self._warm is not None:
            self._warm[1].close()
            self._warm = None
        if self._session is not None:
            self._session.close()
            self._session = None

    def _turn(self, key: object, make: Callable[[], F]) -> F:
        if self._warm is not None and self._warm[0] == key:
            return self._warm[1]  # type: ignore[return-value]
        if self._warm is not None:
            self._warm[1].close()
            self._warm = None
        fleet = make()
        self._warm = (key, fleet)
        fleet.start()
        return fleet
