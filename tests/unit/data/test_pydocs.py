import ast

import pyarrow as pa

from divscale.data import pydocs
from divscale.data.samples import content_hash
from divscale.schema import SAMPLES


def test_every_package_has_sentences_and_every_sentence_the_stated_length():
    table = pydocs.load()
    assert table.schema == SAMPLES
    assert set(table["label"].to_pylist()) == set(pydocs.PACKAGES)
    assert all(20 <= len(text) <= 160 for text in table["text"].to_pylist())
    assert all(table["group"].to_pylist())


def test_texts_are_distinct_after_lower_casing_and_ids_are_unique():
    table = pydocs.load()
    assert len({text.lower() for text in table["text"].to_pylist()}) == table.num_rows
    assert len(set(table["id"].to_pylist())) == table.num_rows


def test_two_readings_have_the_same_content_hash_and_another_text_has_another():
    table = pydocs.load()
    again = pydocs.load.__wrapped__()
    chunked = pa.Table.from_batches(table.to_batches(max_chunksize=9))
    assert content_hash(table) == content_hash(again) == content_hash(chunked)
    assert content_hash(table) != content_hash(table.slice(1))


def test_the_first_sentence_ends_at_its_full_stop_or_with_its_paragraph():
    assert pydocs.first_sentence("One\n    line more. And another.\n\n    Details.") == "One line more."
    assert pydocs.first_sentence("No end here\n\nNext paragraph.") == "No end here"
    assert pydocs.first_sentence("Version 3.11 is new. Old ones are not.") == "Version 3.11 is new."


def test_a_method_and_its_class_are_one_group():
    tree = ast.parse('"""Module."""\nclass A:\n    """Class."""\n    def f(self):\n        """Method."""\n'
                     'def g():\n    """Function."""\n    def h():\n        """Inner."""\n')
    assert sorted(pydocs._docstrings(tree, "pkg.mod")) == [
        ("pkg.mod", "Module."), ("pkg.mod.A", "Class."), ("pkg.mod.A", "Method."),
        ("pkg.mod.g", "Function."), ("pkg.mod.g", "Inner.")]


def test_statements_come_in_the_order_of_a_whole_walk_and_none_with_a_docstring_is_missed():
    source = """
if 1:
    def a():
        "A."
        try:
            class B: "B."
        except E:
            def c(): "C."
        else:
            for _ in (lambda: 0, 1 if 2 else 3):
                def d(): "D."
        finally:
            with e:
                async def f(): "F."
        match 1:
            case 1:
                def g(): "G."
else:
    while 1:
        def h():
            def i(): "I."
"""
    (top,) = ast.parse(source).body
    documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    whole = [ast.get_docstring(node) for node in ast.walk(top) if isinstance(node, documented)]
    assert [doc for _, doc in pydocs._docstrings(ast.parse(source), "m")] == [doc for doc in whole if doc]
    assert len(whole) == 8
