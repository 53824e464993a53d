"""Fleets on a cluster that grows by Ray's own autoscaler: the nodes it adds are processes of this machine."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import end, free_port

pytestmark = [pytest.mark.engine, pytest.mark.long]

PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
RAY = str(Path(sys.executable).with_name("ray"))
PROGRAM = """
import json, sys, time
from divscale.errors import PreflightError
from divscale.runtime import actors, pool, session, sizes
from divscale.runtime.resources import Resources

pool.TELL_S = session.TELL_S = 1.0
said = []
resources = Resources(address=sys.argv[1], gpus=int(sys.argv[2]), start_timeout_s=int(sys.argv[3]))


class Worker:
    def load(self):
        pass

    def work(self, i):
        import time
        time.sleep(0.5)
        return ray.get_runtime_context().get_node_id()


with session.Session(resources, said.append) as connected:
    try:
        connected.ensure()
    except PreflightError as error:
        print(json.dumps({"refused": str(error), "said": said}))
        sys.exit()
    import ray

    at_first = connected.here()["gpus"]
    total = connected.total()["gpus"]
    size = sizes.FleetSize(total, 1, 1)
    fleet = pool.ActorPool(lambda index: actors.actor_class(Worker, size, index).remote(), total, "test",
                           resources.start_timeout_s, in_flight=1, grow=connected.grow)
    fleet.start()
    held = pool.Pooled()
    held._pool, held._gpus_each = fleet, 1
    ready, items, nodes, until, devices = fleet.ready, 0, set(), time.monotonic() + 90, held.devices
    while fleet.ready < total and time.monotonic() < until:
        items += 10
        nodes |= {node for _, node in fleet.map(((i, i) for i in range(10)), "work")}
    nodes |= {node for _, node in fleet.map(((i, i) for i in range(10)), "work")}
    devices_then = held.devices
    fleet.close()
print(json.dumps({"at_first": at_first, "ready": ready, "devices": [devices, devices_then], "nodes": len(nodes), "items": items, "said": said}))
"""


@contextmanager
def growing_cluster(folder: Path, gpus: int):
    """A head without GPUs to which up to two nodes are added, of so many GPUs each, when something waits for them."""
    from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

    port = free_port()
    nodes = {"ray.head.default": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
             "more": {"resources": {"CPU": 1, "GPU": gpus, "object_store_memory": 100 << 20}, "node_config": {},
                      "min_workers": 0, "max_workers": 2}}
    (folder / "cluster.json").write_text(json.dumps({
        "cluster_name": "growing", "max_workers": 2, "upscaling_speed": 1.0, "idle_timeout_minutes": 10,
        "provider": {"type": "external", "module": PROVIDER, "gcs_address": f"127.0.0.1:{port}",
                     "launch_multiple": True, "head_node_id": FAKE_HEAD_NODE_ID},
        "available_node_types": nodes, "head_node_type": "ray.head.default", "auth": {}, "docker": {},
        "file_mounts": {}, "cluster_synced_files": [], "rsync_exclude": [], "rsync_filter": [],
        **{f"{what}_commands": [] for what in ("initialization", "setup", "head_setup", "worker_setup",
                                               "head_start_ray", "worker_start_ray")}}))
    environment = os.environ | {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_FAKE_CLUSTER": "1", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_enable_autoscaler_v2": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID}
    log = (folder / "head.log").open("wb")
    head = subprocess.Popen(
        [RAY, "start", "--head", "--port", str(port), "--node-ip-address", "127.0.0.1", "--num-cpus", "1", "--num-gpus",
         "0", "--object-store-memory", str(100 << 20), "--include-dashboard", "false", "--dashboard-agent-listen-port",
         str(free_port()), "--autoscaling-config", str(folder / "cluster.json"), "--block"],
        env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(240):
            assert head.poll() is None, (folder / "head.log").read_text()
            if b"Ray runtime started" in (folder / "head.log").read_bytes():
                break
            time.sleep(0.25)
        yield f"127.0.0.1:{port}", environment
    finally:
        end(head.pid)
        head.wait()
        log.close()


def run(cluster, gpus: int, start_timeout_s: int) -> dict:
    address, environment = cluster
    done = subprocess.run([sys.executable, "-c", PROGRAM, address, str(gpus), str(start_timeout_s)], env=environment,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"stderr": done.stderr}


def test_a_fleet_waits_for_the_first_gpu_begins_with_it_and_takes_in_the_next(tmp_path):
    with growing_cluster(tmp_path, gpus=1) as cluster:
        found = run(cluster, gpus=2, start_timeout_s=120)
        assert found["at_first"] >= 1 and found["nodes"] == 2
        assert found["devices"] == [found["ready"], 2]
        assert "waits for a node with a GPU" in found["said"][0]
        assert any("of 2 actors are at work" in line for line in found["said"])


def test_a_cluster_that_gives_no_gpu_is_told_of_and_waited_for_no_longer_than_asked(tmp_path):
    with growing_cluster(tmp_path, gpus=0) as cluster:
        found = run(cluster, gpus=2, start_timeout_s=5)
        assert "resources.gpus is 2, and after 5 s" in found["refused"]
        assert len([line for line in found["said"] if "waits for a node with a GPU" in line]) >= 3
        assert "stacks: no node with a GPU has come" in found["stderr"]
