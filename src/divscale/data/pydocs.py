"""The default world: first sentences of the running Python's own docstrings. Which package is this about?

Read from the interpreter's source with `ast`; nothing is imported or copied into the project, so the text differs a
little between Python builds and its content hash is its identity.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import sysconfig
from collections import defaultdict, deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pyarrow as pa

from divscale.data.samples import real_samples
from divscale.errors import PreflightError

# Label -> where its source is, under the standard library's folder (`decimal` itself is a shim over `_pydecimal`).
PACKAGES = {
    "asyncio": "asyncio", "importlib": "importlib", "email": "email", "logging": "logging",
    "decimal": "_pydecimal.py", "xml": "xml", "multiprocessing": "multiprocessing", "mailbox": "mailbox.py",
    "unittest": "unittest", "http": "http", "tarfile": "tarfile.py", "urllib": "urllib",
}
MIN_CHARS, MAX_CHARS = 20, 160
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_BLOCKS = {"body", "handlers", "orelse", "finalbody", "cases"}  # fields that hold statements, or what holds them
_Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache  # a plan asks for its hash, then the stage for its rows; Arrow tables are immutable
def load() -> pa.Table:
    """First sentences (20 to 160 characters) of docstrings, labelled by package, as SAMPLES.

    De-duplicated after lower-casing: within a package the first stays; a sentence that two packages share says nothing
    about either, no label for it is right, and so it is dropped from both. `group` is the top-level class or
    function (or the module, for its own docstring), so that a method and its near-copies never straddle a split.
    Rows are in a fixed order; ids are derived from label and text. About a second.

    Raises:
        PreflightError: The interpreter comes without the source of its standard library.
    """
    first: dict[str, tuple[str, str, str]] = {}
    packages_of = defaultdict(set)
    for package, where in PACKAGES.items():
        for group, sentence in _sentences(where):
            key = sentence.lower()
            packages_of[key].add(package)
            first.setdefault(key, (package, group, sentence))
    return real_samples(
        {"id": _row_id(package, key), "text": sentence, "label": package, "group": group}
        for key, (package, group, sentence) in first.items() if len(packages_of[key]) == 1)


def _row_id(package: str, key: str) -> str:
    return f"pydocs-{package}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def _sentences(where: str) -> Iterator[tuple[str, str]]:
    """(group, first sentence) of every docstring of a package, in source order."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    found = stdlib / where
    files = [found] if found.suffix == ".py" else sorted(found.rglob("*.py"))
    # Python builds differ in whether a package carries its own tests; tests describe other things than the package.
    files = [path for path in files if path.is_file() and not {"test", "tests"} & set(path.relative_to(stdlib).parts)]
    if not files:
        raise PreflightError(
            f"data.source: pydocs reads docstrings from the standard library's source, and {found} is not there. This "
            f"Python ({stdlib}) was installed without it; use a full Python build, or give data.source a file.")
    for path in files:
        module = ".".join(path.relative_to(stdlib).with_suffix("").parts)
        tree = ast.parse(path.read_bytes(), filename=str(path))
        for group, doc in _docstrings(tree, module):
            sentence = first_sentence(doc)
            if MIN_CHARS <= len(sentence) <= MAX_CHARS:
                yield group, sentence


def _docstrings(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    if doc := ast.get_docstring(tree):
        yield module, doc
    for top in tree.body:
        group = f"{module}.{top.name}" if isinstance(top, _Documented) else module
        for node in _statements(top):
            if isinstance(node, _Documented) and (doc := ast.get_docstring(node)):
                yield group, doc


def _statements(top: ast.stmt) -> Iterator[ast.AST]:
    """`top` and the statements in it, in the order of `ast.walk`, without expressions, which are most of a tree."""
    found = deque[ast.AST]([top])
    while found:
        node = found.popleft()
        yield node
        for name in node._fields:
            if name in _BLOCKS:
                found.extend(getattr(node, name))


def first_sentence(docstring: str) -> str:
    """The first sentence of the first paragraph, white space collapsed; the paragraph where no sentence ends."""
    paragraph = inspect.cleandoc(docstring).split("\n\n", 1)[0]
    return _SENTENCE_END.split(" ".join(paragraph.split()), maxsplit=1)[0]
