"""The body of a generation actor: one engine, stepped by one thread, fed by as many batches as come."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from divscale.errors import HungError, StageFailedError
from divscale.generation.config import EngineConfig
from divscale.generation.engines import load_engine
from divscale.generation.engines.protocol import Engine, EngineCompletion, EngineRequest, to_engine_requests
from divscale.rendering.chat import render_chats
from divscale.runtime.pool import Part
from divscale.runtime.resources import Resources
from divscale.runtime.sizes import FleetSize, bind_to_cores
from divscale.schema import COMPLETIONS, REQUESTS

# What is finished of a batch is handed over after so long, however long the rest of it takes.
HAND_OVER_S = 10.0


@dataclass(frozen=True)
class Unfinished:
    """What is left of a batch, and the ticket under which the actor that made it still works on it."""

    requests: pa.Table
    ticket: str


@dataclass(eq=False)
class _Batch:
    """Requests that came together. The engine's thread puts what finishes; the caller's takes it."""

    ticket: str
    rows: dict[str, tuple[dict[str, Any], int]]     # key -> row, prompt tokens; handed over ones are taken out
    requests: list[EngineRequest]
    unsettled: int                                  # counted down by the engine's thread
    finished: queue.SimpleQueue[EngineCompletion] = field(default_factory=queue.SimpleQueue)
    ended: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None


class Generator:
    """An engine that serves several batches at a time: a batch that ends leaves its seats to the next at once.

    Prompts are rendered, tokenised and completions decoded a batch at a time in the thread of the batch's caller; the
    engine's thread does nothing but feed and step the engine.

    Args:
        model_dir: model folder.
        config: the engine.
        resources: sizes; `step_timeout_s`.
        size: threads and GPUs of this actor.
        core_index: which run of cores it binds itself to; null: none.
        chat_template: text of a chat template; null: the model's own, or none for a base model.
        structured: the engine takes requests with a JSON schema.
    """

    def __init__(
        self, model_dir: str, config: EngineConfig, resources: Resources, size: FleetSize, core_index: int | None,
        chat_template: str | None, structured: bool = False,
    ) -> None:
        if core_index is not None:
            bind_to_cores(core_index, size.threads)
        self._load = lambda: load_engine(model_dir, config, resources, size.gpus_each, structured)
        self._chat_template = chat_template
        self._step_timeout_s = resources.step_timeout_s
        self._inbox: queue.SimpleQueue[_Batch] = queue.SimpleQueue()
        self._batches: dict[str, _Batch] = {}
        self._open: dict[str, _Batch] = {}                  # what the engine holds, by key
        self._text_lock = threading.Lock()                  # one batch's text at a time: tokenizers have state
        self._stepped = time.monotonic()
        self._engine: Any = None

    def load(self) -> None:
        """Start the engine in the thread that will step it, and wait until it is there.

        Raises:
            PreflightError: the folder is not a model that engines accept.
        """
        ready = _Batch("", {}, [], 0)
        threading.Thread(target=self._run, args=(ready,), name="engine", daemon=True).start()
        ready.ended.wait()
        _raise_failure(ready)

    def generate(self, asked: pa.Table | Unfinished) -> pa.Table | Part:
        """Complete a batch of `schema.REQUESTS`, or what is left of one.

        Returns:
            `schema.COMPLETIONS` of what finished since the last call, in the order it did: the whole rest of the
            batch, or after `HAND_OVER_S` a `Part` (maybe of no rows), whose `rest` is to be asked next.

        Raises:
            StageFailedError: the engine failed.
            HungError: a step of it takes longer than `step_timeout_s`.
        """
        known = self._batches.get(asked.ticket) if isinstance(asked, Unfinished) else None
        refused = []
        if known is None:
            known, refused = self._admit(asked.requests if isinstance(asked, Unfinished) else asked)
        known.ended.wait(HAND_OVER_S)
        _raise_failure(known)
        ended = known.ended.is_set()        # looked at before what finished is taken
        completions = pa.Table.from_pylist([*refused, *self._take(known)], schema=COMPLETIONS)
        if ended:
            del self._batches[known.ticket]
            return completions
        still_s = time.monotonic() - self._stepped
        if still_s > self._step_timeout_s:
            raise HungError(
                f"the engine has made no progress for {still_s:.0f} s: one step of it hangs, with {len(self._open)} "
                "requests in it. Look at the machine (memory, a GPU that fell off); where steps are merely slow, raise "
                f"resources.step_timeout_s ({self._step_timeout_s}). What was finished is kept; run again to go on.")
        rest = pa.Table.from_pylist([row for row, _ in known.rows.values()], schema=REQUESTS)
        return Part(completions, Unfinished(rest, known.ticket))

    def memory_mib(self) -> float:
        """Resident memory of this process in MiB."""
        import psutil

        return psutil.Process().memory_info().rss / 1024**2

    def _admit(self, requests: pa.Table) -> tuple[_Batch, list[dict[str, Any]]]:
        """Put a batch before the engine; returns it, and rows of completions for what the engine cannot take."""
        rows, tokenizer, ticket = requests.to_pylist(), self._engine.tokenizer, secrets.token_hex(8)
        keys = [f"{ticket}/{place}" for place in range(len(rows))]     # request ids may repeat, keys do not
        with self._text_lock:
            prompts = render_chats(tokenizer, [[{"role": "user", "content": row["prompt"]}] for row in rows],
                                   self._chat_template)
            found = to_engine_requests([{**row, "prompt": prompt} for row, prompt in zip(rows, prompts, strict=True)],
                                       keys, tokenizer, self._engine.context)
        refused = [{"request_id": row["request_id"], "error": why} for row, why in zip(rows, found, strict=True)
                   if isinstance(why, str)]
        taken = {request.key: (row, len(request.prompt_ids)) for row, request in zip(rows, found, strict=True)
                 if isinstance(request, EngineRequest)}
        batch = _Batch(ticket, taken, [request for request in found if isinstance(request, EngineRequest)], len(taken))
        self._batches[ticket] = batch
        if taken:
            self._inbox.put(batch)
        else:
            batch.ended.set()
        return batch, refused

    def _take(self, batch: _Batch) -> list[dict[str, Any]]:
        """Rows of completions for what has finished since the last look."""
        finished: list[EngineCompletion] = []
        while not batch.finished.empty():
            finished.append(batch.finished.get())
        if not finished:
            return []
        with self._text_lock:
            texts = self._engine.tokenizer.batch_decode(
                [list(each.token_ids) for each in finished], skip_special_tokens=True,
                clean_up_tokenization_spaces=False)
        done = []
        for each, text in zip(finished, texts, strict=True):
            row, prompt_tokens = batch.rows.pop(each.key)
            done.append({"request_id": row["request_id"], "completion": text, "finish_reason": each.finish_reason,
                         "prompt_tokens": prompt_tokens, "completion_tokens": len(each.token_ids)})
        return done

    def _run(self, ready: _Batch) -> None:
        try:
            self._engine = engine = self._load()
            ready.ended.set()
            while True:
                # Asleep while there is nothing to do; else take what has come and go on.
                while not self._open or not self._inbox.empty():
                    self._feed(engine, self._inbox.get())
                for completion in engine.step():
                    self._settle(completion)
                self._stepped = time.monotonic()
        except BaseException as error:  # every caller that waits must hear of it
            _fail(ready, error)
            for batch in list(self._batches.values()):
                _fail(batch, error)
            while True:
                _fail(self._inbox.get(), error)

    def _feed(self, engine: Engine, batch: _Batch) -> None:
        self._stepped = time.monotonic()
        for request in batch.requests:
            self._open[request.key] = batch
            engine.submit(request)

    def _settle(self, completion: EngineCompletion) -> None:
        batch = self._open.pop(completion.key)
        batch.finished.put(completion)
        batch.unsettled -= 1
        if not batch.unsettled:
            batch.ended.set()


def _raise_failure(batch: _Batch) -> None:
    if batch.failure is not None:
        raise batch.failure


def _fail(batch: _Batch, error: BaseException) -> None:
    batch.failure = error if isinstance(error, Exception) else StageFailedError(f"the engine ended: {error!r}.")
    batch.ended.set()
