"""The manifests of cluster/kuberay against the API's schemas, and what every container of them must have."""

from __future__ import annotations

import copy
import json
import shlex
from pathlib import Path

import jsonschema
import pytest
import yaml

from divscale import __version__
from divscale.cli import main

ROOT = Path(__file__).parents[3]
SCHEMAS = Path(__file__).parent / "schemas"
MANIFESTS = sorted((ROOT / "cluster" / "kuberay").glob("*.yaml"))


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def validate(document):
    definitions = json.loads((SCHEMAS / "kubernetes.json").read_text()) | yaml.safe_load((SCHEMAS / "ray.yaml").read_text())["$defs"]
    assert document["kind"] in definitions
    jsonschema.Draft202012Validator({"$defs": definitions, "$ref": f"#/$defs/{document['kind']}"}).validate(document)


def pods(node):
    """Every pod template's specification below a node."""
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        for value in node.values():
            yield from pods(value)
    elif isinstance(node, list):
        for value in node:
            yield from pods(value)


ALL_PODS = [pytest.param(pod, id=f"{path.stem}-{pod['containers'][0]['name']}-{i}")
            for path in MANIFESTS for document in documents(path) for i, pod in enumerate(pods(document))]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_holds_what_the_api_knows_and_nothing_else(path):
    for document in documents(path):
        validate(document)


def places(node, path=()):
    """The path of every mapping below a node."""
    if isinstance(node, dict):
        yield path
        for key, value in node.items():
            yield from places(value, (*path, key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from places(value, (*path, i))


FREE = {"rayStartParams", "requests", "limits", "labels"}  # of any names


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_word_mistyped_anywhere_in_a_manifest_fails(path):
    (document,) = documents(path)
    tried = 0
    for place in places(document):
        if set(place) & FREE:
            continue
        broken = copy.deepcopy(document)
        at = broken
        for key in place:
            at = at[key]
        at["mistyped"] = "x"
        with pytest.raises(jsonschema.ValidationError, match="mistyped"):
            validate(broken)
        tried += 1
    assert tried > 3


@pytest.mark.parametrize("pod", ALL_PODS)
def test_no_container_is_root_or_may_become_it(pod):
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True and context["runAsUser"] > 0 and context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container["securityContext"]
        assert own == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@pytest.mark.parametrize("pod", ALL_PODS)
def test_every_container_asks_for_what_it_may_use_and_its_image_is_pinned(pod):
    for container in pod["containers"]:
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert requests == limits and {"cpu", "memory"} <= limits.keys()
        assert container["image"].rpartition(":")[2] in (f"{__version__}-cuda", f"{__version__}-cpu")


@pytest.mark.parametrize("pod", ALL_PODS)
def test_secrets_are_named_not_written(pod):
    for container in pod["containers"]:
        for variable in container.get("env", []):
            if any(word in variable["name"] for word in ("TOKEN", "KEY", "SECRET", "PASSWORD")):
                assert "value" not in variable and "secretKeyRef" in variable["valueFrom"], variable


def mounts_of(pod):
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    (container,) = pod["containers"]
    return {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}


@pytest.mark.parametrize("pod", [pod for pod in ALL_PODS if "submitter" not in pod.id])
def test_models_and_the_cache_lie_in_the_store_s_volume(pod):
    """Where the loader brings models to is where the others look for them."""
    assert mounts_of(pod)["/store"]["persistentVolumeClaim"] == {"claimName": "divscale-store"}
    (container,) = pod["containers"]
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert env["HF_HOME"] == "/store/huggingface"
    assert container["name"] == "loader" or env["DIVSCALE_CACHE"].startswith("/store/")


@pytest.mark.parametrize("pod", [pod for pod in ALL_PODS if "-ray-head-" in pod.id or "-ray-worker-" in pod.id])
def test_every_pod_of_ray_has_shared_memory_and_what_object_stores_ask_for(pod):
    mounts = mounts_of(pod)
    (container,) = pod["containers"]
    assert mounts["/dev/shm"]["emptyDir"]["medium"] == "Memory"
    optional = {variable["name"]: next(iter(variable["valueFrom"].values())) for variable in container["env"]
                if "valueFrom" in variable}
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"} <= optional.keys()
    assert all(source["optional"] and source["name"] == "divscale" for source in optional.values())
    assert gib(mounts["/dev/shm"]["emptyDir"]["sizeLimit"]) < gib(container["resources"]["limits"]["memory"])  # it counts


def gib(quantity):
    assert quantity.endswith("Gi")
    return int(quantity[:-2])


def test_the_store_is_one_that_all_nodes_can_write():
    (claim,) = documents(ROOT / "cluster" / "kuberay" / "store.yaml")
    assert claim["metadata"]["name"] == "divscale-store" and claim["spec"]["accessModes"] == ["ReadWriteMany"]


def cluster_and_job():
    (cluster,), (job,) = (documents(ROOT / "cluster" / "kuberay" / name) for name in ("raycluster.yaml", "rayjob.yaml"))
    return cluster["spec"], job["spec"]


def test_both_rays_are_the_same_but_for_their_workers_at_the_start():
    cluster, job = cluster_and_job()
    for spec in (cluster, job["rayClusterSpec"]):
        assert spec["enableInTreeAutoscaling"] is True and spec["authOptions"] == {"mode": "token"}
        for group in spec["workerGroupSpecs"]:
            assert group.pop("replicas") == group.pop("minReplicas") <= group["maxReplicas"]
    assert cluster == job["rayClusterSpec"]


def test_ray_is_the_version_of_the_locks():
    cluster, _ = cluster_and_job()
    for lock in ("cpu.txt", "gpu.txt"):
        assert f"ray=={cluster['rayVersion']}" in (ROOT / "requirements" / lock).read_text().splitlines()


def test_the_job_s_entrypoint_is_a_command_that_divscale_knows(capsys, tmp_path):
    """Its files are in the image under /opt/divscale, as they are here; `run` is asked for as `plan`."""
    _, job = cluster_and_job()
    program, verb, *words = shlex.split(job["entrypoint"])
    assert (program, verb) == ("divscale", "run")
    words = [word.replace("/opt/divscale/", f"{ROOT}/").replace("/store/", f"{tmp_path}/") for word in words]
    assert [Path(word).is_file() for word in words if word.startswith(str(ROOT))] == [True, True]
    smoke = str(ROOT / "tests" / "studies" / "smoke.yaml")
    data = [word for word in words if word.startswith("data.")]  # of the study of the manifest, which are not here
    assert [word.partition("=")[0] for word in data] == ["data.source", "data.test"]
    assert main(["plan", smoke, *(word for word in words[1:] if word not in data)]) == 0
    assert "probe" in capsys.readouterr().out


def test_the_page_brings_the_models_and_data_that_the_job_s_study_names():
    page = (ROOT / "cluster" / "kuberay.md").read_text()
    _, job = cluster_and_job()
    words = shlex.split(job["entrypoint"])
    study = yaml.safe_load((ROOT / words[2].removeprefix("/opt/divscale/")).read_text())
    for model in (study["generator"]["model"], study["train"]["model"]):
        assert f"hf download {model}" in page
    for path in [word.partition("=")[2] for word in words if word.startswith("data.")]:
        assert f"divscale-loader:{path}\n" in page
    assert page.index("loader.yaml") < page.index("hf download") < page.index("kubectl apply -f cluster/kuberay/rayjob.yaml")


def test_the_job_s_workers_are_what_its_cluster_file_counts_on():
    _, job = cluster_and_job()
    resources = yaml.safe_load((ROOT / "configs" / "clusters" / "mixed.yaml").read_text())
    gpus = sum(group["replicas"] * int(group["template"]["spec"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu", 0))
               for group in job["rayClusterSpec"]["workerGroupSpecs"])
    assert gpus == resources["gpus"]
