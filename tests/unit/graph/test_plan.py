from __future__ import annotations

from toys import Counting, Number, Silent, number, total

from divscale.graph.plan import make_plan
from divscale.graph.runner import execute
from divscale.graph.stage import Stage
from divscale.graph.store import Store


def test_the_plan_names_the_field_that_differs(tmp_path):
    store = Store(tmp_path)
    execute([total(number(1), number(2))], store, Counting().handlers(), Silent())
    changed = Stage("number", 1, Number(value=2, ratio=0.25))
    steps = make_plan([total(number(1), changed)], store)
    assert [(s.stage.name, s.cached) for s in steps] == [("number", True), ("number", False), ("total", False)]
    assert steps[1].reason == "config.ratio: 0.5 -> 0.25"
    assert steps[2].reason == "input terms changed"


def test_the_plan_says_never_run_for_the_first_time(tmp_path):
    assert [s.reason for s in make_plan([number(1)], Store(tmp_path))] == ["never run"]
