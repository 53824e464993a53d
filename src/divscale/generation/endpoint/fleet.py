"""The fleet that has no actors: one asynchronous client in the driver, with many calls in flight.

The work is done elsewhere and one process waits for thousands of answers as well as many do, so there is nothing to
place, nothing to restart, no Ray; and the key stays in the process that was given it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from divscale.errors import PreflightError
from divscale.generation.actor import HAND_OVER_S
from divscale.generation.config import Api, EngineConfig
from divscale.generation.endpoint.answers import Answers
from divscale.generation.endpoint.call import answer, question, question_hash
from divscale.generation.endpoint.faults import GIVE_UP, KEY, refused, said, unreachable
from divscale.runtime.accounting import check_rows
from divscale.runtime.resources import Resources
from divscale.schema import COMPLETIONS


class EndpointFleet:
    """Many calls in flight to one model behind an OpenAI-compatible endpoint; any number of passes.

    429, 5xx, timeouts and broken connections are tried again with the client's exponential backoff (0.5 to 8 s, or the
    endpoint's Retry-After up to 2 minutes), `endpoint_retries` times; then the row has failed, with its reason. Where
    nobody answers any more, the run stops instead, and rows that were lost on the way stay open. Answers are kept on
    disk by all that was asked (`Answers`).

    Args:
        model: the name the endpoint serves it under.
        config: `base_url` and `api`.
        resources: `endpoint_concurrency`, `endpoint_retries`, `endpoint_timeout_s`, `requests_per_batch`.
        answers: the file of paid answers.
        revision: what a user calls this state of the model; answers of another are not used.

    Attributes:
        sent: HTTP requests for completions that were sent, retries too.
        cached: rows that the file answered.
        engines, wanted: what the live view counts: the endpoint.
        busy: whether it is being asked, 0 or 1.
    """

    engines = wanted = 1

    def __init__(
        self, model: str, config: EngineConfig, resources: Resources, answers: Path, revision: str | None = None,
    ) -> None:
        self.sent = self.cached = self.busy = 0
        self.devices = 1  # not ours
        self._model = model
        self._url = str(config.base_url)
        self._api: Api = config.api
        self._resources = resources
        self._revision = revision
        self._path = answers
        self._answers: Answers | None = None
        self._succeeded = 0         # answers so far: whether one came since a row was first tried
        self._lost_in_a_row = 0

    def start(self) -> None:
        """Ask the endpoint what it serves: a wrong address or key is found before anything is spent.

        Raises:
            PreflightError: nobody answers there, or not to this key; the openai package or the file of answers is not
                usable.
        """
        try:
            import openai  # noqa: F401
        except ImportError as error:
            raise PreflightError("generator.engine: openai needs the openai package, which is not installed. "
                                 "pip install openai (the locks hold it).") from error
        self._answers = Answers(self._path)
        asyncio.run(self._greet())

    def generate(
        self, requests: pa.Table, on_completions: Callable[[pa.Table], None],
        unwanted: Callable[[str], bool] = lambda _: False,
    ) -> dict[str, int]:
        """Complete every request once. A request that the endpoint refuses comes back with its `error`.

        What is asked depends on the row alone; whether the same seed gives the same text is the endpoint's affair.

        Args:
            requests: `schema.REQUESTS`, ids unique.
            on_completions: given `schema.COMPLETIONS` as they come, in any order, in this thread.
            unwanted: whether a request (by its id) is to be left out after all; asked when its turn comes.

        Returns:
            Counts `in`, `ok`, `failed`, `filtered` (those left out).

        Raises:
            PreflightError: the endpoint refuses the key or has no such model, or never answered.
            StageFailedError: it stopped answering. What it answered stays handed out and on disk.
            RowAccountingError: rows were lost or doubled.
        """
        assert self._answers is not None, "start() first"
        sent, cached = self.sent, self.cached
        pass_ = _Pass(on_completions, unwanted, self._resources.requests_per_batch)
        self.busy = 1
        try:
            asyncio.run(self._work(_rows(requests), pass_))
            pass_.settle_lost()
        finally:
            self.busy = 0
            pass_.hand_over()
            logging.getLogger(__name__).info(
                "%s at %s: %d rows, %d answered from disk, %d requests sent", self._model, self._url,
                len(pass_.ok) + len(pass_.failed), self.cached - cached, self.sent - sent)
        asked = requests["request_id"].to_pylist()
        return check_rows(asked, pass_.ok, pass_.failed, pass_.left_out, where="generation")

    def close(self) -> None:
        """Let go of the file of answers."""
        if self._answers is not None:
            self._answers.close()
            self._answers = None

    def _client(self) -> Any:
        import openai

        async def count(request: Any) -> None:
            self.sent += request.method == "POST"

        resources = self._resources
        return openai.AsyncOpenAI(
            http_client=openai.DefaultAsyncHttpxClient(event_hooks={"request": [count]}),
            base_url=self._url, api_key=os.environ.get(KEY) or "none", max_retries=resources.endpoint_retries,
            timeout=openai.Timeout(resources.endpoint_timeout_s, connect=min(10, resources.endpoint_timeout_s)))

    async def _greet(self) -> None:
        import openai

        async with self._client() as client:
            try:
                await client.with_options(max_retries=1).models.list()
            except openai.NotFoundError:
                return      # not every endpoint lists its models
            except openai.OpenAIError as error:
                raise refused(error, self._url, self._model) or unreachable(error, self._url, 0) from error

    async def _work(self, rows: Iterator[dict[str, Any]], pass_: _Pass) -> None:
        async with self._client() as client:
            workers = [asyncio.create_task(self._worker(client, rows, pass_))
                       for _ in range(self._resources.endpoint_concurrency)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _worker(self, client: Any, rows: Iterator[dict[str, Any]], pass_: _Pass) -> None:
        assert self._answers is not None
        for row in rows:
            if pass_.leaves_out(row["request_id"]):
                continue
            asked = question(row, self._model, self._api)
            key = question_hash(asked, self._api, self._revision)
            found = self._answers.get(key)
            if found is not None:
                self.cached += 1
                await asyncio.sleep(0)      # the others may have news
            else:
                found, lost = await self._ask(client, asked)
                if lost:
                    pass_.lost[row["request_id"]] = found
                    continue
                if isinstance(found, dict):
                    self._answers.put(key, found)
                pass_.settle_lost()     # the endpoint works, so those that were lost failed by their own fault
            pass_.add(row["request_id"], found)

    async def _ask(self, client: Any, asked: dict[str, Any]) -> tuple[dict[str, Any] | str, bool]:
        """The answer, or why this row has none, and whether it failed at every try.

        Raises where no other row would fare better: nobody is there, or the quota is spent. A 5xx or a timeout may be
        one row's fault, `GIVE_UP` of them in a row are not.
        """
        import openai

        api = client.completions if self._api == "completions" else client.chat.completions
        while True:
            before = self._succeeded
            try:
                found = answer(await api.create(**asked), self._api)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                found = f"the endpoint refuses the request ({said(error)})"
            except (openai.OpenAIError, ValueError) as error:
                if (fatal := refused(error, self._url, self._model)) is not None:
                    raise fatal from error
                may_be_the_row = isinstance(error, (openai.InternalServerError, openai.APITimeoutError, ValueError))
                self._lost_in_a_row += may_be_the_row
                if before == self._succeeded and (not may_be_the_row or self._lost_in_a_row >= GIVE_UP):
                    raise unreachable(error, self._url, self._succeeded + self.cached) from error
                if may_be_the_row:
                    return f"no answer after {self._resources.endpoint_retries + 1} tries ({said(error)})", True
                continue
            self._succeeded += 1
            self._lost_in_a_row = 0
            return found, False


class _Pass:
    """What came back in one pass, handed over in tables as it comes."""

    def __init__(
        self, deliver: Callable[[pa.Table], None], unwanted: Callable[[str], bool], rows_per_table: int,
    ) -> None:
        self.ok: list[str] = []
        self.failed: list[str] = []
        self.left_out: list[str] = []
        self.lost: dict[str, dict[str, Any] | str] = {}     # failed at every try since the last answer
        self._deliver = deliver
        self._unwanted = unwanted
        self._rows_per_table = rows_per_table
        self._waiting: list[dict[str, Any]] = []
        self._since = time.monotonic()

    def leaves_out(self, request_id: str) -> bool:
        """Whether nobody wants the row any more; then it is settled."""
        gone = self._unwanted(request_id)
        if gone:
            self.left_out.append(request_id)
        return gone

    def add(self, request_id: str, found: dict[str, Any] | str) -> None:
        """Take a row that is settled."""
        columns = {"error": found} if isinstance(found, str) else found
        (self.failed if isinstance(found, str) else self.ok).append(request_id)
        self._waiting.append({"request_id": request_id, **columns})
        if len(self._waiting) >= self._rows_per_table or time.monotonic() - self._since >= HAND_OVER_S:
            self.hand_over()

    def settle_lost(self) -> None:
        """Take the lost rows as failed."""
        lost, self.lost = self.lost, {}
        for request_id, reason in lost.items():
            self.add(request_id, reason)

    def hand_over(self) -> None:
        """Hand over what waits."""
        rows, self._waiting, self._since = self._waiting, [], time.monotonic()
        if rows:
            self._deliver(pa.Table.from_pylist(rows, schema=COMPLETIONS))


def _rows(requests: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in requests.to_batches(max_chunksize=1000):
        yield from batch.to_pylist()

