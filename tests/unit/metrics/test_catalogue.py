"""The catalogue is the one list of measures: what it names is there, and what reads it agrees with it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from pydantic import ValidationError

from divscale.metrics import log_det, mauve, measure_set
from divscale.metrics.catalogue import CATALOGUE, Metric, metric, names, possible
from divscale.metrics.config import MeasureConfig
from divscale.report.naming import MEASURES, family


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_every_entry_names_a_function_that_takes_what_the_entry_says(entry: Metric):
    module, _, name = entry.home.rpartition(".")
    signature = inspect.signature(getattr(import_module(f"divscale.metrics.{module}"), name))
    keywords = {*entry.settings, *entry.fitted, *([entry.keyed[0]] if entry.keyed else []),
                *(["seed"] if entry.seeded else []), *(["tile_rows", "device"] if entry.tiled else [])}
    keywords |= {"groups", "reference_groups"} if entry.by_source else set()
    signature.bind(*entry.takes, **dict.fromkeys(keywords))


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_every_measure_has_its_numbers_and_a_spread_at_the_least_rows_it_says_it_needs(entry: Metric):
    rng, n = np.random.default_rng(0), entry.least
    vectors, others = rng.normal(size=(2, n, 8)).astype(np.float32)
    texts, other_texts = ([" ".join(rng.choice(list("abcdefgh"), 30)) for _ in range(n)] for _ in range(2))
    chosen = {"diversity": (), "shift": (), entry.kind: (entry.name,)}
    found = measure_set(vectors, texts, others, MeasureConfig(subsamples=3, **chosen), n, 0, labels=list("ab" * n)[:n],
                        reference_texts=other_texts, reference_labels=list("aab" * n)[:n])
    assert len(found) == len(entry.outputs) * (2 if entry.keyed else 1)
    for m in found.values():
        assert np.isfinite(m.value) and (m.low is None) == (entry.spread == "none")
        assert m.low is None or m.low <= m.value <= m.high
    if entry.name == "inertia":  # halves of 400 rows lay on their 200 centroids, and the interval had no width
        assert found["cluster_inertia"].low < 0.99 * found["cluster_inertia"].value


def test_no_interval_holds_values_that_its_number_cannot_have():
    rng = np.random.default_rng(0)
    x_ND, y_ND = rng.normal(size=(2, 40, 8)).astype(np.float32)
    config = MeasureConfig(diversity=("vendi",), shift=("mauve", "labels", "frechet"))
    labels = list("ab" * 20)
    for reference_ND in (y_ND, x_ND):
        found = measure_set(x_ND, None, reference_ND, config, 40, 0, labels=labels, reference_labels=labels)
        assert found["label_js"].low == found["label_tv"].low == 0.0 < found["label_tv"].high
        assert all(found[name].low >= 0 and found[name].high <= 1 for name in ("mauve", "frontier_integral"))
        assert found["frechet"].low >= 0 and found["vendi"].low >= 1


def test_mauve_and_its_frontiers_come_from_one_set_of_clusterings():
    x_ND, y_ND = np.random.default_rng(0).normal(size=(2, 60, 8)).astype(np.float32)
    found = measure_set(x_ND, None, y_ND, MeasureConfig(diversity=(), shift=("mauve",)), 60, 0)
    rows = [np.random.default_rng((0, which, 60, 0)).permutation(60) for which in (0, 1)]
    direct = mauve(x_ND[rows[0]], y_ND[rows[1]])
    assert [found[name].value for name in ("mauve", "mauve_star", "frontier_integral", "frontier_star")] == [
        direct.value, direct.star, direct.frontier, direct.frontier_star]
    assert found["mauve"].low < found["mauve"].value  # of drawing rows, not of the clusterings alone


def test_the_interval_of_a_log_determinant_grows_from_half_the_rows_to_all():
    x_ND = np.random.default_rng(1).normal(size=(4000, 64)).astype(np.float32)
    config = MeasureConfig(diversity=("log_det",), shift=())
    true = np.std([log_det(x_ND[start:start + 40]) for start in range(0, 4000, 40)], ddof=1)
    widths = [(m.high - m.low) / 2 / 2.776 for start in range(0, 800, 40)
              if (m := measure_set(x_ND[start:start + 40], None, None, config, 40, 0)["log_det"])]
    assert true < np.sqrt(np.mean(np.square(widths))) < 2 * true  # without scaling .3 of it


def test_names_and_outputs_are_unique_and_a_shift_has_a_reference():
    outputs = [output.name for entry in CATALOGUE for output in entry.outputs]
    assert len(set(outputs)) == len(outputs)
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)
    for entry in CATALOGUE:
        assert any(part.startswith("reference") for part in entry.takes) or entry.kind == "diversity"


def test_the_default_set_of_a_study_is_the_one_its_identity_was_made_with():
    config = MeasureConfig()
    assert config.diversity == ("dcscore", "vendi", "neighbours", "distinct", "compression")
    assert config.shift == ("frechet", "mmd", "c2st")
    assert config.temperatures == (1.0, 0.05)


def test_a_study_may_name_every_measure_of_the_catalogue_and_no_other():
    assert MeasureConfig(diversity=names("diversity"), shift=names("shift")).diversity == names("diversity")
    with pytest.raises(ValidationError, match="vendi"):
        MeasureConfig(diversity=("vendy",))
    with pytest.raises(ValidationError, match="mmd"):
        MeasureConfig(shift=("vendi",))


def test_the_report_has_a_name_and_a_family_for_every_output():
    for entry in CATALOGUE:
        for output in entry.outputs:
            name = f"{output.name}@0.05" if entry.keyed else output.name
            assert (name in MEASURES or entry.keyed) and family(name) != "Other"


def test_what_more_of_a_measure_means_is_what_its_name_says():
    outputs = [output for entry in CATALOGUE if entry.kind == "diversity" for output in entry.outputs]
    assert all((output.more < 0) == ("less diverse" in output.title) for output in outputs)
    assert {output.name for output in outputs if not output.more} == {"words_mean", "words_sd", "characters_mean"}


def test_without_texts_only_measures_of_vectors_are_possible():
    assert possible(names("diversity", default=True), ["vectors"]) == ("dcscore", "vendi", "neighbours")
    assert possible(["c2st", "distinct"], ["vectors", "texts"]) == ("distinct",)
    assert metric("dcscore").grows and not metric("neighbours").grows


def test_the_catalogue_imports_nothing_heavy():
    code = ("import sys, divscale.metrics.catalogue\n"
            "print([m for m in ('torch', 'faiss', 'sklearn', 'scipy', 'numpy', 'ray') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
