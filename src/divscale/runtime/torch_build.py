"""Which build of torch is installed, without the seconds that importing it takes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path


def torch_has_cuda() -> bool:
    """Whether torch is a build that can compute on NVIDIA's GPUs; the CPU lock's cannot, whatever the machine has."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    return says_cuda(Path(found.origin).with_name("version.py").read_text(encoding="utf-8"))


def says_cuda(version_py: str) -> bool:
    """Whether the text of `torch/version.py` names a version of CUDA: it has None there else."""
    return re.search(r"^cuda\b[^=\n]*= *['\"]\d", version_py, re.MULTILINE) is not None
