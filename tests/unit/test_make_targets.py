"""What `make` can do is told to who contributes."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_target_of_the_makefile_has_its_line_where_tests_are_described():
    listed = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert listed
    told = "".join((ROOT / name).read_text("utf-8") for name in ("CONTRIBUTING.md", "README.md"))
    assert [target for target in listed[1].split() if f"`make {target}`" not in told] == ["clean"]


def test_no_two_test_files_have_one_name_for_pytest_imports_them_all_into_one_process():
    names = Counter(path.name for path in ROOT.glob("tests/**/test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
