"""Which fleets stay warm beside each other. The fleets and Ray are stand-ins."""

from types import SimpleNamespace
from typing import Any

import pytest

from divscale.stages import context
from divscale.stages.context import Context


class Held:
    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("gpus", "available", "warm"), [
    (8, 1 << 40, ["workers", "embedding"]), (0, 1 << 40, ["generation", "workers", "embedding"]), (8, 1 << 30, ["embedding"])])
def test_fleets_take_turns_on_gpus_and_those_without_stay_while_there_is_room(gpus, available, warm, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=available))
    nothing: Any = None
    run = Context(nothing, nothing, nothing)
    run._session = SimpleNamespace(start_s=0.0)
    run._session.ensure = lambda: SimpleNamespace(total=lambda: {"gpus": gpus})
    for key in ("generation", "workers", "embedding"):
        run._turn(key, Held)
        if key == "workers" and available > context.ROOM_BYTES:
            assert list(run._warm) == ["generation", "workers"]
    assert list(run._warm) == warm
