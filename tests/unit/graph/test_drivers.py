"""Drivers of one object store that is in memory: signs of life, leases, and what becomes of them when it is silent."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest
from obstore.store import MemoryStore
from toys import Counting, Silent, number

from divscale.errors import ConfigError, StageFailedError
from divscale.graph.drivers import Drivers, lease_s
from divscale.graph.objects import Objects
from divscale.graph.remote_store import RemoteStore
from divscale.graph.runner import execute


class Shelf(Objects):
    """Objects in memory; tests put something before a request."""

    def __init__(self, memory):
        super().__init__("s3://bucket/studies")
        self._store = memory
        self.before = lambda request, key: None

    def get(self, key):
        self.before("get", key)
        return super().get(key)

    def put(self, key, body):
        self.before("put", key)
        super().put(key, body)

    def list(self, prefix=""):
        self.before("list", prefix)
        return super().list(prefix)

    def delete(self, keys):
        self.before("delete", " ".join(keys))
        super().delete(keys)


@pytest.fixture
def open_shelf():
    memory = MemoryStore()
    return lambda: Shelf(memory)


def said(shelf):
    return {entry.key for entry in shelf.list("drivers")}


def refuse(*requests):
    def before(request, key):
        if request in requests:
            raise StageFailedError(f"{key}: the object store did not answer")
    return before


def test_a_driver_that_begins_while_another_buries_the_dead_keeps_its_sign_of_life(open_shelf):
    mine, theirs = open_shelf(), Drivers(open_shelf())
    seen, began = [], ExitStack()

    def begin(request, key):
        if (request, key) == ("list", "drivers"):
            seen.append(key)
            if len(seen) == 2:  # between two looks of the one that buries
                began.enter_context(theirs.present())

    buries = Drivers(mine)
    with began, buries.present():
        mine.before = begin
        buries._bury()
        mine.before = lambda *_: None
        assert f"drivers/{theirs.id}" in said(mine) and len(seen) >= 2


def test_who_was_buried_alive_says_so_again_and_holds_nobody_else_for_dead(open_shelf):
    mine, theirs = open_shelf(), Drivers(open_shelf())
    driver = Drivers(mine)
    with driver.present(), theirs.present():
        left = 1

        def bury(request, key):
            nonlocal left
            if (request, key) == ("list", "drivers") and left:
                left -= 1
                Objects.delete(mine, [f"drivers/{driver.id}"])

        mine.before = bury
        assert driver.living(now=True).keys() == {driver.id, theirs.id}


def test_claims_that_were_given_up_while_a_sign_of_life_began_stay_given_up(open_shelf, monkeypatch):
    monkeypatch.setattr("divscale.graph.drivers.BEAT_S", 0.01)
    driver = Drivers(open_shelf())
    driver.everything()
    with driver._lock:  # as `only` does; a beat waits for it by now
        time.sleep(0.2)
        driver._claims = {"a", "b"}
    time.sleep(0.2)
    driver.give_up({"a"})
    assert driver.living(now=True)[driver.id].claims == {"b"}
    driver.nothing()


def test_giving_up_claims_costs_what_is_given_up(open_shelf):
    driver = Drivers(open_shelf())
    driver.only(str(i) for i in range(100_000))
    began = time.thread_time()
    for i in range(2000):
        driver.give_up([str(i)])
    assert time.thread_time() - began < 1  # a copy of all claims each time took 8 s


def test_a_sign_of_life_that_was_on_its_way_at_the_end_is_not_left_behind(open_shelf, monkeypatch):
    monkeypatch.setattr("divscale.graph.drivers.BEAT_S", 0.01)
    monkeypatch.setattr("divscale.graph.drivers.END_S", 600.0)  # what takes 0.3 s takes the time it takes
    shelf = open_shelf()
    driver = Drivers(shelf)
    on_its_way = threading.Event()

    def slow(request, key):
        if request == "put" and threading.current_thread().name == "divscale-lease":
            on_its_way.set()
            time.sleep(0.3)

    driver.everything()
    shelf.before = slow
    assert on_its_way.wait(300)
    driver.nothing()
    time.sleep(0.5)
    assert said(open_shelf()) == set()


def test_a_store_that_does_not_answer_is_asked_once_and_the_leases_stay(open_shelf):
    shelf = open_shelf()
    driver = Drivers(shelf)
    with driver.present():
        assert driver.acquire("a") and driver.acquire("b")
        asked = []
        shelf.before = lambda request, key: (asked.append(key), refuse("get", "put", "delete")(request, key))
        driver.release("a")
        driver.release("b")
        assert asked == ["leases/a"]
        shelf.before = lambda *_: None
        driver._say()  # it answers again
        driver.release("b")
        assert {entry.key for entry in shelf.list("leases")} == {"leases/a"}


def test_ctrl_c_stays_what_it_is_where_the_object_store_does_not_answer_any_more(tmp_path):
    store = RemoteStore("s3://bucket/studies", tmp_path)
    store._objects = shelf = Shelf(MemoryStore())

    def interrupted(jobs):
        shelf.before = refuse("get", "put", "delete", "list")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute([number(1), number(2)], store, Counting().handlers() | {"number": interrupted}, Silent())


@pytest.mark.parametrize("wrong", ["abc", "0", "4.9", "-60", "nan", "inf", "1e9"])
def test_a_time_after_which_drivers_count_as_dead_that_makes_no_sense_is_refused_by_name(wrong, monkeypatch, open_shelf):
    monkeypatch.setenv("DIVSCALE_LEASE_S", wrong)
    with pytest.raises(ConfigError, match=rf"DIVSCALE_LEASE_S: '{wrong}' is not a number of seconds from 5 to 86400"):
        Drivers(open_shelf())


def test_the_time_after_which_drivers_count_as_dead_is_a_minute_or_what_the_variable_says(monkeypatch):
    monkeypatch.delenv("DIVSCALE_LEASE_S", raising=False)
    assert lease_s() == 60
    monkeypatch.setenv("DIVSCALE_LEASE_S", "7.5")
    assert lease_s() == 7.5
