from __future__ import annotations

import pytest

from divscale.errors import ConfigError
from divscale.rendering.templates import load, render


def test_a_template_is_filled():
    assert render("{{ label }}:", label="asyncio") == "asyncio:"


def test_tags_on_lines_of_their_own_leave_no_empty_lines():
    template = "a\n{% for x in xs %}\n  {% if x %}\n- {{ x }}\n  {% endif %}\n{% endfor %}\nb\n"
    assert render(template, xs="pq") == "a\n- p\n- q\nb"


@pytest.mark.parametrize("template", [
    "{{ ''.__class__.__mro__ }}", "{{ cycler.__init__.__globals__.os }}", "{{ items.append(1) }}", "{{ missing }}",
    "{% for %}", "{{ label }", "{{ 1 / 0 }}", "{{ label + 1 }}", "{% include 'x' %}",
])
def test_a_template_that_breaks_or_reaches_for_internals_is_a_configuration_error(template):
    with pytest.raises(ConfigError, match="template"):
        render(template, label="x", items=[])


def test_a_missing_variable_is_named_together_with_those_there_are():
    with pytest.raises(ConfigError, match=r"'lable' is undefined.*label, n"):
        render("{{ lable }}", label="x", n=1)


def test_a_file_is_loaded_by_path_and_by_packaged_name(tmp_path):
    (tmp_path / "sample.j2").write_text("{{ label }}:\n", encoding="utf-8")
    by_path = load(str(tmp_path / "sample.j2"))
    assert by_path == load("sample", packaged=tmp_path) == "{{ label }}:\n"
    assert render(by_path, label="x") == "x:"


def test_a_file_that_is_missing_binary_or_broken_is_a_configuration_error(tmp_path):
    (tmp_path / "bytes.j2").write_bytes(b"\xff\xfe")
    (tmp_path / "broken.j2").write_text("{% if %}", encoding="utf-8")
    for name in ("none.j2", "bytes.j2", "broken.j2"):
        with pytest.raises(ConfigError):
            load(str(tmp_path / name))
