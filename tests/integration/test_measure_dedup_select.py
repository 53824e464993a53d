"""`divscale measure`, `dedup` and `select` as commands, on texts, with the real encoder and a real Ray."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.engine
SUBJECTS = ("a cat", "the sea", "old trains", "my bank card", "a lost parcel", "the weather")
SENTENCES = [f"Question {i}: what should I know about {subject}?" for i in range(4) for subject in SUBJECTS]


def divscale(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "divscale", *words], cwd=folder, capture_output=True, text=True,
                          timeout=900)


def test_chats_against_a_table_in_numbers_and_a_page_and_a_subset_of_a_wanted_diversity(tmp_path: Path) -> None:
    chats = [{"messages": [{"role": "user", "content": sentence}], "topic": SUBJECTS[i % 6]}
             for i, sentence in enumerate(SENTENCES)]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats), encoding="utf-8")
    pq.write_table(pa.table({"said": [f"Trains are late on day {day}." for day in range(12)]}), tmp_path / "t.parquet")

    done = divscale(tmp_path, "measure", "chats.jsonl", "--reference", "t.parquet", "--by", "topic", "--json", "x.json",
                    "--html", "x.html")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["chats.jsonl: text from column messages", "t.parquet: text from column said"]
    assert done.stdout.splitlines()[0] == "chats.jsonl: 24 rows, measured at n = 4, against t.parquet: 12 rows"
    found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert found["encoder"] == {"embedder": "minilm", "pooling": "mean", "normalize": True, "max_length": 128,
                                "dtype": "float32"}
    assert set(found["groups"]) == set(SUBJECTS)
    assert all(group["vendi"]["value"] < found["metrics"]["vendi"]["value"] for group in found["groups"].values())
    assert "minilm" in (tmp_path / "x.html").read_text(encoding="utf-8")

    done = divscale(tmp_path, "select", "chats.jsonl", "--to-diversity", "3", "--size", "8", "--measure", "vendi", "--out",
                    "low.jsonl")
    assert done.returncode == 0, done.stderr
    chosen = [json.loads(line) for line in (tmp_path / "low.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(chosen) == 8 and all(row in chats for row in chosen)
    reached = re.search(r"8 of 24 rows, vendi = ([\d.]+) \(asked for 3\)", done.stdout)
    assert reached is not None and float(reached[1]) == pytest.approx(3, abs=0.6)


def test_semantic_duplicates_go_with_the_row_they_repeat(tmp_path: Path) -> None:
    texts = [*SENTENCES[:6], "What should I know about the weather? A question, number 0.", SENTENCES[0].upper()]
    pq.write_table(pa.table({"id": [f"r{i}" for i in range(8)], "text": texts}), tmp_path / "t.parquet")
    done = divscale(tmp_path, "dedup", "t.parquet", "--out", "out", "--semantic", "0.9")
    assert done.returncode == 0, done.stderr
    gone = pq.read_table(tmp_path / "out" / "rejected.parquet").to_pylist()
    assert [(row["id"], row["reason"], row["duplicate_of"]) for row in gone] == [
        ("r6", "semantic", "r5"), ("r7", "exact", "r0")]
    assert 0.9 <= gone[0]["similarity"] < 1
    assert pq.read_table(tmp_path / "out" / "kept.parquet")["id"].to_pylist() == [f"r{i}" for i in range(6)]
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]
