import re
from dataclasses import replace

import pyarrow as pa
import synthetic_report

from divscale.report import markdown
from divscale.report.analysis import Analysis
from divscale.report.tables import Table


def test_every_table_of_the_report_is_in_the_file_with_as_many_cells_in_every_row():
    report = synthetic_report.build(labelled=(2, 20), sizes=(20, 50))
    text = markdown.render(Analysis(report))
    headings = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert headings[:2] == ["Verdicts: probe on frozen embeddings", "Verdicts: full fine-tuning"]
    assert {"Measured sets", "Which measure to trust", "Realised mixes", "Arms"} <= set(headings)
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({line.count(" | ") for line in block.splitlines()}) == 1
    arms = text[text.index("## Arms\n"):text.index("## How intervals")]
    assert arms.count("\n|") == report.arms.num_rows + 2
    assert not re.search(r"\b(nan|None|inf)\b", text)


def test_what_could_be_taken_for_markdown_or_html_is_escaped():
    shown = markdown.as_markdown(Table(("a|b",), (("<b>`x`*y* [z](http://example.org)\nend",),)))
    assert shown.splitlines() == ["| a\\|b |", "| --- |",
                                  "| &lt;b>\\`x\\`\\*y\\* [z]\\(http://example.org) end |"]


def test_models_of_any_name_keep_the_tables_whole():
    report = synthetic_report.build(full=False, labelled=(2,), sizes=(50,), filters=("none",))
    place = report.arms.column_names.index("model")
    named = report.arms.set_column(place, "model", pa.array(["a | b"] * report.arms.num_rows))
    text = markdown.render(Analysis(replace(report, arms=named)))
    assert "a \\| b" in text and "| a | b" not in text
