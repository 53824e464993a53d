from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "gpu_generation.py"


def test_without_a_gpu_it_says_so_in_one_sentence():
    code = "import torch, runpy, sys; torch.cuda.is_available = lambda: False; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code, str(BENCHMARK)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "gpu_generation: there is no CUDA device here, so nothing was measured; run it on a machine with one.\n"
