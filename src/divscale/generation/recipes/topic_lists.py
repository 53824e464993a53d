"""Where topics come from: real words, labels, clusters, a model's proposals, a file. Each in an order that nests."""

from __future__ import annotations

import heapq
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from divscale.errors import DataError
from divscale.generation.recipes.asking import shuffled_rows, topic_of
from divscale.generation.recipes.protocol import Sources
from divscale.order import shuffled

Topics = dict[str, int]  # topic -> how many real rows are about it, in the order in which levels take them
_TELLING = 3  # words that name a cluster
_WORD = re.compile(r"[^\W\d_]{3,}")
_TREES = (".yaml", ".yml", ".json")


def of_words(rows: Sequence[dict[str, Any]], seed: int) -> Topics:
    """The longest word of each text, in a shuffle of the texts."""
    return dict(Counter(topic_of(row["text"]) for row in shuffled_rows(rows, seed, "topics")))


def of_labels(rows: Sequence[dict[str, Any]], seed: int) -> Topics:
    """The labels of the rows, shuffled."""
    counts = Counter(row["label"] for row in rows if row["label"])
    return {label: counts[label] for label in shuffled(counts, seed, "topics")}


def of_clusters(
    rows: Sequence[dict[str, Any]], x_ND: NDArray[np.float32], sources: Sources, k: int, named_by: str, seed: int,
) -> Topics:
    """Names of k clusters of the rows' vectors, shuffled; clusters of one name are one topic.

    Args:
        rows: N real rows.
        x_ND: their vectors.
        sources: has the k-means.
        k: clusters, at most N.
        named_by: `medoid`, the text nearest to the cluster's mean; or `words`, the three most telling words: with the
            highest share of the cluster's texts that have it, times log(1 + N / texts that have it).
        seed: of the clusters and of the shuffle.

    Raises:
        DataError: fewer rows than clusters.
    """
    if len(rows) < k:
        raise DataError(f"recipe.topics: {k} clusters are asked for and there are {len(rows)} real rows to form them; "
                        "ask for fewer, or give more data.")
    assert sources.measurements is not None
    cluster_N = sources.measurements.clusters(x_ND, k, seed=seed)
    words = [set(_WORD.findall(row["text"].lower())) for row in rows]
    texts_with = Counter(word for of_text in words for word in of_text)
    sizes: Counter[str] = Counter()
    for cluster in np.unique(cluster_N):
        own = np.flatnonzero(cluster_N == cluster)
        if named_by == "medoid":
            name = rows[own[int((x_ND[own] @ x_ND[own].mean(axis=0)).argmax())]]["text"]
        else:
            inside = Counter(word for row in own for word in words[row])
            telling = sorted(inside, key=lambda word: (-inside[word] * np.log1p(len(rows) / texts_with[word]), word))
            name = ", ".join(telling[:_TELLING]) or topic_of(rows[own[0]]["text"])
        sizes[name] += len(own)
    return {name: sizes[name] for name in shuffled(sizes, seed, "topics")}


def proposed(tables: Iterator[pa.Table], label: str | None) -> list[str]:
    """Topics that a model proposed for a label, without those that differ in case, spaces or punctuation alone."""
    distinct: dict[str, str] = {}
    for table in tables:
        for text, of in zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True):
            if of == label:
                distinct.setdefault(" ".join(re.findall(r"\w+", text.lower())), text)
    return list(distinct.values())


def read_topics(value: Any) -> Any:
    """Topics of a file: its lines, or the leaves of a tree (YAML, JSON), each with its path (`animals > cats`).

    What is not a path is left as it is: topics may stand in the study.

    Raises:
        ValueError: a file that cannot be read, or is no tree, or holds nothing.
    """
    if not isinstance(value, (str, Path)):
        return tuple(value) if isinstance(value, list) else value
    path = Path(os.path.expanduser(value))  # noqa: PTH111 (an unknown user is no error here)
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() in _TREES:
            tree = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
            topics = [" > ".join(leaf) for leaf in _leaves(tree) if leaf]
        else:
            topics = [line.strip() for line in text.splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{value} cannot be read as topics ({str(error).splitlines()[0]}); give a text file with one "
                         "a line, or a tree as YAML or JSON") from error
    if not topics:
        raise ValueError(f"{value} holds no topics; write one a line, or a tree as YAML or JSON")
    return tuple(dict.fromkeys(topics))


def _leaves(tree: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(tree, Mapping) and tree:
        for name, below in tree.items():
            yield from ((str(name), *leaf) for leaf in _leaves(below))
    elif isinstance(tree, list):
        for below in tree:
            yield from _leaves(below)
    elif tree is None or tree == {}:
        yield ()
    else:
        yield (str(tree),)


def in_turn(weights: Sequence[int], count: int) -> list[int]:
    """Which topic each of `count` samples is about, so that every beginning keeps to the weights as whole numbers can.

    Webster's order: the j-th sample of a topic of weight w comes at (j + 1/2) / w; equal weights take turns. More
    samples extend fewer. O(count log topics).
    """
    comes = heapq.merge(*(_times(weight, topic) for topic, weight in enumerate(weights)))
    return [topic for _, topic in islice(comes, count)]


def _times(weight: int, topic: int) -> Iterator[tuple[float, int]]:
    j = 0
    while True:
        yield (j + 0.5) / weight, topic
        j += 1
