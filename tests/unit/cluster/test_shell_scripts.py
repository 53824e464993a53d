"""Shell scripts of the repository are clean by shellcheck, where it is installed, and parse everywhere."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPTS = sorted(path for folder in ("cluster", "requirements", ".ci") for path in (ROOT / folder).rglob("*")
                 if path.is_file() and (path.suffix in (".sh", ".sbatch") or path == ROOT / ".ci" / "run"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_parses_and_shellcheck_has_nothing_to_say(path):
    subprocess.run(["bash", "-n", path], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (apt-get install shellcheck); the script parses")
    done = subprocess.run(["shellcheck", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_batch_script_says_what_it_needs_before_anything_starts():
    script = ROOT / "cluster" / "slurm" / "divscale.sbatch"
    done = subprocess.run(["bash", script, "study.yaml"], capture_output=True, text=True)
    assert done.returncode == 2 and "STUDY, STORE and CLUSTER are needed" in done.stderr
    done = subprocess.run(["bash", script, "study.yaml", "store", "cluster.yaml"], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 2 and "Submit it with sbatch" in done.stderr
