"""The form of the Dockerfiles: they are read, not built."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from divscale.doctor import IMAGE_LOCK

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "cluster" / "docker"
FILES = sorted(path for path in FOLDER.glob("Dockerfile.*") if path.suffix != ".dockerignore")


def instructions(path):
    """Name and words of each, continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_bases_are_pinned_and_nothing_is_added_from_afar(path):
    found = instructions(path)
    bases = [words.split()[0] for name, words in found if name == "FROM"]
    assert bases and all(re.fullmatch(r"python:3\.11\.\d+(-slim)?-bookworm", base) for base in bases)
    assert {name for name, _ in found} <= {"FROM", "ARG", "RUN", "COPY", "ENV", "WORKDIR", "USER", "CMD"}  # so no ADD
    assert not re.search(r"curl|wget http|--trusted-host|\bsudo\b", path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_ends_as_a_user_who_is_not_root_by_number(path):
    found = instructions(path)
    users = [(i, words) for i, (name, words) in enumerate(found) if name == "USER"]
    (at, user), = users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert [name for name, _ in found[at + 1:]] == ["CMD"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_packages_are_those_of_the_lock_and_debian_s_lists_are_cleaned(path):
    runs = [words for name, words in instructions(path) if name == "RUN"]
    for run in runs:
        if "apt-get install" in run:
            assert "apt-get update &&" in run and "--no-install-recommends" in run and "rm -rf /var/lib/apt/lists/*" in run
        if "pip install" in run:
            assert "--no-deps" in run and "--no-cache-dir" in run
    lock = {"cpu": "cpu.txt", "cuda": "gpu.txt"}[path.suffix[1:]]
    assert sum(f"-r /build/requirements/{lock}" in run for run in runs) == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_lock_lies_where_doctor_looks_for_it(path):
    lock = {"cpu": "cpu.txt", "cuda": "gpu.txt"}[path.suffix[1:]]
    found = instructions(path)
    at = found.index(("COPY", f"requirements/{lock} /opt/venv/{IMAGE_LOCK}"))
    assert ("COPY", "--from=build /opt/venv /opt/venv") in found[:at]
    assert any(name == "ENV" and "PATH=/opt/venv/bin:" in words for name, words in found)  # whose prefix is /opt/venv


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_it_copies_is_there_and_not_kept_from_it(path):
    allowed = [line[1:] for line in path.with_name(f"{path.name}.dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [source for name, words in instructions(path) if name == "COPY" and not words.startswith("--from")
               for source in shlex.split(words)[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(Path(source).match(pattern) for pattern in allowed), source


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_secret_is_in_an_image(path):
    names = [re.split(r"[=\s]", words)[0] for name, words in instructions(path) if name in ("ARG", "ENV")]
    assert not [name for name in names if re.search("TOKEN|KEY|SECRET|PASSWORD", name)]


def test_the_builder_refuses_what_it_cannot_build():
    done = subprocess.run([FOLDER / "build.sh", "tpu"], capture_output=True, text=True)
    assert done.returncode == 2 and "say cpu or cuda" in done.stderr
    done = subprocess.run([FOLDER / "build.sh", "cpu"], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "ENGINE": "no-such-engine"})
    assert done.returncode == 3 and "is not installed" in done.stderr
