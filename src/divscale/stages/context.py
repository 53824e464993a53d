"""What handlers pull from outside identity: the study's resources, Ray, and the fleets, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import psutil

from divscale.config import Study
from divscale.embedding.config import EmbedderConfig
from divscale.generation.config import EngineConfig, GeneratorModel
from divscale.graph.runner import Clock, Events
from divscale.graph.store import Store
from divscale.stages.machine import FLEETS, WITHOUT_GPUS


class Fleet(Protocol):
    """Warm actors that hold an engine."""

    @property
    def devices(self) -> int:
        """GPUs, engines, training ranks or workers that work side by side."""
        ...

    @property
    def engines(self) -> int:
        """Engines that are alive."""
        ...

    @property
    def busy(self) -> int:
        """Engines that have something to do."""
        ...

    @property
    def wanted(self) -> int:
        """Engines that it is meant to have; 0 before it has started."""
        ...

    def start(self) -> Any:
        """Bring the actors up."""

    def close(self) -> None:
        """End the actors and wait until they are gone."""


F = TypeVar("F", bound=Fleet)
ROOM_BYTES = 4 * 2**30  # what the next fleet may take at most on a laptop


class Context:
    """One run of one study on one machine or cluster.

    Engines take turns on GPUs: asking for another fleet closes the one that is warm, so that its memory is free before
    the next takes its place. Fleets without GPUs stay beside any other while there is room for one more; where there is
    no GPU an engine starts once for a whole study, whatever is embedded or trained between two rounds of generation.

    Args:
        study: whose resources say what may be used.
        store: where results are.
        events: is told what happens.
        worker_env: further environment variables of all workers.
    """

    def __init__(
        self, study: Study, store: Store, events: Events, worker_env: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.study = study
        self.store = store
        self.events = events
        self.clock = Clock(self._at_work)
        self._worker_env = worker_env
        self._session: Any = None
        self._warm: dict[object, Fleet] = {}

    @property
    def session(self) -> Any:
        """Ray, started at the first use."""
        if self._session is None:
            from divscale.runtime.session import Session

            self._session = Session(self.study.resources, self.events.told, self._worker_env, self.store.root)
        return self._session

    @property
    def ray_is_up(self) -> bool:
        """Whether Ray runs; looking starts nothing."""
        return self._session is not None and self._session.started

    def occupancy(self) -> dict[str, tuple[int, int, int]]:
        """Fleet -> engines that are alive, that it is meant to have, that are busy. May be called from any thread."""
        found: dict[str, tuple[int, int, int]] = {}
        for key, fleet in list(self._warm.items()):
            alive, wanted, busy = found.get(kind := str(_kind(key)), (0, 0, 0))
            found[kind] = alive + fleet.engines, wanted + fleet.wanted, busy + fleet.busy
        return found

    def generation(
        self, folder: str, model: GeneratorModel, engine: EngineConfig, *, as_trained: bool = False,
    ) -> Any:
        """The generation fleet for one model: its weights lie in `folder`, or an endpoint serves it under that name.

        `as_trained`: prompts are what a model was tuned on, without a chat template around them.
        """
        from divscale.generation.endpoint.fleet import EndpointFleet
        from divscale.generation.fleet import GenerationFleet

        if engine.engine == "openai":
            return self._turn(
                ("endpoint", folder, model, engine),
                lambda: EndpointFleet(
                    folder, engine, self.study.resources, self.store.root / "answers.sqlite", model.revision))
        return self._turn(
            ("generation", folder, model, engine, as_trained),
            lambda: GenerationFleet(
                self.session, folder, engine, self.study.resources, revision=model.revision,
                chat_template=model.chat_template, as_trained=as_trained,
                structured=self.study.recipe.structured and not as_trained),
        )

    def embedding(self, config: EmbedderConfig) -> Any:
        """The embedding fleet for one encoder."""
        from divscale.embedding.fleet import EmbeddingFleet

        return self._turn(("embedding", config), lambda: EmbeddingFleet(self.session, config, self.study.resources))

    def training(self) -> Any:
        """The training fleet."""
        from divscale.training.fleet import TrainingFleet

        return self._turn("training", lambda: TrainingFleet(
            self.session, self.study.resources, up=lambda seconds: self.clock.started("training", seconds)))

    def workers(self) -> Any:
        """Plain worker actors for stages without an engine."""
        from divscale.stages.workers import WorkerFleet

        return self._turn("workers", lambda: WorkerFleet(self.session, self.study.resources))

    def models(self) -> Any:
        """Plain worker actors of which each has room for a model."""
        from divscale.stages.workers import WorkerFleet

        return self._turn("models", lambda: WorkerFleet(self.session, self.study.resources, models=True))

    def close(self) -> None:
        """Release the fleets and Ray. Safe to call at any moment, and twice."""
        try:
            while self._warm:
                self._release(next(iter(self._warm)))
        finally:
            if self._session is not None:
                self._session.close()
                self._session = None

    def abandon(self) -> None:
        """Release Ray without asking the fleets, which do not answer any more: their actors go with it."""
        self._warm.clear()
        self.close()

    def _turn(self, key: object, make: Callable[[], F]) -> F:
        if key not in self._warm:
            for held in list(self._warm):  # those asked for longest ago first
                if _kind(held) == _kind(key) or not self._room_beside(held, key):
                    self._release(held)
            begun, ray_s = time.monotonic(), self._ray_s
            self._warm[key] = make()
            self._warm[key].start()
            ray_s = self._ray_s - ray_s
            if ray_s:
                self.clock.started("ray", ray_s)
            if key != "training":  # which comes up while it is given work, and tells when it did
                self.clock.started(str(_kind(key)), time.monotonic() - begun - ray_s)
        self._warm[key] = fleet = self._warm.pop(key)
        return fleet  # type: ignore[return-value]

    @property
    def _ray_s(self) -> float:
        return self._session.start_s if self._session is not None else 0.0

    def _at_work(self, name: str) -> tuple[int, str]:
        warm = next((held for key, held in self._warm.items() if _kind(key) == FLEETS.get(name)), None)
        if warm is None:  # the driver alone
            return 1, "core"
        if FLEETS[name] == "workers" or self._session is None:
            return warm.devices, "core"
        return warm.devices, self._session.device()

    def _release(self, key: object) -> None:
        self._warm.pop(key).close()

    def _room_beside(self, held: object, key: object) -> bool:
        apart = bool({_kind(held), _kind(key)} & WITHOUT_GPUS) or self.session.ensure().total()["gpus"] == 0
        return apart and psutil.virtual_memory().available > ROOM_BYTES


def _kind(key: object) -> object:
    return key[0] if isinstance(key, tuple) else key
