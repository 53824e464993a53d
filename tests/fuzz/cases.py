"""Hostile studies, overrides and data files: case number N is the same files and words on every machine."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).parents[2]
CONFIGS = sorted([*(ROOT / "configs").rglob("*.yaml"), *(ROOT / "tests" / "studies").glob("*.yaml")])
BASES: list[dict[str, Any]] = [found for path in CONFIGS if "clusters" not in path.parts
                               for found in [yaml.safe_load(path.read_text(encoding="utf-8"))] if "recipe" in found]
CLUSTERS = [path.read_text(encoding="utf-8") for path in CONFIGS if "clusters" in path.parts]

ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 10**6, 10**9, 10**12, 10**30, -10**12, 2**63, 0.0, -0.0, 0.5, 1e-300, 1e308,
    float("nan"), float("inf"), "", " ", "\x00", "\ud800", "a" * 10_000, "../../x", "/etc/passwd", "\u202e", "\n", "null", "none", "1e5", "{{ x }}",
    "%s%n", "pretrain", "pretrain:", "encoder", "minilm", "pydocs", "rows.jsonl", "x\r\ny", "s3://", "file:///etc/passwd", "://", "http://", "~",
    "~nobody/x", "rows*.jsonl", "[", [], {}, [[]], [None], [1, 1], [0.5, float("nan")], {"": ""}, {"a": {"b": {}}}, [{}], [[[[[[]]]]]], b"\xff\x00")
NUMBERS = (0, -1, 10**5, 10**6, 10**7, 10**8, 10**9, 10**12, 10**18, 10**30, 1e300)
COUNTS = ("recipe.samples", "recipe.candidates", "recipe.attempts", "recipe.max_tokens", "seeds.generation", "seeds.data", "seeds.training",
          "measure.n", "measure.subsamples", "data.labelled", "data.world_size", "mix.0.generated", "mix.0.total", "train.0.optim.steps",
          "train.0.max_length", "train.0.lr", "recursion.generations", "resources.requests_per_batch", "resources.cpus", "resources.object_store_gib",
          "pretrain.generator.architecture.hidden_size", "pretrain.generator.architecture.layers", "pretrain.generator.architecture.heads",
          "pretrain.base.optim.batch_size", "generator.engine.max_model_len", "evaluate.max_tokens", "agreement.votes", "recipe.topics", "recipe.paraphrases_per_source", "recipe.examples", "data.labels", "pretrain.generator.architecture.vocab_size", "recipe.temperature")
TEXT_BOMBS: tuple[str, ...] = (
    "name: x\ndata: &a [*a]\n", "a: &a [*a, *a]\nname: *a\n", "[" * 20_000, "{a: " * 20_000, "- " * 20_000, "? " * 5_000, "a: " * 3_000,
    "\n".join(f"{'  ' * i}a:" for i in range(1_500)),
    "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]" for i in range(12))
    + "\nname: *m\n",
    "a: &a {x: y}\n" + "\n".join(f"{chr(98 + i)}: &{chr(98 + i)} {{<<: *{chr(97 + i)}, p{i}: *{chr(97 + i)}, q{i}: *{chr(97 + i)}}}" for i in range(20))
    + "\ndata: *u\n",
    "a: &a {<<: *a}\n", "<<: [1, 2]\n", "<<: &x {<<: *x}\nname: y\n", "name: !!python/object/apply:os.system ['touch /tmp/owned']\n",
    "name: !!python/name:os.system x\n", "!!python/object/new:tuple [[1]]\n", "name: !!binary '****'\n", "name: !!timestamp 2001-99-99\n",
    "name: 2001-99-99\n", "name: 2001-12-14t21:59:43.10-99:99\n", "name: !!set {a, b}\n", "name: !!omap [a: 1]\n", "name: !!int x\n", "name: !!float x\n", "name: !!bool x\n", "name: !!null x\n",
    "name: !!pairs [[1, 2, 3]]\n", "? [a, b]\n: c\n", "? {a: b}\n: c\n", "? !!set {a}\n: c\n", "[a]: b\n", "{a: b}: c\n", "\ufeffname: x\n", "name: x\x00y\n", "\tname: x\n", "name: x\n---\nname: y\n", "",
    "---\n", "...\n", "%YAML 9.9\n---\nname: x\n", "%TAG ! tag:x,2000:\n---\n!y z\n", "name: " + "1" * 6_000 + "\n", "name: 0x" + "f" * 9_000 + "\n",
    "name: 0b" + "1" * 40_000 + "\n", "name: " + ":".join(["59"] * 3_000) + "\n", "name: " + ":".join(["59"] * 3_000) + ".5\n", "name: 1e" + "9" * 500 + "\n", "name: .nan\n",
    "name: 'x\n", 'name: "\\ud800"\n', 'name: "\\U0011ffff"\n', 'name: "\\x0"\n', "name: |\n" + " x\n" * 50_000, "# " + "x" * 1_000_000 + "\n",
    "\n".join(f"key{i}: {i}" for i in range(5_000)) + "\n", "data: {" + ", ".join(f"k{i}: v" for i in range(5_000)) + "}\n", "1: 2\n", "null: 2\n", "true: false\n", "1.5: 2\n", "2001-01-01: 2\n",
    "name: x\nresources: [1]\n", "name: x\nresources: 1\n")

WORDS = ("cat", "dog", "sea", "ship", "tree", "letter", "engine", "night", "paper", "stone")


@dataclass(frozen=True)
class Case:
    """What a case does: `files` (name -> bytes) lie in the folder it runs in; `words` go to the command line, or to
    `data.sources.load` where `task` is set."""

    kind: str
    words: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    task: str | None = None


def rows(count: int = 40) -> list[dict[str, Any]]:
    """Rows that every task can read."""
    return [{"id": f"r{i}", "text": f"What did the {WORDS[i % 10]} number {i} find in the {WORDS[(i * 7 + 3) % 10]}?", "label": WORDS[i % 2],
             "context": f"The {WORDS[i % 10]} {i // 2} found a {WORDS[i % 9]}.", "answers": [f"a {WORDS[i % 9]}"], "group": f"g{i // 2}"} for i in range(count)]


def encoded(table_rows: list[dict[str, Any]], kind: str, chance: random.Random) -> bytes:
    """`table_rows` as a file of a format; what a format cannot hold becomes text."""
    out = io.BytesIO()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in table_rows).encode()
    if kind == "csv":
        names = list(dict.fromkeys(name for row in table_rows for name in row))
        lines = [",".join(_cell(name) for name in names), *(",".join(_cell(row.get(name, "")) for name in names) for row in table_rows)]
        return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
    if kind == "npy":
        np.save(out, np.random.default_rng(chance.randrange(1000)).normal(size=(len(table_rows), 8)).astype(chance.choice([np.float32, np.float64, np.float16, np.int8])))
        return out.getvalue()
    try:
        table = pa.Table.from_pylist(table_rows)
        pq.write_table(table, io.BytesIO())  # a column of empty objects cannot be written
    except (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError):
        table = pa.Table.from_pylist([{name: ascii(value) for name, value in row.items()} for row in table_rows])
    if chance.random() < 0.3:
        table = table.append_column("v", pa.array([[float(i), 1.0, 2.0] for i in range(table.num_rows)], pa.list_(pa.float32())))
    if kind == "parquet":
        pq.write_table(table, out, compression=chance.choice(["snappy", "zstd", "none", "gzip"]), use_dictionary=chance.random() < 0.5,
                       row_group_size=chance.choice([5, 1000]))
        return out.getvalue()
    with (pa.ipc.new_stream if chance.random() < 0.7 else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=chance.choice([7, 1000]))
    return out.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text


def mutated_bytes(content: bytes, chance: random.Random) -> bytes:
    """One to four changes of bytes, half of them near the end, where footers are, or the beginning, where headers are."""
    for _ in range(chance.randint(1, 4)):
        size = len(content)
        near = chance.random()
        at = chance.randrange(size + 1) if near < 0.5 else max(0, size - 1 - chance.randrange(400)) if near < 0.75 else min(size, chance.randrange(200))
        what = chance.randrange(8)
        if what == 0 and at < size:
            content = content[:at] + bytes([content[at] ^ (1 << chance.randrange(8))]) + content[at + 1:]
        elif what == 1:
            content = content[:at]
        elif what == 2:
            content = content[:at] + chance.randbytes(chance.randint(1, 16)) + content[at:]
        elif what == 3:
            content = content[:at] + content[at + chance.randint(1, 64):]
        elif what == 4:
            wide = chance.choice([1, 2, 4, 8])
            content = content[:at] + chance.choice([0, 1, -1, 2**7 - 1, 2**15 - 1, 2**31 - 1, 2**63 - 1, -2**31]).to_bytes(12, "little", signed=True)[:wide] + content[at + wide:]
        elif what == 5:
            other, wide = chance.randrange(size + 1), chance.randint(1, 200)
            content = content[:at] + content[other:other + wide] + content[at + wide * chance.randint(0, 1):]
        elif what == 6:
            content = content[:at] + bytes(chance.choice([1, 100, 5000])) + content[at:]
        else:
            content = content[:at] + chance.choice([b'"', b"{", b"[" * 3000, b"\n", b"\r", b",", b"\xff\xfe", b"\xed\xa0\x80", b"1" * 5000, b"NaN", b"\\ud800", b"1e999", b"\x00", b"\xef\xbb\xbf"]) + content[at:]
    return content


def mutated_rows(chance: random.Random) -> list[dict[str, Any]]:
    """Good rows with some values, columns and rows that are not."""
    found = rows(chance.choice([0, 1, 2, 5, 40, 40, 40]))
    for _ in range(chance.randint(1, 5)):
        if not found:
            break
        place, name = chance.randrange(len(found)), chance.choice([*rows(1)[0], "other"])
        what = chance.randrange(6)
        if what < 3:
            found[place][name] = _plain(chance.choice(ODD))
        elif what == 3:
            value = _plain(chance.choice(ODD))
            found = [{**row, name: value} for row in found]
        elif what == 4:
            found = [{key: value for key, value in row.items() if key != name} for row in found]
        else:
            found[place:place + 1] = chance.choice([[], [found[place]] * 3, [{}]])
    return found


def _plain(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def mutated_tree(tree: Any, chance: random.Random) -> Any:
    """A study with one to three changes of its keys, values or sections."""
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        places = list(_places(tree))
        holder, key = chance.choice(places)
        what = chance.randrange(10)
        if what < 4:
            holder[key] = chance.choice(ODD)
        elif what == 4:
            del holder[key]
        elif what == 5 and isinstance(holder, dict):
            holder[chance.choice(["", "other", f"{key}s", f" {key}", 1, None, "__class__", "model_config"])] = holder[key]
        elif what == 6:
            holder[key] = [holder[key]] * chance.choice([1, 2, 50])
        elif what == 7:
            other, name = chance.choice(list(_places(json.loads(json.dumps(chance.choice(BASES))))))
            holder[key] = other[name]
        elif what == 8 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = chance.choice(NUMBERS)
        else:
            deep: Any = holder[key]
            for _ in range(chance.choice([1, 3, 50])):
                deep = {"a": deep} if chance.random() < 0.5 else [deep]
            holder[key] = deep
        if not isinstance(tree, dict) or not tree:
            break
    return tree


def _places(node: Any) -> Any:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield node, key
        yield from _places(value)


def _base(chance: random.Random) -> dict[str, Any]:
    """A shipped study on small data that lie beside it."""
    study = json.loads(json.dumps(chance.choice(BASES)))
    if study["data"]["source"] not in ("pydocs", "storyland") or chance.random() < 0.9:
        study["data"] = {**study["data"], "source": "rows.jsonl", **({"test": "test.jsonl"} if "test" in study["data"] else {})}
        study["data"].pop("out_of_distribution", None)
    return study


def _study_files(text: bytes) -> dict[str, bytes]:
    chance = random.Random(0)
    return {"study.yaml": text, "rows.jsonl": encoded(rows(), "jsonl", chance), "test.jsonl": encoded(rows(12), "jsonl", chance)}


def _dumped(tree: Any) -> bytes:
    return yaml.safe_dump(tree, sort_keys=False).encode("utf-8", "surrogatepass")


def _tree(chance: random.Random) -> Case:
    return Case("study, values", ("plan", "study.yaml"), _study_files(_dumped(mutated_tree(_base(chance), chance))))


def _counts(chance: random.Random) -> Case:
    changes = [f"{chance.choice(COUNTS)}={chance.choice(NUMBERS)}" for _ in range(chance.randint(1, 2))]
    return Case("study, counts", ("plan", "study.yaml", *changes), _study_files(_dumped(_base(chance))))


def _text(chance: random.Random) -> Case:
    text = mutated_bytes(chance.choice(CONFIGS).read_bytes(), chance)
    return Case("study, bytes", ("plan", "study.yaml"), _study_files(text))


def _bomb(chance: random.Random) -> Case:
    text = chance.choice(TEXT_BOMBS)
    if chance.random() < 0.5:
        good = _dumped(_base(chance)).decode("utf-8", "surrogatepass")
        text = chance.choice([f"{good}{text}", f"{text}{good}", good.replace("name:", f"name: {text.partition(': ')[2]}other:", 1)])
    return Case("study, bombs", ("plan", "study.yaml"), _study_files(text.encode("utf-8", "surrogatepass")))


def _override(chance: random.Random) -> Case:
    base = _base(chance)
    holder, key = chance.choice(list(_places(base)))
    name = next((f"{part}.{key}" for part, value in base.items() if value is holder), str(key))
    value = chance.choice(ODD)
    text = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).split("\n...")[0].strip()
    name = chance.choice([name, name, name, f"{name}.", f".{name}", f"{name}.0", f"{name}.99999999999999999999", f"{name}.\u00b2", f"{name}.x.y", "", "name", "."])
    word = f"{name}={text if chance.random() < 0.8 else chance.choice(TEXT_BOMBS)[:2000]}"
    return Case("study, overrides", ("plan", "study.yaml", word.replace("\x00", "")), _study_files(_dumped(base)))


def _cluster(chance: random.Random) -> Case:
    text = chance.choice([mutated_bytes(chance.choice(CLUSTERS).encode(), chance), chance.choice(TEXT_BOMBS).encode("utf-8", "surrogatepass")])
    files = _study_files(_dumped(_base(chance)))
    return Case("cluster, bytes", ("plan", "study.yaml", "--cluster", "cluster.yaml"), {**files, "cluster.yaml": text})


def _saved(content: bytes, chance: random.Random) -> dict[str, bytes]:
    state = b'{"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_fingerprint": "x", "_split": "train"}'
    if chance.random() < 0.3:
        state = mutated_bytes(state, chance)
    return {"saved/dataset_info.json": b"{}", "saved/state.json": state, "saved/data-00000-of-00001.arrow": content}


def _data_case(kind: str, content: bytes, chance: random.Random, what: str) -> Case:
    files = _saved(content, chance) if kind == "arrow" else {f"rows.{kind}": content}
    if kind == "npy":
        return Case(f"{kind}, {what}", ("measure", "rows.npy", "--metrics", "nn"), files)
    name = "saved" if kind == "arrow" else f"rows.{kind}"
    task = chance.choice([None, None, "classification", "qa", "text"]) if kind != "arrow" else None
    more = chance.choice([(), (), ("--text-column", chance.choice(["text", "label", "answers", "other", "", "text,label"])), ("--by", "label"), ("--vectors", "v", "--metrics", "nn")])
    metrics = () if "--metrics" in more else ("--metrics", chance.choice(["distinct", "length", "compression", "distinct,length"]))
    return Case(f"{kind}, {what}", ("measure", name, *metrics, *more), files, task)


def _data_bytes(chance: random.Random) -> Case:
    kind = chance.choice(["jsonl", "csv", "parquet", "parquet", "npy", "arrow", "arrow"])
    return _data_case(kind, mutated_bytes(encoded(rows(), kind, chance), chance), chance, "bytes")


def _data_values(chance: random.Random) -> Case:
    kind = chance.choice(["jsonl", "csv", "parquet", "arrow"])
    return _data_case(kind, encoded(mutated_rows(chance), kind, chance), chance, "values")


def _json_bomb(chance: random.Random) -> Case:
    value = chance.choice(["[" * 100_000, "[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "1" * 5000, "1e999", "NaN", "-Infinity", '"\\ud800"', '"' + "x" * 5_000_000 + '"',
                           "1" * 4000, "[" + "1," * 200_000 + "1]", "{" + ",".join(f'"k{i}":1' for i in range(5000)) + "}", '"\\u0000"', "true", "null", "{}", "[]"])
    lines = [json.dumps(row) for row in rows()]
    place = chance.choice(["text", "label", "answers", "other", "id"])
    lines[3] = lines[3][:-1] + f', "{place}": {value}}}' if chance.random() < 0.8 else value
    return _data_case("jsonl", ("\n".join(lines) + "\n").encode(), chance, "bombs")


MAKERS: tuple[tuple[int, Callable[[random.Random], Case]], ...] = (
    (28, _tree), (10, _counts), (10, _text), (5, _bomb), (7, _override), (3, _cluster), (22, _data_bytes), (12, _data_values), (3, _json_bomb))


def case(number: int) -> Case:
    """Case `number`."""
    chance = random.Random(number)
    weights, makers = zip(*MAKERS, strict=True)
    return chance.choices(makers, weights)[0](chance)
