"""A cluster's token is sent where it is asked for, whichever place it is kept in."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from ray._raylet import AuthenticationMode, AuthenticationTokenLoader, Config, get_authentication_mode
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

from divscale.errors import PreflightError
from divscale.runtime.auth_token import lend_token, send_token, send_token_if_asked, take_back
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session

TOKEN = "t" * 64


class Head(gcs_service_pb2_grpc.NodeInfoGcsServiceServicer):
    """The part of a Ray head that says who may ask."""

    def __init__(self, token: str | None) -> None:
        self.token = token

    def GetClusterId(self, request, context):  # noqa: N802  (gRPC's name)
        if self.token and dict(context.invocation_metadata()).get("authorization") != f"Bearer {self.token}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
        return gcs_service_pb2.GetClusterIdReply()


@pytest.fixture
def head():
    """Starts a head that asks for a token, or for none; gives its address."""
    servers = []

    def start(token):
        server = grpc.server(ThreadPoolExecutor(1))
        gcs_service_pb2_grpc.add_NodeInfoGcsServiceServicer_to_server(Head(token), server)
        servers.append((server, server.add_insecure_port("127.0.0.1:0")))
        server.start()
        return f"127.0.0.1:{servers[-1][1]}"

    yield start
    for server, _ in servers:
        server.stop(None)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """No token of the machine's, and afterwards Ray's as before."""
    with monkeypatch.context() as patch:
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(tmp_path))
        patch.setattr("divscale.runtime.auth_token.ANSWER_S", 600)
        reread()
        patch.setenv("RAY_AUTH_MODE", "unset")  # so that what is set meanwhile goes again
        patch.delenv("RAY_AUTH_MODE")
        yield tmp_path
    reread()


def reread():
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def sends():
    return get_authentication_mode() == AuthenticationMode.TOKEN


@pytest.mark.parametrize("place", ["variable", "path", "home"])
def test_a_token_is_sent_to_a_cluster_that_asks_for_one_wherever_it_is_kept(place, head, own_home, monkeypatch):
    file = own_home / (".ray/auth_token" if place == "home" else "token")
    file.parent.mkdir(exist_ok=True)
    file.write_text(TOKEN)
    if place == "variable":
        monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    elif place == "path":
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    assert not sends()
    send_token_if_asked(head(TOKEN))
    assert sends()


def test_a_cluster_that_asks_for_none_is_sent_none(head, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    send_token_if_asked(head(None))
    assert not sends()


@pytest.mark.parametrize("own", [None, "another" * 6])
def test_a_run_without_the_cluster_s_token_is_told_so(own, head, monkeypatch):
    if own:
        monkeypatch.setenv("RAY_AUTH_TOKEN", own)
    session = Session(Resources(address=head(TOKEN)))
    with pytest.raises(PreflightError, match=r"cannot be reached: it asks for a token, and there is none or another one"):
        session.ensure()


def test_what_the_user_says_about_tokens_is_left_as_it_is(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    send_token()
    reread()
    assert not sends()


def test_a_token_lent_to_a_local_cluster_is_forgotten_before_the_next_one(head, own_home, monkeypatch):
    (own_home / ".ray").mkdir()
    (own_home / ".ray" / "auth_token").write_text(TOKEN)
    before = lend_token()
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # as Ray does
    lent = os.environ["RAY_AUTH_TOKEN"]
    reread()
    assert sends() and lent != TOKEN
    take_back(before)
    assert not sends() and "RAY_AUTH_TOKEN" not in os.environ
    send_token_if_asked(head(TOKEN))
    assert sends()


def test_a_token_that_is_set_is_not_replaced(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    before = lend_token()
    assert os.environ["RAY_AUTH_TOKEN"] == TOKEN
    take_back(before)
    assert os.environ["RAY_AUTH_TOKEN"] == TOKEN
