"""The pages of cluster/: what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "cluster").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_are_there(page):
    text = page.read_text()
    named = set(re.findall(r"(?<![\w/.])(?:cluster|configs|tests|requirements|docs)/[\w./-]+\w", text))
    linked = {f"cluster/{target}" for target in re.findall(r"\]\(([\w./-]+)\)", text)}
    missing = [name for name in named | linked if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "README"], ids=lambda page: page.stem)
def test_a_page_says_how_to_start_stop_and_what_it_costs(page):
    text = page.read_text().lower()
    assert all(word in text for word in ("stop", "costs", "run"))


def test_every_cluster_file_says_where_it_has_run():
    for path in (ROOT / "configs" / "clusters").glob("*.yaml"):
        gpus = yaml.safe_load(path.read_text()).get("gpus")
        assert not gpus or "Not yet run" in path.read_text(), path  # on GPUs
