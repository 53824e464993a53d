"""Requests -> completions, through warm actors that each step one engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from divscale.errors import PreflightError
from divscale.generation.actor import HAND_OVER_S, Generator
from divscale.generation.config import EngineConfig
from divscale.rendering.chat import BASE_TEMPLATE
from divscale.rendering.templates import load
from divscale.runtime.accounting import check_rows
from divscale.runtime.actors import actor_class
from divscale.runtime.pool import ActorPool, Pooled
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
from divscale.runtime.sizes import CPU_ENGINES, fleet_size


class GenerationFleet(Pooled):
    """Actors of one model. They start once and serve any number of passes: levels, retries, recipes.

    Args:
        session: Ray.
        model: a model folder, or a name that the local Hugging Face cache holds.
        config: the engine.
        resources: `generation_actors`, `gpus_per_engine`, `max_num_seqs`, `requests_per_batch`, `start_timeout_s`,
            `step_timeout_s`.
        revision: of a name.
        chat_template: path of a Jinja2 chat template that overrides the model's.
        as_trained: prompts are given as they are, for a model that was tuned on such, whatever its chat template.
        structured: requests may have a JSON schema (vllm alone).
    """

    def __init__(
        self, session: Session, model: str, config: EngineConfig, resources: Resources, *,
        revision: str | None = None, chat_template: str | None = None, as_trained: bool = False,
        structured: bool = False,
    ) -> None:
        self._session = session
        self._model = model
        self._revision = revision
        self._config = config
        self._resources = resources
        self._chat_template = chat_template
        self._as_trained = as_trained
        self._structured = structured
        self._in_flight = 1     # batches that an actor holds

    def start(self) -> None:
        """Load the model in every actor.

        Cost: on CPU about 13 s for a model of under 1M parameters (9 s of them are vLLM's imports).

        Raises:
            PreflightError: there is no such model, it is one that engines refuse, or this machine has too few GPUs.
            ConfigError: the chat template cannot be read.
            StageFailedError: an actor was not ready in time, or died again and again.
        """
        folder = model_folder(self._model, self._revision)
        turns = BASE_TEMPLATE if self._as_trained else (
            load(self._chat_template) if self._chat_template else None)  # here: other nodes need not have the file
        self._session.ensure()
        total, resources = self._session.total(), self._resources
        size = fleet_size(total["cpus"], total["gpus"], resources.generation_actors, resources.gpus_per_engine,
                          CPU_ENGINES)
        if self._session.is_local and size.actors * size.gpus_each > total["gpus"]:  # a cluster may grow
            raise PreflightError(
                f"{size.actors} engine(s) of {size.gpus_each} GPU(s) need {size.actors * size.gpus_each}; this machine "
                f"gives {total['gpus']}. Lower resources.generation_actors or resources.gpus_per_engine, or run on a "
                "cluster (resources.address).")
        # What an actor's seats take, and two more to follow without a gap.
        in_flight = 2 + -(-resources.max_num_seqs // resources.requests_per_batch)
        # A vLLM engine leaves the file by which its processes found each other (vllm_dist_*) with the temporary files.
        env = {"TMPDIR": self._session.scratch} if self._session.scratch else {}
        bind = self._session.is_local and not size.gpus_each and size.actors > 1

        def make(index: int) -> Any:
            # `generate` waits while the engine works: one thread for each batch in flight, and one to spare.
            return actor_class(Generator, size, index, env, max_concurrency=in_flight + 1).remote(
                folder, self._config, resources, size, index if bind else None, turns, self._structured)

        self._in_flight, self._gpus_each = in_flight, size.gpus_each
        self._pool = ActorPool(make, size.actors, "generation", resources.start_timeout_s, in_flight=in_flight,
                               silence_s=resources.step_timeout_s + 3 * HAND_OVER_S, grow=self._session.grow)
        self._pool.start()

    def generate(
        self, requests: pa.Table, on_completions: Callable[[pa.Table], None],
        unwanted: Callable[[str], bool] = lambda _: False,
    ) -> dict[str, int]:
        """Complete every request once.

        What is the same, bit for bit, whatever the order, the company, the number of actors or their deaths: what is
        asked (prompt, parameters, and a seed per row, so that no two engines or rows share a stream), and on CPU at
        float32 with vLLM every token of the answer. On CUDA, at 16 bits and with transformers a logit may round
        otherwise in other company: from a near-tie on such a row's tokens differ, and only their distribution is the
        same. A request that the engine cannot take comes back with its `error`.

        Long requests are fed first, so that at the end no engine works on a few of them alone; among equals those that
        begin alike follow each other, for a GPU's prefix cache. When an actor dies, at most what it held is asked
        again: what its seats take and two batches (384 rows by default).

        Args:
            requests: `schema.REQUESTS`, ids unique.
            on_completions: given `schema.COMPLETIONS` of what finished, in any order, in this thread: a batch, or what
                there is of it every `HAND_OVER_S`. May be of no rows: then only time has passed.
            unwanted: whether a request (by its id) is to be left out after all; asked when its turn comes.

        Returns:
            Counts `in`, `ok`, `failed`, `filtered` (those left out).

        Raises:
            StageFailedError: an actor died too often, or an engine failed. What was handed out stays handed out.
            RowAccountingError: rows were lost or doubled.
        """
        assert self._pool is not None, "start() first"
        places = max(1, self.engines) * self._in_flight
        # Few requests are dealt out evenly: of 160 in batches of 64 one of two engines would write two thirds.
        rows_per_batch = max(1, min(self._resources.requests_per_batch, -(-requests.num_rows // places)))
        requests = requests.sort_by([("max_tokens", "descending"), ("prompt", "ascending")])
        ok: list[str] = []
        failed: list[str] = []
        left_out: list[str] = []

        def batches() -> Iterator[tuple[int, pa.Table]]:
            for start in range(0, requests.num_rows, rows_per_batch):
                batch = requests.slice(start, rows_per_batch)
                gone = [unwanted(request_id) for request_id in batch["request_id"].to_pylist()]
                if any(gone):
                    left_out.extend(batch["request_id"].filter(pa.array(gone)).to_pylist())
                    batch = batch.filter(pa.compute.invert(pa.array(gone)))  # type: ignore[attr-defined]
                if batch.num_rows:
                    yield start, batch

        for _, completions in self._pool.map(batches(), "generate"):
            errors = completions["error"].to_pylist()
            for request_id, error in zip(completions["request_id"].to_pylist(), errors, strict=True):
                (ok if error is None else failed).append(request_id)
            on_completions(completions)
        return check_rows(requests["request_id"].to_pylist(), ok, failed, left_out, where="generation")

    def memory_mib(self) -> list[float]:
        """Resident memory of each actor in MiB."""
        import ray

        return ray.get([actor.memory_mib.remote() for actor in self._pool.actors]) if self._pool else []


def model_folder(model: str, revision: str | None) -> str:
    """The folder of a model: itself, or where the local Hugging Face cache keeps it. Downloads nothing.

    Raises:
        PreflightError: it is neither a folder nor in the cache.
    """
    if Path(model).is_dir():
        return str(Path(model).resolve())
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(model, revision=revision, local_files_only=True)
    except (OSError, ValueError) as error:
        raise PreflightError(f"the model {model!r} is neither a folder nor in the local Hugging Face cache. Download "
                             f"it first (hf download {model}), or give a folder.") from error
