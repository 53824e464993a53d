"""`divscale doctor`: is this machine ready, and where does it differ from the lock?"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from divscale.embedding.minilm import minilm_sha256
from divscale.errors import PreflightError
from divscale.graph.record import WATCHED_PACKAGES, package_versions
from divscale.runtime.torch_build import torch_has_cuda

IMAGE_LOCK = "share/divscale/lock.txt"  # below the environment; put there by cluster/docker


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `advice` is empty when it is in order."""

    what: str
    found: str
    advice: str = ""


def findings() -> list[Finding]:
    """Everything a CPU study needs, and what a GPU one would use."""
    return [*_platform(), *_tools(), *_gpus(), *_packages(), *_encoder(), *_memory()]


def say(found: Sequence[Finding], *, as_json: bool, width: int = 22) -> int:
    """Print findings, `what` in so many columns; exit code 3 when something is missing."""
    if as_json:
        print(json.dumps([asdict(finding) for finding in found]))
    else:
        for finding in found:
            mark = "!!" if finding.advice else "ok"
            advice = f"  -> {finding.advice}" if finding.advice else ""
            print(f"{mark}  {finding.what:<{width}} {finding.found}{advice}")
    return PreflightError.exit_code if any(finding.advice for finding in found) else 0


def _platform() -> Iterator[Finding]:
    machine = f"{platform.system()} {platform.machine()}"
    yield Finding("platform", machine, "" if machine == "Linux x86_64" else "vLLM's CPU build is for Linux x86-64; use "
                  "generator.engine.engine: transformers")
    version = platform.python_version()
    yield Finding("python", version, "" if sys.version_info >= (3, 11) else "use Python 3.11 or newer")


def _tools() -> Iterator[Finding]:
    for tool, package in (("g++", "g++"), ("ninja", "ninja-build")):
        beside = Path(sys.executable).parent / tool
        path = shutil.which(tool) or (str(beside) if beside.exists() else None)
        yield Finding(tool, "found" if path else "missing",
                      "" if path else f"DeepSpeed compiles an op at first use: apt-get install {package}")
    if not torch_has_cuda():
        try:
            ctypes.CDLL("libnuma.so.1")
        except OSError:
            yield Finding("libnuma", "missing", "vLLM's CPU build is linked to it: apt-get install libnuma1")
        else:
            yield Finding("libnuma", "found", "")


def _gpus() -> Iterator[Finding]:
    """What torch makes of a machine with NVIDIA's driver; nothing of others."""
    if not shutil.which("nvidia-smi"):
        return
    if not torch_has_cuda():
        yield Finding("GPUs", "not used: torch is its CPU build (requirements/gpu.txt has the other)")
        return
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0   # the first alone counts an old driver's
    seen = [torch.cuda.get_device_name(i) for i in range(count)]
    yield Finding("GPUs", ", ".join(seen) or "torch sees none",
                  "" if seen else f"torch is built for CUDA {torch.version.cuda}: look at nvidia-smi, and whether its "
                  "driver is new enough for that")


def _packages() -> Iterator[Finding]:
    lock, found = _lock(), package_versions()
    for name in WATCHED_PACKAGES:
        wanted, version = lock.get(name.replace("_", "-")), found.get(name)
        if version is not None:
            same = wanted in (None, version)
            yield Finding(name, version, "" if same else f"the tested lock has {wanted}")
        elif wanted is not None:
            yield Finding(name, "missing", f"install {name}=={wanted}")


def _lock() -> dict[str, str]:
    """The lock that has this torch where divscale runs from a checkout, else the one that an image was made from."""
    kind = "gpu" if torch_has_cuda() else "cpu"
    checkout = Path(__file__).resolve().parents[2] / "requirements" / f"{kind}.txt"
    image = Path(sys.prefix) / IMAGE_LOCK
    path = checkout if checkout.exists() else image
    if not path.exists():
        return {}
    lines = (line.split("==") for line in path.read_text(encoding="utf-8").splitlines() if "==" in line)
    return {name: version.strip() for name, version in lines}


def _encoder() -> Iterator[Finding]:
    try:
        yield Finding("all-MiniLM-L6-v2", f"sha256 {minilm_sha256()[:12]}")
    except PreflightError as error:
        yield Finding("all-MiniLM-L6-v2", "missing", str(error))


def _memory() -> Iterator[Finding]:
    memory = psutil.virtual_memory().available / 2**30
    yield Finding("memory free", f"{memory:.1f} GiB", "" if memory >= 4 else "the quickstart needs about 6 GiB")
    disk = shutil.disk_usage(os.environ.get("DIVSCALE_STORE") or ".").free / 2**30
    yield Finding("disk free here", f"{disk:.1f} GiB", "" if disk >= 2 else "the quickstart's store needs about 1 GiB")
    yield Finding("cores", str(os.cpu_count()))
