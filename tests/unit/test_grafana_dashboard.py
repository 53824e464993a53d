from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from divscale.runtime import metrics

FILE = Path(__file__).parents[2] / "cluster" / "grafana" / "divscale.json"
DASHBOARD = json.loads(FILE.read_text(encoding="utf-8"))
TARGETS = [(panel["title"], target) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
EXPORTED = {f"ray_{series.name}{suffix}": series for series in metrics.ALL for suffix in SUFFIXES[series.kind]}
AUTOMATIC = {"le"}  # of a histogram's buckets


@pytest.mark.parametrize(("title", "target"), TARGETS)
def test_every_expression_asks_for_metrics_and_labels_that_the_code_exports(title, target):
    expression = target["expr"]
    asked = re.findall(r"ray_\w+", expression)
    assert asked and set(asked) <= set(EXPORTED), title
    known = {label for name in asked for label in EXPORTED[name].labels} | AUTOMATIC
    used = {label for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(", ")}
    used |= set(re.findall(r"[{,](\w+)=", expression)) | set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    assert used <= known, title
    assert 'study=~"$study"' in expression


def test_every_series_of_the_code_is_on_the_dashboard():
    shown = " ".join(target["expr"] for _, target in TARGETS)
    assert [series.name for series in metrics.ALL if f"ray_{series.name}" not in shown] == []


def test_the_dashboard_has_what_grafana_requires():
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["title"] and DASHBOARD["uid"]
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    assert variables["study"]["query"]["query"] == "label_values(ray_divscale_stages, study)"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in DASHBOARD["panels"]:
        assert set(panel["gridPos"]) == {"h", "w", "x", "y"} and panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            references = [target["refId"] for target in panel["targets"]]
            assert references and len(references) == len(set(references))
            assert {"type", "title", "targets", "fieldConfig", "options"} <= set(panel)


def test_no_two_panels_overlap():
    cells = [(x, y) for panel in DASHBOARD["panels"] for at in [panel["gridPos"]]
             for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    assert len(cells) == len(set(cells))


def test_the_page_on_metrics_names_every_series():
    page = (FILE.parents[1] / "metrics.md").read_text(encoding="utf-8")
    assert [series.name for series in metrics.ALL if f"ray_{series.name}" not in page] == []
