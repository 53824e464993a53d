"""The house's doors: which room may import which."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "divscale"
ROOMS = ("graph", "runtime", "data", "generation", "rendering", "embedding", "similarity", "metrics", "selection",
         "training", "evaluation", "report", "stages", "bench")
EVERYWHERE = {"schema", "errors", "frozen", "order", "redact", "remote_code"}
DOORS = {  # room -> what it may open beside itself, EVERYWHERE and runtime
    "graph": set(), "runtime": set(), "data": set(), "rendering": set(), "similarity": set(), "report": set(),
    "metrics": {"similarity"}, "selection": {"similarity"}, "generation": {"rendering", "selection"}, "training": {"rendering"}, "evaluation": {"rendering", "metrics"},
    "embedding": set(), "stages": {*ROOMS, "config", "study_file"} - {"bench"},
    "bench": {*ROOMS, "config", "study_file", "run", "view"},
}
NOT_RUNTIME = {"graph", "data", "rendering", "metrics", "report"}
# a room's own config model may name another room's config model: a measure names its encoder; and the report calls
# measures what their catalogue calls them
CONFIG_DOORS = {("metrics", "divscale.embedding.config"), ("report", "divscale.metrics.catalogue")}
HEAVY = {"torch", "ray", "vllm", "deepspeed", "transformers", "sentence_transformers", "faiss", "sklearn", "matplotlib", "numba"}
MODULES = sorted(SOURCE.rglob("*.py"))


def imports(path: Path):
    """(imported module, at the top of the file?) of one file; names below `if TYPE_CHECKING` do not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {id(n) for node in ast.walk(tree) if isinstance(node, ast.If)
                   and "TYPE_CHECKING" in ast.unparse(node.test) for n in ast.walk(node)}
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", id(node) in top
            for alias in node.names:
                if (SOURCE.parent / (node.module or "").replace(".", "/") / f"{alias.name}.py").exists():
                    yield f"{node.module}.{alias.name}", id(node) in top


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_room_opens_a_forbidden_door(path):
    room = path.relative_to(SOURCE).parts[0]
    if room not in ROOMS:
        return
    allowed = {room, *EVERYWHERE, *DOORS[room], *(set() if room in NOT_RUNTIME else {"runtime"})}
    for module, _ in imports(path):
        if module == "divscale" or not module.startswith("divscale."):
            continue
        target = module.split(".")[1]
        assert target in allowed or (room, module) in CONFIG_DOORS or module == "divscale.embedding", \
            f"{path.relative_to(SOURCE)} imports {module}"


def test_graph_knows_neither_ray_nor_torch_and_packages_import_nothing_heavy():
    for path in MODULES:
        heavy = {module.split(".")[0] for module, top in imports(path)
                 if top and module.split(".")[0] in HEAVY}
        if path.parent.name == "graph":
            heavy |= {module.split(".")[0] for module, _ in imports(path)} & HEAVY
        assert not heavy or (path.name not in ("__init__.py", "config.py") and path.parent.name != "graph"), path


def test_no_module_is_long_and_the_median_is_short():
    lengths = sorted(len(p.read_text(encoding="utf-8").splitlines()) for p in MODULES if p.name != "__init__.py")
    assert lengths[-1] < 500
    assert lengths[len(lengths) // 2] < 150


def test_there_is_no_utils_module():
    assert not [p for p in MODULES if p.stem in ("utils", "helpers", "common", "misc")]


def test_importing_divscale_and_help_load_nothing_heavy_and_take_under_half_a_second():
    code = ("import sys, divscale.cli\ntry: divscale.cli.main(['--help'])\nexcept SystemExit: pass\n"
            f"print([m for m in {sorted(HEAVY)} if m in sys.modules])")
    took = []
    for _ in range(3):
        begun = cpu_s()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        took.append(cpu_s() - begun)
        assert done.stdout.strip().endswith("[]")
    assert min(took) < 0.5


def test_what_plans_and_runs_a_study_loads_nothing_heavy_until_a_stage_needs_it():
    code = f"import sys, divscale.run, divscale.look, divscale.preview; print([m for m in {sorted(HEAVY)} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def cpu_s() -> float:
    """Computing time of the processes that have ended: other work on the machine does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
