from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from divscale.errors import DataError, HungError, PreflightError, StageFailedError
from divscale.runtime.pool import ActorPool, Part
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session, worker_env
from divscale.runtime.watchdog import MARKER, marked
from tests.processes import listening

pytestmark = pytest.mark.engine
START_S = 600   # that an actor has to start, also on busy cores


@pytest.fixture(scope="module")
def session():
    with Session(Resources(cpus=2)) as session:
        yield session.ensure()


def worker_actor():
    import ray

    # Inside a function, so that it travels by value: workers cannot import this file.
    class Worker:
        def load(self):
            pass

        def double(self, number):
            return 2 * number

        def die_once(self, work):
            flag, number = work
            if number == 3 and not flag.exists():
                flag.write_text("died")
                os._exit(1)
            return number

        def halves(self, numbers):
            half = len(numbers) // 2
            return Part(numbers[:half], numbers[half:]) if half else numbers

        def sleep(self, _):
            time.sleep(600)

        def die(self, _):
            os._exit(1)

        def refuse(self, _):
            raise DataError("the row is bad")

        def hang(self, _):
            raise HungError("one step of it hangs")

        def break_down(self, _):
            raise KeyError("oops")

    return ray.remote(num_cpus=0)(Worker)


def never_ready_actor():
    import ray

    class NeverReady:
        def load(self):
            time.sleep(600)

    return ray.remote(num_cpus=0)(NeverReady)


@pytest.fixture
def pool(session):
    actor = worker_actor()
    pool = ActorPool(lambda _: actor.remote(), 2, "test", START_S)
    yield pool
    pool.close()


def test_every_item_is_done_once_by_actors_that_stay_over_several_maps(pool):
    assert pool.busy == 0
    doubled, busy = [], set()
    for pair in pool.map(((i, i) for i in range(40)), "double"):
        doubled.append(pair)
        busy.add(pool.busy)
    assert sorted(doubled) == [(i, 2 * i) for i in range(40)]
    assert 2 in busy and pool.busy == 0
    actors = list(pool.actors)
    assert sorted(pool.map(enumerate("ab"), "double")) == [(0, "aa"), (1, "bb")]
    assert pool.actors == actors
    assert list(pool.map([], "double")) == []


def test_no_item_is_drawn_while_there_is_no_room_for_its_result(pool):
    drawn, taken, ahead = [], [], []

    def items():
        for i in range(12):
            drawn.append(i)
            yield i, i

    for key, value in pool.map(items(), "double", lambda: len(drawn) - len(taken) < 3):
        ahead.append(len(drawn) - len(taken))
        taken.append((key, value))
    assert sorted(taken) == [(i, 2 * i) for i in range(12)]
    assert max(ahead) == 3  # without the bound all four places of the two actors are full


def test_an_item_comes_in_parts_and_goes_on_behind_the_last_of_them(pool):
    parts = list(pool.map([("a", list(range(8))), ("b", [8, 9])], "halves"))
    assert [value for key, value in parts if key == "a"] == [[0, 1, 2, 3], [4, 5], [6], [7]]
    assert [value for key, value in parts if key == "b"] == [[8], [9]]


def test_a_death_between_parts_costs_what_was_not_yet_yielded(session, tmp_path):
    import ray

    flag = tmp_path / "died"

    class Halving:
        def load(self):
            pass

        def halves(self, numbers):
            if len(numbers) == 2 and not flag.exists():
                flag.write_text("")
                os._exit(1)
            half = len(numbers) // 2
            return Part(numbers[:half], numbers[half:]) if half else numbers

    pool = ActorPool(lambda _: ray.remote(num_cpus=0)(Halving).remote(), 1, "test", START_S)
    assert [value for _, value in pool.map([("a", list(range(8)))], "halves")] == [[0, 1, 2, 3], [4, 5], [6], [7]]
    assert (pool.replaced, pool.redone, pool.starts) == (1, ["a"], 2)
    pool.close()


def stacks_in(caplog):
    """Why stacks were logged, and of whom."""
    return [record.getMessage() for record in caplog.records if record.name == "divscale.runtime.stacks"]


def test_an_actor_that_does_not_reply_is_an_error_that_says_so(session, caplog):
    actor = worker_actor()
    silent = ActorPool(lambda _: actor.remote(), 1, "test", START_S, silence_s=600)
    assert list(silent.map([(0, 1)], "double")) == [(0, 2)]
    silent._silence_s = 2
    with pytest.raises(StageFailedError, match="an actor of the test fleet has not replied for 2 s though it has work"):
        list(silent.map([(0, None)], "sleep"))
    assert "stacks: an actor of the test fleet does not reply" in stacks_in(caplog)
    silent.close()


def test_an_actor_that_says_that_it_hangs_leaves_its_stack_in_the_log(pool, caplog, monkeypatch):
    monkeypatch.setattr("divscale.runtime.stacks.LIMIT_S", 600.0)
    with pytest.raises(HungError, match="one step of it hangs"):
        list(pool.map([(0, None)], "hang"))
    why, driver, *workers = stacks_in(caplog)
    assert (why, driver) == ("stacks: an actor of the test fleet says that it hangs", "stack of the driver")
    assert len([worker for worker in workers if ".Worker (process " in worker]) == 2


def test_an_actor_that_dies_is_replaced_and_no_item_is_lost(pool, tmp_path):
    flag = tmp_path / "flag"
    assert sorted(pool.map(((i, (flag, i)) for i in range(20)), "die_once")) == [(i, i) for i in range(20)]
    assert pool.replaced == 1


def test_an_item_that_kills_its_actor_every_time_ends_the_map(pool):
    with pytest.raises(StageFailedError, match=r"test fleet died.*'poison' went down with it 3 times"):
        list(pool.map([("poison", None)], "die"))


def test_an_actor_out_of_reach_that_still_lives_is_gone_before_its_replacement_starts(session, tmp_path):
    import ray

    pids = tmp_path / "pids"
    pids.mkdir()

    class Holder:
        def load(self):
            beside = [file.name for file in pids.iterdir() if psutil.pid_exists(int(file.name))]
            (pids / str(os.getpid())).write_text(" ".join(beside))

        def work(self, length):
            if length == "long" and len(list(pids.iterdir())) == 1:     # the first is at it until it is killed
                time.sleep(600)
            return os.getpid()

    pool = ActorPool(lambda _: ray.remote(num_cpus=0)(Holder).remote(), 1, "test", START_S)
    pool.start()
    (first,) = (int(file.name) for file in pids.iterdir())
    listens = {c.laddr.port for c in psutil.Process(first).net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    found = {}
    for key, pid in pool.map([("short", "short"), ("long", "long")], "work"):
        found[key] = pid
        if key == "short":
            ours = [c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr.port in listens]
            assert ours
            for connection in ours:
                with socket.socket(fileno=os.dup(connection.fd)) as cut:
                    cut.shutdown(socket.SHUT_RDWR)
    assert found["short"] == first != found["long"]
    assert (pool.redone, pool.starts) == (["long"], 2)
    assert {file.name: file.read_text() for file in pids.iterdir()} == {str(first): "", str(found["long"]): ""}
    pool.close()


def test_what_an_actor_raises_reaches_the_caller(pool):
    with pytest.raises(DataError, match="the row is bad"):
        list(pool.map([(0, None)], "refuse"))
    with pytest.raises(StageFailedError, match="KeyError: 'oops'"):
        list(pool.map([(0, None)], "break_down"))


def test_a_start_that_takes_too_long_says_what_it_waited_for(session):
    actor = never_ready_actor()
    pool = ActorPool(lambda _: actor.remote(), 1, "slow", 2)
    with pytest.raises(StageFailedError, match=r"1 of 1 actors of the slow fleet were not ready after 2 s.*CPU 2 of 2"):
        pool.start()
    pool.close()


def test_a_pool_that_grows_outlives_the_only_actor_at_work_however_long_the_others_have_waited(session, tmp_path, monkeypatch):
    actor, said, ahead_s = worker_actor(), [], 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead_s)
    monkeypatch.setattr("divscale.runtime.pool.time", clock)
    pool = ActorPool(lambda index: actor.options(num_cpus=99 * index).remote(), 2, "test", START_S, in_flight=1, grow=said.append)
    found = {}
    for key, value in pool.map([(i, (tmp_path / "flag", i)) for i in range(6)], "die_once"):
        found[key] = value
        ahead_s += 1000.0   # an hour and more in all
    assert found == {i: i for i in range(6)}
    assert pool.replaced == 1 and pool.ready == 1 and pool.size == 2
    begun = time.monotonic()
    pool.close()
    assert time.monotonic() - begun < START_S   # it waits for no place, which never comes


def test_a_pool_that_grows_goes_on_without_an_actor_that_cannot_start(session, tmp_path):
    import ray

    at_work = tmp_path / "at work"

    class Worker:
        def __init__(self, index):
            self.index = index

        def load(self):
            while self.index and not at_work.exists():
                time.sleep(0.05)
            if self.index == 1:
                raise PreflightError("the store is not seen from here")

        def slowly(self, number):
            at_work.touch()
            time.sleep(0.1)
            return number

    def numbers():
        drawn = 0
        while drawn < 30 or pool.ready < pool.size:     # until the others have come or are given up
            yield drawn, drawn
            drawn += 1

    said = []
    pool = ActorPool(lambda index: ray.remote(num_cpus=0)(Worker).remote(index), 3, "test", START_S, in_flight=1, grow=said.append)
    done = sorted(pool.map(numbers(), "slowly"))
    assert len(done) >= 30 and done == [(i, i) for i in range(len(done))]
    assert pool.size == pool.ready == 2
    assert [line for line in said if "are at work" not in line] == [    # what is said every half minute
        "test fleet: one of 3 actors cannot start, the others go on: the store is not seen from here"]
    pool.close()
    alone = ActorPool(lambda _: ray.remote(num_cpus=0)(Worker).remote(1), 1, "test", START_S, grow=said.append)
    with pytest.raises(PreflightError, match="not seen from here"):
        alone.start()
    alone.close()


def living(pids):
    """Those of the processes that are there and no zombies."""
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def test_closing_a_pool_waits_until_its_processes_are_gone(session):
    import ray

    actor = worker_actor()
    pool = ActorPool(lambda _: actor.remote(), 2, "test", START_S)
    pool.start()
    pids = ray.get([actor.__ray_call__.remote(lambda _: os.getpid()) for actor in pool.actors])
    pool.close()
    assert living(pids) == []


def test_closing_a_pool_while_it_loads_leaves_no_process(session):
    import ray

    actor = never_ready_actor()
    pool = ActorPool(lambda _: actor.remote(), 2, "slow", START_S, grow=lambda _: None)
    for slot in pool._slots:
        pool._spawn(slot)
    pids = [pid for _, pid in ray.get([slot.process for slot in pool._slots])]
    pool.close()
    assert living(pids) == []


def test_workers_see_this_package_and_their_thread_count(session):
    import ray

    @ray.remote(num_cpus=0, runtime_env={"env_vars": worker_env(threads=1)})
    def look():
        import divscale.errors

        return divscale.errors.__name__, os.environ["OMP_NUM_THREADS"]

    assert ray.get(look.remote()) == ("divscale.errors", "1")


def test_a_local_ray_listens_on_the_loopback_interface_only(session):
    mine = psutil.Process().children(recursive=True)
    addresses = {at.ip for process in mine for at in listening(process)}
    assert addresses
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def test_a_local_ray_whose_node_ran_out_of_time_is_started_once_more():
    """In a process of its own; Ray's first look at its node comes too late, and its time is over. The second node has all
    the time that it needs.
    """
    program = """
import logging, time
from contextlib import suppress
import ray._private.services
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session

look, now, looks = ray._private.services.get_node, time.monotonic, []

def late(*args):
    looks.append(args)
    if len(looks) == 1:
        time.monotonic = lambda: now() + 60
        raise RuntimeError("no such node yet")
    time.monotonic = now
    for _ in range(6000):
        with suppress(RuntimeError):
            return look(*args)
        time.sleep(0.1)
    return look(*args)

ray._private.services.get_node = late
logging.basicConfig()
with Session(Resources(cpus=1)) as session:
    print(session.ensure().here()["cpus"], len(set(looks)))  # nodes: Ray looks again at one that is not there yet
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "1 2\n", done.stderr
    assert "it is started once more" in done.stderr


def test_a_cluster_that_is_not_there_is_a_preflight_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        program = ("from divscale.runtime.resources import Resources; from divscale.runtime.session import Session; "
                   f"Session(Resources(address='127.0.0.1:{taken.getsockname()[1]}')).ensure()")
        out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert PreflightError.__name__ in out.stderr
    assert "cannot be reached" in out.stderr


DRIVER = f"""
import os, sys, time
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session
session = Session(Resources(cpus=1))
assert not session.started and "ray" not in sys.modules
session.ensure()
import ray
class Spinner:
    def token(self): return os.environ["{MARKER}"]
    def spin(self):
        while True: pass
spinner = ray.remote(num_cpus=0)(Spinner).remote()
print(ray.get(spinner.token.remote()), session.scratch, flush=True)
spinner.spin.remote()
if sys.argv[1] == "close":
    session.close()
    print("closed", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("end", ["close", "SIGKILL"])
def test_no_process_is_left_behind(end):
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, end], stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None
        token, scratch = driver.stdout.readline().split()
        assert Path(scratch).is_dir()
        if end == "close":
            assert driver.stdout.readline().strip() == "closed"
        else:
            assert len(marked(token)) > 3
            time.sleep(0.5)
            driver.send_signal(signal.SIGKILL)
            end_s = time.monotonic() + 600
            while (marked(token) or Path(scratch).exists()) and time.monotonic() < end_s:
                time.sleep(0.1)
        assert marked(token) == []
        assert not Path(scratch).exists()
    finally:
        driver.kill()
        driver.wait()


WITHOUT_HEAD = """
import os, sys, time
from pathlib import Path
import psutil
from divscale import stall
from divscale.errors import StageFailedError
from divscale.runtime import head
from divscale.runtime.resources import Resources
from divscale.runtime.session import Session

stall.patience_s = head.patience_s = lambda: 5.0
stall.LOOK_S = 1.0
with Session(Resources(cpus=1)) as session:
    session.ensure()
    import ray

    waits = ray.remote(num_cpus=0)(lambda: time.sleep(10**6)).remote()
    (gcs,) = (p for p in psutil.process_iter(["name", "ppid"]) if (p.info["name"], p.info["ppid"]) == ("gcs_server", os.getpid()))
    try:
        with stall.StallWatch(None, Path(sys.argv[1])).watching():
            gcs.kill()
            ray.get(waits)
    except StageFailedError as error:
        print(error, flush=True)
print("closed")
"""


def test_a_run_whose_head_is_gone_ends_by_itself_also_where_it_waits_for_an_actor_alone(tmp_path):
    done = subprocess.run([sys.executable, "-c", WITHOUT_HEAD, str(tmp_path / "log")], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    said, closed = done.stdout.splitlines()
    assert said.startswith("the head of the Ray cluster, 127.0.0.1:") and "has not answered for 5 s; the driver waits" in said
    assert closed == "closed"
