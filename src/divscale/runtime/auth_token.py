"""The token that a Ray cluster asks for: found where Ray looks for it, sent where it is asked for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

ANSWER_S = 10
MODE = "RAY_AUTH_MODE"
TOKEN = "RAY_AUTH_TOKEN"
FILE = "RAY_AUTH_TOKEN_PATH"
WRONG = ("it asks for a token, and there is none or another one. Give its own in RAY_AUTH_TOKEN, or its file in "
         "RAY_AUTH_TOKEN_PATH or as ~/.ray/auth_token")


def lend_token() -> dict[str, str | None]:
    """A token for a cluster of this process's own, unless one is set. Returns the variables as they were.

    Ray turns token authentication on for local clusters and keeps a token in the home folder. One for this process
    alone leaves nothing behind and works where the home folder is read-only.
    """
    before = {name: os.environ.get(name) for name in (MODE, TOKEN)}
    os.environ.setdefault(MODE, "token")
    if not {TOKEN, FILE} & os.environ.keys():
        os.environ[TOKEN] = secrets.token_hex(32)
    _read_again()
    return before


def take_back(before: Mapping[str, str | None]) -> None:
    """Has Ray in this process forget a token that was lent: the next cluster has another, or none."""
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _read_again()


def _read_again() -> None:
    """Ray reads these variables once in a process, when anybody first asks it anything."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def send_token() -> None:
    """From now on Ray in this process sends the token, if there is one and RAY_AUTH_MODE does not say otherwise."""
    kept = (Path.home() / ".ray" / "auth_token").exists()
    if MODE in os.environ or not (kept or {TOKEN, FILE} & os.environ.keys()):
        return
    os.environ[MODE] = "token"
    from ray._raylet import Config  # type: ignore[attr-defined]

    Config.initialize("")   # whoever has asked Ray anything before has had it read the variable already


def send_token_if_asked(address: str) -> None:
    """The same for a driver that joins the cluster at HOST:PORT.

    Whoever sends a token asks for one too, also of the cluster's workers. Where these have none (tried with ray 2.60: a
    cluster without tokens, a driver with one) actors die, so it is found out first whether the cluster asks for it.

    Raises:
        ConnectionError: It does, and there is none or another one.
    """
    if not _refuses(address):
        return
    send_token()
    if _refuses(address):
        raise ConnectionError(WRONG)


def _refuses(address: str) -> bool:
    """Whether the cluster answers that the token lacks. What else may be wrong Ray says as it connects."""
    import grpc
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated.gcs_service_pb2 import GetClusterIdRequest  # type: ignore[attr-defined]
    from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub

    channel = init_grpc_channel(address, options=[("grpc.enable_http_proxy", 0)])
    try:
        NodeInfoGcsServiceStub(channel).GetClusterId(GetClusterIdRequest(), timeout=ANSWER_S)
    except grpc.RpcError as error:
        return error.code() == grpc.StatusCode.UNAUTHENTICATED
    finally:
        channel.close()
    return False
