"""The clean stage on a real store: what stays, what is kept aside with its reason, and what stops a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from toys import Silent

from divscale.data.samples import real_samples
from divscale.errors import DataError
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage, in_order
from divscale.graph.store import Artifact, Store
from divscale.schema import REMOVED, SAMPLES
from divscale.stages import clean
from divscale.stages.context import Context
from divscale.stages.expand import expand, generated_sets
from divscale.study_file import load

SMOKE = Path(__file__).parents[1] / "studies" / "smoke.yaml"
REAL = [
    ("prior", "Return the path of a file as a string."), ("prior", "Raised when an operation on a socket times out."),
    ("pool", "Parse the header of an archive and return it."),
    ("test", "Close the connection to the server and wait until every pending request has been answered or has failed."),
    ("test", "Return the name."),
]
GENERATED = [
    "Return the path of a directory as text.",                      # stays
    "return  the path of a DIRECTORY as text.",                     # exact duplicate of the first
    "Return the path of a directory as text!",                      # near duplicate of it
    "go go go go go go go go",                                      # repetition
    "Open",                                                         # too short
    "It will close the connection to the server and wait until every pending request has been lost.",  # 13 words
    "Return the NAME.",                                             # a test text
    "Wait for the lock that another thread holds.",                 # near a test row's vector
    "Write all bytes to the socket that was given.",                # stays
]
EVERYTHING = ("clean={length: [3, 20], garbage: true, exact: true, near: 0.9, "
              "contamination: {cosine: 0.95, allowed_share: 0.5}}")


def unit(angle: float) -> list[float]:
    return [float(np.cos(angle)), float(np.sin(angle)), 0.0]


def put(store: Store, stage: Stage, tables: dict[str, pa.Table] | None = None, vectors: np.ndarray | None = None) -> None:
    draft = store.draft(stage)
    for role, table in (tables or {}).items():
        draft.write_table(role, table)
    values = {}
    if vectors is not None:
        vectors.astype("<f4").tofile(draft.new_file("vectors", ".f32"))
        values["shape"] = list(vectors.shape)
    draft.commit(values=values)


def cleaned(tmp_path: Path, *overrides: str, texts: list[str] = GENERATED) -> Artifact:
    """One set of `texts`, through the chain of smoke.yaml with overrides."""
    study, store = load(SMOKE, ["recipe.temperature=0.3", *overrides]), Store(tmp_path / "store")
    (stage,) = [stage for stage in in_order([expand(study)]) if stage.name == "clean"]
    real = real_samples({"id": f"r{i}", "text": text, "label": "a"} for i, (_, text) in enumerate(REAL))
    samples = pa.Table.from_pylist(
        [{"id": f"g{i}", "text": text, "label": "a", "origin": "generated"} for i, text in enumerate(texts)], SAMPLES)
    parts = {part: pa.table({"ordinal": pa.array([i for i, (p, _) in enumerate(REAL) if p == part], pa.int64())})
             for part in ("prior", "pool", "test")}
    test_ND = np.array([[0.0, 0.0, 1.0 if i == 4 else -1.0] for i in range(len(REAL))])  # no generated row's plane
    x_ND = np.array([unit(9 + 0.1 * i) for i in range(len(texts))])
    if len(texts) > 7:
        x_ND[7] = test_ND[4]
    put(store, stage.inputs["samples"], {"samples": samples})
    put(store, stage.inputs["vectors"], vectors=x_ND)
    put(store, stage.inputs["data"], {"samples": real})
    put(store, stage.inputs["split"], parts)
    put(store, stage.inputs["test_vectors"], vectors=test_ND)
    job = Job(stage, store, Silent())
    clean.run([job], Context(study, store, Silent()))
    if job.error is not None:
        raise job.error
    return store.open(stage)


def test_every_row_stays_with_its_vector_or_is_kept_aside_with_its_reason_and_what_it_collides_with(tmp_path):
    found = cleaned(tmp_path, EVERYTHING)
    assert found.table("samples")["id"].to_pylist() == ["g0", "g8"]
    assert found.record.rows == Rows(asked=9, ok=2, filtered=7)
    removed = found.table("removed")
    assert removed.schema == REMOVED
    assert [(row["id"], row["reason"], row["collides_with"]) for row in removed.to_pylist()] == [
        ("g1", "exact duplicate", "g0"), ("g2", "near duplicate", "g0"), ("g3", "repetition", None),
        ("g4", "too short", None), ("g5", "overlaps the test set", "r3"), ("g6", "overlaps the test set", "r4"),
        ("g7", "overlaps the test set", "r4")]
    assert found.values["removed"] == {"exact duplicate": 1, "near duplicate": 1, "repetition": 1, "too short": 1,
                                       "overlaps the test set": 3}
    x_ND = np.fromfile(found.path("vectors"), "<f4").reshape(found.values["shape"])
    np.testing.assert_allclose(x_ND, [unit(9), unit(9.8)], rtol=1e-6)


def test_by_default_only_rows_that_share_words_with_the_test_set_go(tmp_path):
    texts = [*GENERATED[:5], *GENERATED[7:], *(f"Sentence number {i}." for i in range(40)), GENERATED[6]]
    found = cleaned(tmp_path, texts=texts)
    assert found.table("removed")["id"].to_pylist() == ["g47"]
    assert found.values["removed"] == {"overlaps the test set": 1}


def test_more_overlap_than_allowed_stops_the_study_with_an_example_and_commits_nothing(tmp_path):
    with pytest.raises(DataError) as caught:
        cleaned(tmp_path)
    assert caught.value.exit_code == 4
    said = str(caught.value)
    assert said.startswith("2 of 9 generated rows overlap the test set (clean.contamination.allowed_share is 5%)")
    assert "with test row r3" in said and "raise clean.contamination.allowed_share" in said


def test_length_real_keeps_the_range_of_the_texts_the_generator_may_know(tmp_path):
    found = cleaned(tmp_path, "clean={length: real, contamination: null}", texts=["a b", "a b c d e f g h i j", "a b c d e f g h i"])
    assert [(row["id"], row["detail"]) for row in found.table("removed").to_pylist()] == [
        ("g0", "2 words, 9 to 9 stay"), ("g1", "10 words, 9 to 9 stay")]


def test_semantic_duplicates_go_by_their_vectors(tmp_path):
    found = cleaned(tmp_path, "clean={semantic: 0.99, contamination: null}", texts=["one", "two", "three"])
    assert [(row["id"], row["collides_with"]) for row in found.table("removed").to_pylist()] == [("g1", "g0")]


def test_a_set_that_loses_every_row_is_committed_empty(tmp_path):
    found = cleaned(tmp_path, "clean={length: [50, 60], contamination: null}", texts=["one", "two"])
    assert found.record.rows == Rows(asked=2, ok=0, filtered=2)
    assert found.values["shape"] == [0, 3]


def test_without_filters_there_is_no_clean_stage_and_what_follows_reads_the_generated_set():
    study = load(SMOKE, ["clean.contamination=null"])
    assert "clean" not in {stage.name for stage in in_order([expand(study)])}
    assert {item.samples.name for items in generated_sets(study).values() for item in items} == {"generate"}


def test_the_prompts_whose_echo_is_garbage_are_identity_and_only_then():
    def configs(*overrides: str):
        return [s.plain_config["prompts"] for s in in_order([expand(load(SMOKE, overrides))]) if s.name == "clean"]

    assert configs() == [[], []]
    (template,) = configs("clean.garbage=true")[0]
    assert template.startswith("{{ label }}")
