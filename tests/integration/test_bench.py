"""`divscale bench` for real: two parts on this machine, the file they leave, and that file beside itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from divscale.bench.result import read
from divscale.learned import learned_from

pytestmark = [pytest.mark.engine, pytest.mark.long]


def divscale(*words: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-m", "divscale", *words], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_parts_are_measured_beside_the_floors_of_the_same_run(tmp_path: Path) -> None:
    printed = divscale("bench", "similarity", "embedding", "--size", "tiny", "--over", "1", "--json", "a.json", cwd=tmp_path)
    found = read(str(tmp_path / "a.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (found.asked.parts, found.asked.size, found.asked.over) == (("similarity", "embedding"), "tiny", (1,))
    assert [(figure.part, figure.name, figure.bound) for figure in found.figures] == [
        ("similarity", "pairs of DCScore", "matmul"), ("similarity", "neighbours by FAISS", "matmul"),
        ("embedding", "embedded by minilm", "matmul")]
    for figure in found.figures:
        assert len(figure.rates) == 3 and figure.efficiency is None and (figure.start_s or 0) > 0
        assert figure.share_of_floor is not None and 0 < figure.share_of_floor < 2  # the machine's load moves
    (best,) = found.at_best
    assert len(best.copies) == len(best.matmuls["float32"]) == 10  # five before, five after
    assert found.versions["torch"] and found.machine.cores >= 1 and found.machine.devices
    assert learned_from([str(tmp_path / "a.json")]).benchmarks[0].device == found.machine.kind
    assert found.command == "divscale bench similarity embedding --size tiny --scaling weak --over 1"
    assert printed.splitlines()[2].startswith("similarity  pairs of DCScore")

    beside = divscale("bench", "--compare", "a.json", "a.json", cwd=tmp_path)
    assert beside.count("1.000  within the spread") == 3
