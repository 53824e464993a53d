"""What `make` can do is told to who contributes."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_target_of_the_makefile_has_its_line_where_tests_are_described():
    listed = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert listed
    told = "".join((ROOT / name).read_text("utf-8") for name in ("CONTRIBUTING.md", "README.md"))
    assert [target for target in listed[1].split() if f"`make {target}`" not in told] == ["clean"]
