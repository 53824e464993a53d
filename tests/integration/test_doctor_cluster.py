"""`divscale doctor --cluster` against a real Ray of two nodes on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from divscale import doctor_cluster
from divscale.cli import main
from tests.nodes import add_node, empty_cluster

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"

pytestmark = [pytest.mark.engine, pytest.mark.long]


@pytest.fixture(scope="module")
def address():
    cluster = empty_cluster()
    add_node(cluster)
    add_node(cluster)
    yield cluster.address
    cluster.shutdown()


def findings(capsys, *words):
    code = main(["doctor", "--cluster", *words, "--json"])
    return code, [(one["what"], one["found"], one["advice"]) for one in json.loads(capsys.readouterr().out)]


def test_what_a_study_lacks_on_the_nodes_is_said_before_it_runs(address, tmp_path, capsys):
    file = tmp_path / "cluster.yaml"
    file.write_text(f"address: {address}\ngpus: 4\n")
    study = tmp_path / "study.yaml"
    study.write_text(SMOKE.read_text().replace("method: full, model: pretrain", "method: full, model: some/model-of-nobody"))
    code, found = findings(capsys, str(file), "--study", str(study), "--store", str(tmp_path / "store"),
                           "data.out_of_distribution={far: far.csv}")
    assert ("data.out_of_distribution.far", "far.csv cannot be read here") in [(what, text) for what, text, _ in found]
    said = {what.rpartition(" ")[2] if " " in what else what: text for what, text, _ in found}
    assert code == 3 and ("GPUs asked for", "4", "there are 0; start more nodes, or ask for fewer") in found
    assert ("gloo over 2 nodes", "works", "") in found and said["model"] == "some/model-of-nobody is missing"
    assert said["store"] == "visible" and said["versions"] == "as on the others" and "GiB for the store" in said["free"]


def test_a_node_on_which_the_probe_fails_is_told_with_the_cause(address, tmp_path, capsys, monkeypatch):
    def broken(probe, models):
        import a_package_of_nobody  # noqa: F401  # pyright: ignore

    monkeypatch.setattr(doctor_cluster, "look_at_node", broken)
    code, found = findings(capsys, "--address", address, "--store", str(tmp_path / "store"))
    cause = "fails: ModuleNotFoundError: No module named 'a_package_of_nobody'"
    assert code == 3 and [text for _, text, _ in found].count(cause) == 2
