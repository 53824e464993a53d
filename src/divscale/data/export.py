"""Write samples for people and other tools: Parquet or JSON lines, in the layouts that fine-tuning tools read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from divscale.data.card import card
from divscale.data.location import file_hash
from divscale.schema import Task

Layout = Literal["samples", "messages", "prompt", "text"]
Format = Literal["parquet", "jsonl"]


def export(samples: pa.Table, folder: Path, *, task: Task, layout: Layout = "messages", format: Format = "parquet",
           name: str = "divscale samples", about: Sequence[str] = (), facts: Mapping[str, str] | None = None) -> Path:
    """Write a folder that `datasets.load_dataset` opens: the data file and a dataset card. Returns the data file.

    Args:
        samples: SAMPLES, at least one row.
        folder: Created if missing; an export already there is replaced.
        task: What a row asks and answers.
        layout: `samples` (all columns as they are), `messages` (user and assistant turns), `prompt` (prompt and
            completion), `text` (both in one). All but the first also carry id, label and origin.
        format: Parquet, or JSON lines for people.
        name: Title of the card.
        about: Sentences under it.
        facts: A table under these: what, and its value.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = samples.to_pylist()
    if layout != "samples":
        rows = [{"id": row["id"], **_laid_out(row, task, layout), "label": row["label"], "origin": row["origin"]}
                for row in rows]
    file = folder / f"train.{format}"
    if format == "parquet":
        pq.write_table(samples if layout == "samples" else pa.Table.from_pylist(rows), file, compression="zstd")
    else:
        with file.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "README.md").write_text(
        card(samples, name=name, task=task, layout=layout, file=file.name, content=file_hash(str(file)), about=about,
             facts=facts or {}), "utf-8")
    return file


def _laid_out(row: dict[str, Any], task: Task, layout: Layout) -> dict[str, Any]:
    prompt, completion = _turns(row, task)
    if layout == "messages":
        asked = [{"role": "user", "content": prompt}] if prompt else []
        return {"messages": [*asked, {"role": "assistant", "content": completion}]}
    if layout == "prompt":
        return {"prompt": prompt, "completion": completion}
    return {"text": "\n\n".join(part for part in (prompt, completion) if part)}


def _turns(row: dict[str, Any], task: Task) -> tuple[str, str]:
    """What is asked and what is to be written."""
    if task == "classification":
        return row["text"], row["label"]
    if task == "qa":
        return f"{row['context']}\n\n{row['text']}", row["answers"][0]
    return row["context"] or "", row["text"]
