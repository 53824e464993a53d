"""The GPU benchmark on a machine without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "gpu_similarity.py"
ALONE = """
import runpy, sys

class OnlyTorchAndTriton:
    def find_spec(self, name, path=None, target=None):
        if name in ("scipy", "psutil", "faiss", "ray", "sklearn", "pydantic", "pyarrow"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, OnlyTorchAndTriton())
import torch
torch.cuda.is_available = lambda: False
sys.argv = [sys.argv[1]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_it_needs_only_torch_triton_and_numpy_and_without_a_gpu_it_says_so_in_one_sentence():
    done = subprocess.run([sys.executable, "-c", ALONE, str(BENCHMARK)], capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert done.stderr == ("gpu_similarity: there is no CUDA device here, so nothing was measured; run it on a machine "
                           "with one.\n")
    assert done.stdout == ""
