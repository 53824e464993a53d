"""What `divscale doctor --cluster` looks at, and says, without a cluster."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from divscale import doctor_cluster
from divscale.cli import main
from divscale.cluster_probe import Report
from divscale.doctor import Finding
from divscale.doctor_cluster import Answer, Node, gpus_asked
from divscale.embedding.minilm import minilm_folder
from divscale.errors import PreflightError
from divscale.named_files import named_models
from divscale.runtime.resources import Resources
from divscale.runtime.visible import probe
from divscale.stages import identity
from divscale.stages.identity import is_here
from divscale.study_file import load, load_resources

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "tests" / "studies" / "smoke.yaml"
HEAD, ONE = Node("h", "10.0.0.1", 0, 0.0), Node("a", "10.0.0.2", 8, 8.0)
HELD = Node("c", "10.0.0.4", 8, 0.5)


def report(**changes) -> Report:
    return Report(**{"versions": {"python": "3.11.7", "torch": "2"}, "clock": 100.0, "gpus": [], "sees_store": True,
                     "free_gib": {"Ray's files": 50.0, "the store": 500.0}, "missing_models": [], **changes})


def said(node: Node, seen: Report, needed_gib: float | None = None) -> dict[str, tuple[str, str]]:
    return {finding.what.removeprefix(f"{node.address} "): (finding.found, finding.advice)
            for finding in doctor_cluster._of_node(node, Answer(seen, 99.0, 101.0), report(), needed_gib)}


def test_a_model_is_here_when_its_files_are_and_nothing_of_them_is_hashed(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "file_sha256", lambda _: pytest.fail("weights are read"))
    assert is_here("minilm", None) and is_here(str(minilm_folder()), None)
    assert not is_here("some/model-of-nobody", None) and not is_here("no name of a hub", None)
    assert not is_here(str(tmp_path), None) and not is_here(str(tmp_path / "nowhere"), None)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model-1.safetensors").write_bytes(b"weights")
    assert is_here(str(tmp_path), None)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}')
    assert not is_here(str(tmp_path), None)
    (tmp_path / "model-2.safetensors").write_bytes(b"")
    assert not is_here(str(tmp_path), None)
    (tmp_path / "model-2.safetensors").write_bytes(b"weights")
    assert is_here(str(tmp_path), None)


def test_a_hub_model_is_here_in_the_revision_that_is_asked_for_alone(tmp_path, monkeypatch):
    kept = tmp_path / "models--some--model"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("a" * 40)
    (kept / "snapshots" / ("a" * 40)).mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (kept / "snapshots" / ("a" * 40) / name).write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    identity._snapshot.cache_clear()
    assert is_here("some/model", None) and is_here("some/model", "a" * 40) and not is_here("some/model", "b" * 40)
    identity._snapshot.cache_clear()


def test_models_of_a_study_come_with_their_revisions_and_those_of_an_endpoint_are_nobody_s_to_load():
    tuned = ["train={method: lora, model: some/base, revision: v2, head: causal, max_length: 128}", "evaluate.metrics=[loss]"]
    written = ["generator={model: some/writer, others: [other/writer], engine: {engine: vllm}}"]
    served = ["generator={model: gpt-x, engine: {engine: openai, base_url: 'http://127.0.0.1:1/v1'}}"]
    assert named_models(load(SMOKE, [*tuned, *written])) == [
        ("minilm", None), ("other/writer", None), ("some/base", "v2"), ("some/writer", None)]
    assert named_models(load(SMOKE, [*tuned, *served])) == [("minilm", None), ("some/base", "v2")]


def test_gpus_are_those_of_the_kind_of_fleet_that_asks_for_most():
    assert gpus_asked(Resources(), 0) == 0 and gpus_asked(Resources(), 8) <= 8
    assert gpus_asked(Resources(generation_actors=4, gpus_per_engine=2), 4) == 8
    assert gpus_asked(Resources(generation_actors=8), 4) == 8 and gpus_asked(Resources(generation_actors=8), 0) == 0
    assert gpus_asked(Resources(embedding_actors=16), 4) == 16 and gpus_asked(Resources(similarity_actors=6), 4) == 6
    assert gpus_asked(Resources(training_workers=8, training_groups=4), 8) == 32
    assert gpus_asked(load_resources(ROOT / "configs" / "clusters" / "h200x32.yaml"), 0) == 32


def test_nccl_is_tried_by_a_rank_a_free_gpu_also_on_one_node_and_gloo_by_one_a_node(monkeypatch):
    monkeypatch.setattr(doctor_cluster, "_collective", lambda backend, ranks: Finding(backend, " ".join(n.id for n in ranks)))

    def tried(*nodes: Node) -> list[tuple[str, str]]:
        return [(finding.what, finding.found) for finding in doctor_cluster._collectives(nodes)]

    small, single = Node("b", "10.0.0.3", 2, 2.0), Node("d", "10.0.0.5", 1, 1.0)
    assert tried(HEAD, ONE, small) == [("gloo", "h a b"), ("nccl", "a a a a a a a a b b")]
    assert tried(HEAD, single) == [("gloo", "h d")] and tried(single) == tried(HEAD) == []
    assert tried(small) == [("nccl", "b b")] and tried(single, small) == [("gloo", "d b"), ("nccl", "d b b")]
    held = ("nccl", "not tried with GPUs that other work holds: 8 of 10.0.0.4")
    assert tried(small, HELD) == [("gloo", "b c"), ("nccl", "b b"), held] and tried(HELD) == [held]
    partly = Node("e", "10.0.0.6", 4, 2.5)
    assert tried(partly) == [("nccl", "e e"), ("nccl", "not tried with GPUs that other work holds: 2 of 10.0.0.6")]


def test_a_node_differs_by_any_package_that_records_name_and_its_disks_are_told_apart():
    found = said(HEAD, report(versions={"python": "3.12.1", "torch": "2", "scipy": "1"}, missing_models=["some/base@v2"],
                              free_gib={"Ray's files": 2.0, "the store": 500.0}))
    assert found["versions"][0] == "python 3.12.1 (elsewhere 3.11.7), scipy 1 (elsewhere None)"
    assert found["disk free"] == ("2.0 GiB for Ray's files, 500.0 GiB for the store", "free some")
    assert said(ONE, report(), 400.0)["disk free"][1] == ""
    assert said(ONE, report(), 600.0)["disk free"][1] == "free some: the study writes about 600.0 GiB"
    little = report(free_gib={"Ray's files": 50.0, "the store": 1.0})
    assert (said(ONE, little)["disk free"][1], said(ONE, little, 0.5)["disk free"][1]) == ("free some", "")
    assert found["model"][0] == "some/base@v2 is missing" and found["GPUs"] == ("none", "")
    assert "Ray counts 8 there" in said(ONE, report(gpus=["H200"]))["GPUs"][1]
    assert said(ONE, report(gpus=["H200"] * 8))["GPUs"][1] == ""


def test_a_cluster_that_nothing_names_is_asked_for_instead_of_a_local_one(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for words in ([], ["--study", str(SMOKE)], [str(ROOT / "configs" / "clusters" / "laptop.yaml")]):
        assert main(["doctor", "--cluster", *words, "--store", str(tmp_path)]) == 2
        assert "nothing says which cluster. Give its head (--address HEAD:6379" in capsys.readouterr().err


def test_a_store_that_cannot_be_written_is_a_preflight_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PreflightError, match=r"cannot be written \(Not a directory\)"), probe(tmp_path / "file" / "store"):
        pass


def test_a_cluster_file_says_what_is_asked_for_with_a_study_and_without(monkeypatch):
    asked: list[SimpleNamespace] = []
    monkeypatch.setattr(doctor_cluster, "print_cluster", lambda address, store, study, resources, as_json: asked.append(
        SimpleNamespace(address=address, study=study, resources=resources)) or 0)
    file = str(ROOT / "configs" / "clusters" / "h200x8.yaml")
    assert main(["doctor", "--cluster", file]) == main(["doctor", "--cluster", file, "--study", str(SMOKE)]) == 0
    assert [one.resources.generation_actors for one in asked] == [8, 8]
    assert asked[0].study is None and asked[1].study.resources == asked[1].resources
    assert main(["doctor", "--cluster", "--study", str(SMOKE), "seeds.data=9"]) == 0 and asked.pop().study.seeds.data == 9
    assert main(["doctor", "--cluster", "--address", "head:6379"]) == 0 and asked[2].resources == Resources()
