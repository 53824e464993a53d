"""Nothing that is read can run code: a walk through the whole package for calls that would let it."""

from __future__ import annotations

import ast
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from divscale.cli import main

SOURCE = Path(__file__).parents[2] / "src" / "divscale"
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib", "jsonpickle", "tarfile", "zipfile", "rarfile", "py7zr"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pandas.read_pickle", "pd.read_pickle", "shutil.unpack_archive", "importlib.import_module",
         "subprocess.getoutput", "subprocess.getstatusoutput", "torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "np.load", "numpy.load"}
# file -> call -> why it may stand there
ALLOWED = {
    "generation/recipes/file.py": {"exec": "a recipe of one's own (recipe: {kind: file}) is code of who writes the study",
                                   "compile": "the same"},
    "data/dataset_rows.py": {"np.load": "with allow_pickle=False, which is looked at below"},
    "study_file.py": {"yaml.load": "with a loader that is a yaml.SafeLoader, which is looked at below"},
    "evaluation/harness_files.py": {"yaml.load": "the same"},
}


def dotted(node: ast.expr) -> str:
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def unsafe(source: str) -> set[str]:
    """Names of unsafe modules that are imported and of unsafe calls."""
    found = set()
    tree = ast.parse(source)
    safe_loaders = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and "yaml.SafeLoader" in [dotted(base) for base in node.bases]}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found |= {name for name in names if name.split(".")[0] in MODULES}
        elif isinstance(node, ast.Call):
            name, given = dotted(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
            if name in CALLS:
                found.add(name)
            if given.get("shell", "False") != "False":
                found.add("shell=True")
            if given.get("allow_pickle", "False") != "False" or (name in ("np.load", "numpy.load") and "allow_pickle" not in given):
                found.add("allow_pickle=True")
            if name == "torch.load" and given.get("weights_only") != "True":
                found.add("torch.load without weights_only")
            if name == "yaml.load" and (len(node.args) < 2 or ast.unparse(node.args[1]) not in safe_loaders):
                found.add("yaml.load without a safe loader")
            if given.get("trust_remote_code", "allowed()") not in ("allowed()", "False"):
                found.add("trust_remote_code")
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_can_run_what_it_reads_but_for_the_reasons_given(path):
    assert unsafe(path.read_text(encoding="utf-8")) == set(ALLOWED.get(path.relative_to(SOURCE).as_posix(), {}))


@pytest.mark.parametrize(("code", "found"), [
    ("import pickle", {"pickle"}), ("from cloudpickle import loads", {"cloudpickle"}), ("import torch\ntorch.load(x)", {"torch.load", "torch.load without weights_only"}),
    ("np.load(x)", {"np.load", "allow_pickle=True"}), ("yaml.load(x, yaml.Loader)", {"yaml.load", "yaml.load without a safe loader"}), ("run(x, shell=True)", {"shell=True"}),
    ("M.from_pretrained(x, trust_remote_code=True)", {"trust_remote_code"}), ("eval('1')", {"eval"}), ("model.eval()", set())])
def test_the_walk_finds_what_it_looks_for(code, found):
    assert unsafe(code) == found


class Bomb:
    """Unpickling it makes a file."""

    def __reduce__(self):
        return Path.touch, (Path("owned"),)


def npy_of_objects() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([Bomb(), None], dtype=object), allow_pickle=True)
    return out.getvalue()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../owned", "x")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("../owned")
        archive.addfile(entry, io.BytesIO())
    return out.getvalue()


@pytest.mark.parametrize("name", ["rows.npy", "rows.parquet", "rows.jsonl", "rows.csv", "saved/data.arrow", "rows.pkl", "rows.pt", "rows.zip", "rows.tar.gz", "rows.npz"])
@pytest.mark.parametrize("content", [npy_of_objects, lambda: pickle.dumps(Bomb()), zipped, tarred], ids=["objects", "pickle", "zip", "tar"])
def test_pickles_and_archives_are_refused_under_any_name_and_nothing_of_them_runs(tmp_path, monkeypatch, capsys, name, content):
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_bytes(content())
    before = {path.name for path in tmp_path.parent.rglob("*")}
    assert main(["measure", name, "--metrics", "nn" if name.endswith("npy") else "distinct"]) in (2, 4)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert {path.name for path in tmp_path.parent.rglob("*")} == before
