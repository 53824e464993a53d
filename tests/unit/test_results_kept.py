"""Where `measure`, `dedup` and `select` write: refused before the work, whole or not there after it, on any terminal."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from divscale.cli import main
from divscale.errors import StageFailedError
from divscale.stages.out_file import whole

COMMAND = [sys.executable, "-m", "divscale"]
TEXTS = [f"Sentence {i} is about {subject} {os.urandom(60).hex()}." for i in range(40) for subject in ("cats", "the sea")]
MEND = "Nothing of it is kept; mend the disk, or name another place, and start again."


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text("".join(json.dumps({"text": text, "day": 1}) + "\n" for text in TEXTS), "utf-8")
    np.save("x.npy", np.random.default_rng(0).normal(size=(300, 16)))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.jsonl").write_text(Path("rows.jsonl").read_text("utf-8"), "utf-8")
    return tmp_path


SELECT = ["select", "x.npy", "--to-diversity", "99.9", "--size", "100", "--out"]
DISTINCT = ["measure", "rows.jsonl", "--text-column", "text", "--metrics", "distinct"]


@pytest.mark.parametrize(("words", "message"), [
    ([*DISTINCT, "--json", "-", "--html", "-"],
     "--json and --html: both cannot go to standard output; name a file for one of them."),
    ([*DISTINCT, "--json", "a", "--html", "./a"], "--json and --html: both name a; name a file for each."),
    ([*DISTINCT, "--json", "rows.jsonl"], "--json: rows.jsonl is the data that is read; name another file."),
    ([*DISTINCT, "--seed", "-1"], "--seed: -1 is below 0; give a whole number from 0."),
    ([*DISTINCT, "--max-minutes", "nan"], "--max-minutes: nan minutes are no limit; give a number above 0."),
    ([*DISTINCT, "--max-minutes", "0"], "--max-minutes: 0 minutes are no limit; give a number above 0."),
    ([*SELECT, "x.npy"], "--out: x.npy is the data that is read; name another file."),
    ([*SELECT, "y.npy", "--seed", "-1"], "--seed: -1 is below 0; give a whole number from 0."),
    ([*SELECT, "y.npy", "--to-diversity", "nan"], "--to-diversity: nan is no number of rows; give a finite one."),
    (["dedup", "data", "--out", "data/clean"], "--out: data/clean lies in the folder that is read, and would be read "
     "with it next time; name one beside it."),
    (["dedup", "rows.jsonl", "--out", "x.npy"], "--out: x.npy cannot be written (Not a directory). Name another folder."),
    (["dedup", "rows.jsonl", "--out", "o", "--semantic", "nan"],
     "semantic: a cosine similarity of nan cannot be; give one in (-1, 1]."),
], ids=lambda value: value if isinstance(value, str) else None)
def test_what_cannot_be_is_refused_before_anything_is_read(
    words: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(folder)
    assert main(words) == 2
    assert capsys.readouterr() == ("", f"divscale: {message}\n")
    assert contents(folder) == before


@pytest.mark.parametrize(("words", "option"), [
    ([*DISTINCT, "--json", "locked/a.json"], "--json: locked/a.json cannot be written (Permission denied). Name another "
     "file."),
    ([*SELECT, "locked/y.npy"], "--out: locked/y.npy cannot be written (Permission denied). Name another file."),
    (["dedup", "rows.jsonl", "--out", "locked/o"], "--out: locked/o cannot be written (Permission denied). Name another "
     "folder."),
], ids=["measure", "select", "dedup"])
def test_a_folder_that_cannot_be_written_is_known_before_anything_is_read(
    words: list[str], option: str, folder: Path
) -> None:
    (folder / "locked").mkdir(mode=0o555)
    # root may write everywhere, unless it lays that capability down
    prefix = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, *COMMAND, *words], capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"divscale: {option}\n")


@pytest.mark.parametrize(("words", "named"), [
    ([*SELECT, "y.npy"], "--out: y.npy"), (["dedup", "rows.jsonl", "--text-column", "text", "--out", "o"], "--out: o"),
    ([*DISTINCT, "--html", "a.html", "--json", "a.json"], "--html: a.html")], ids=["select", "dedup", "measure"])
def test_a_disk_that_fills_up_leaves_nothing_half_written(words: list[str], named: str, folder: Path) -> None:
    """A limit on file sizes fails the same write as a full disk does, on every machine."""
    before = contents(folder)
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=600,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)))
    said = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and said.startswith(f"divscale: {named} cannot be written (") and said.endswith(MEND)
    assert "(File too large)" in said or "[errno 27] File too large" in said or "requested and" in said  # OS, Arrow, NumPy
    assert contents(folder) == before
    assert ("distinct_2" in done.stdout) == ("measure" in words)  # what was found is shown all the same


def test_a_file_that_was_there_stays_as_it_was_when_writing_fails(folder: Path) -> None:
    Path("a.json").write_text("earlier", "utf-8")
    with pytest.raises(StageFailedError), whole("--json", "a.json", Path("a.json")) as (part,):
        part.write_text("half", "utf-8")
        raise OSError(28, "No space left on device")
    assert Path("a.json").read_text("utf-8") == "earlier" and not list(folder.glob(".a*"))


def test_a_reader_that_leaves_costs_no_file_and_is_no_fault() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, *DISTINCT, "--json", "a.json"], stdout=write, stderr=subprocess.PIPE, text=True,
                          timeout=600)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "rows.jsonl: text from column text\n")
    assert json.loads(Path("a.json").read_text("utf-8"))["rows"] == len(TEXTS)


def test_a_full_standard_output_and_one_that_knows_no_letters() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, *DISTINCT], stdout=full, stderr=subprocess.PIPE, text=True, timeout=600)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1, "divscale: standard output cannot be written (No space left on device).")
    Path("caf\xe9.jsonl").write_text(Path("rows.jsonl").read_text("utf-8"), "utf-8")
    done = subprocess.run([*COMMAND, "measure", "caf\xe9.jsonl", *DISTINCT[2:]], capture_output=True, text=True,
                          timeout=600, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and done.stdout.startswith(r"caf\xe9.jsonl: 80 rows")


def test_an_interrupted_command_says_that_it_starts_anew(folder: Path) -> None:
    pool = np.random.default_rng(0).normal(size=(60_000, 64)).astype(np.float32)
    np.save("x.npy", pool)
    before = contents(folder)
    # a shell's background jobs ignore SIGINT, and children inherit that
    running = subprocess.Popen([*COMMAND, "dedup", "x.npy", "--out", "o", "--semantic", "0.1"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert running.stderr is not None and running.stderr.readline() == "x.npy: vectors from an array\n"
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=600)
    assert (running.returncode, out, err) == (
        130, "", "divscale: interrupted. No file was written; the same command starts from the beginning.\n")
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
