"""The body of a generation actor: one engine, stepped by one thread, fed by as many batches as come."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from divscale.errors import StageFailedError
from divscale.generation.config import EngineConfig
from divscale.generation.engines import load_engine
from divscale.generation.engines.protocol import Engine, EngineCompletion, to_engine_request
from divscale.rendering.chat import render_chat
from divscale.runtime.resources import Resources
from divscale.runtime.sizes import FleetSize, bind_to_cores
from divscale.schema import COMPLETIONS


@dataclass(eq=False)
class _Batch:
    """Requests that came together and go back together."""

    rows: list[dict[str, Any]]
    done: list[dict[str, Any]] = field(default_factory=list)
    finished: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None


class Generator:
    """An engine that serves several batches at a time: a batch that ends leaves its seats to the next at once.

    Args:
        model_dir: model folder.
        config: the engine.
        resources: sizes.
        size: threads and GPUs of this actor.
        core_index: which run of cores it binds itself to; null: none.
        chat_template: path of a chat template; null: the model's own, or none for a base model.
    """

    def __init__(
        self, model_dir: str, config: EngineConfig, resources: Resources, size: FleetSize, core_index: int | None,
        chat_template: str | None,
    ) -> None:
        if core_index is not None:
            bind_to_cores(core_index, size.threads)
        self._load = lambda: load_engine(model_dir, config, resources, size.gpus_each)
        self._chat_template = chat_template
        self._inbox: queue.SimpleQueue[_Batch] = queue.SimpleQueue()
        self._open: dict[str, tuple[_Batch, dict[str, Any], int]] = {}
        self._count = 0

    def load(self) -> None:
        """Start the engine in the thread that will step it, and wait until it is there.

        Raises:
            PreflightError: the folder is not a model that engines accept.
        """
        ready = _Batch([])
        threading.Thread(target=self._run, args=(ready,), name="engine", daemon=True).start()
        _wait(ready)

    def generate(self, requests: pa.Table) -> pa.Table:
        """Completions of a batch of `schema.REQUESTS`, as `schema.COMPLETIONS` in the order they finished."""
        batch = _Batch(requests.to_pylist())
        self._inbox.put(batch)
        _wait(batch)
        return pa.Table.from_pylist(batch.done, schema=COMPLETIONS)

    def memory_mib(self) -> float:
        """Resident memory of this process in MiB."""
        import psutil

        return psutil.Process().memory_info().rss / 1024**2

    def _run(self, ready: _Batch) -> None:
        try:
            engine = self._load()
            ready.finished.set()
            while True:
                # Asleep while there is nothing to do; else take what has come and go on.
                while not self._open or not self._inbox.empty():
                    self._admit(engine, self._inbox.get())
                for completion in engine.step():
                    self._settle(engine, completion)
        except BaseException as error:  # every caller that waits must hear of it
            _fail(ready, error)
            waiting = {id(batch): batch for batch, _, _ in self._open.values()}
            for batch in waiting.values():
                _fail(batch, error)
            while True:
                _fail(self._inbox.get(), error)

    def _admit(self, engine: Engine, batch: _Batch) -> None:
        for row in batch.rows:
            self._count += 1
            key = str(self._count)      # request ids may repeat between batches, keys do not
            prompt = render_chat(engine.tokenizer, [{"role": "user", "content": row["prompt"]}], self._chat_template)
            request = to_engine_request({**row, "prompt": prompt}, key, engine.tokenizer, engine.context)
            if isinstance(request, str):
                self._close(batch, {"request_id": row["request_id"], "error": request})
                continue
            self._open[key] = batch, row, len(request.prompt_ids)
            engine.submit(request)
        if not batch.rows:
            batch.finished.set()

    def _settle(self, engine: Engine, completion: EngineCompletion) -> None:
        batch, row, prompt_tokens = self._open.pop(completion.key)
        text = engine.tokenizer.decode(completion.token_ids, skip_special_tokens=True,
                                       clean_up_tokenization_spaces=False)
        self._close(batch, {
            "request_id": row["request_id"], "completion": text, "finish_reason": completion.finish_reason,
            "prompt_tokens": prompt_tokens, "completion_tokens": len(completion.token_ids)})

    @staticmethod
    def _close(batch: _Batch, row: dict[str, Any]) -> None:
        batch.done.append(row)
        if len(batch.done) == len(batch.rows):
            batch.finished.set()


def _wait(batch: _Batch) -> None:
    batch.finished.wait()
    if batch.failure is not None:
        raise batch.failure


def _fail(batch: _Batch, error: BaseException) -> None:
    batch.failure = error if isinstance(error, Exception) else StageFailedError(f"the engine ended: {error!r}.")
    batch.finished.set()
