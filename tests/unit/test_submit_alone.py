"""`divscale submit` and `divscale job`: a cluster that breaks off, and what would be missing on its nodes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from divscale import submit
from divscale.cli import main
from divscale.errors import ConfigError, StageFailedError
from divscale.named_files import relative_files
from divscale.study_file import load

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"


def info(status: str, code: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(status=status, message="", driver_exit_code=code)


class Cluster:
    """Answers what it is given, in turn; an exception is raised."""

    def __init__(self, *, infos: Any, tails: Any = (), logs: Any = (), jobs: Any = (), stops: Any = ()) -> None:
        self.left = {"infos": list(infos), "tails": list(tails), "logs": list(logs), "jobs": list(jobs), "stops": list(stops)}

    def _next(self, what: str) -> Any:
        one = self.left[what].pop(0) if len(self.left[what]) > 1 else self.left[what][0]
        if isinstance(one, Exception):
            raise one
        return one

    def get_job_info(self, _: str) -> Any:
        return self._next("infos")

    def get_job_logs(self, _: str) -> str:
        return self._next("logs")

    def list_jobs(self) -> Any:
        return self._next("jobs")

    def stop_job(self, _: str) -> Any:
        return self._next("stops")

    async def tail_job_logs(self, _: str) -> Any:
        for part in self._next("tails"):
            if isinstance(part, Exception):
                raise part
            yield part


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(submit.time, "sleep", lambda _: None)


def refused() -> aiohttp.WSServerHandshakeError:
    return aiohttp.WSServerHandshakeError(None, (), status=503, message="no")  # type: ignore[arg-type]


def test_a_connection_that_breaks_while_a_job_is_followed_costs_nothing_of_its_output(capsys):
    cluster = Cluster(infos=[info("RUNNING")] * 5 + [info("SUCCEEDED")], logs=["one\ntwo\nthree\n"],
                      tails=[["one\n", aiohttp.ServerDisconnectedError()], [refused()], ["one\ntwo\n"]])
    assert submit.follow(cluster, "a") == 0
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


def test_a_job_that_succeeded_ends_with_0_though_its_last_lines_cannot_be_read(capsys):
    cluster = Cluster(infos=[info("SUCCEEDED")], logs=[RuntimeError("Request failed with status code 500")])
    assert submit.follow(cluster, "a", " --address http://head:8265") == 0
    assert "divscale job logs a --address http://head:8265 asks again" in capsys.readouterr().err


def test_a_question_that_breaks_off_is_asked_again_and_then_given_up_in_one_paragraph(monkeypatch):
    broken, job = ConnectionError("no"), SimpleNamespace(metadata={})
    monkeypatch.setattr(submit, "_client", lambda _: Cluster(
        infos=[info("RUNNING"), info("STOPPED")], jobs=[broken, [job]], stops=[broken, True]))
    assert submit.job_from_terminal("list", None, None) == 0 and submit.job_from_terminal("stop", "a", None) == 0
    monkeypatch.setattr(submit, "_client", lambda _: Cluster(infos=[info("RUNNING")], jobs=[broken], stops=[broken]))
    for what, id in (("list", None), ("stop", "a")):
        with pytest.raises(StageFailedError, match=r"the cluster does not answer any more \(no\)"):
            submit.job_from_terminal(what, id, None)


def test_commands_that_are_shown_name_the_address_that_was_given(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(submit, "_client", lambda _: Cluster(infos=[], jobs=[[]]))
    monkeypatch.setattr(submit, "_submit", lambda *_: "a")
    assert main(["submit", str(SMOKE), "--store", str(tmp_path), "--detach", "--address", "http://head:8265"]) == 0
    said = capsys.readouterr().out
    for what in ("status", "logs", "stop"):
        assert f"divscale job {what} a --address http://head:8265 " in said


def test_files_by_relative_paths_are_refused_before_anything_is_sent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.jinja").write_text("{{ label }}")
    (tmp_path / "pydocs").mkdir()   # the packaged data come before it
    (tmp_path / "model").mkdir()
    overrides = ["recipe.prompts={sample: mine.jinja}", "generator={model: model, engine: {engine: vllm}}",
                 f"data.out_of_distribution={{absolute: {tmp_path}/mine.jinja, nowhere: others.csv}}"]
    assert relative_files(load(SMOKE, overrides)) == {"generator.model": "model", "recipe.prompts.sample": "mine.jinja"}
    with pytest.raises(ConfigError, match=r"submit: generator\.model model and recipe\.prompts\.sample mine\.jinja: the job"):
        submit.submit_from_terminal(str(SMOKE), overrides, None, str(tmp_path), cluster=None, detach=True)
    assert relative_files(load(SMOKE)) == {}
