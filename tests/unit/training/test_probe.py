import numpy as np
import pytest

from divscale.errors import DataError
from divscale.training.probe import fit_probe, load_probe, predict_proba, save_probe

CLASSES = ("a", "b", "c")


def rows(n, d, seed=0):
    rng = np.random.default_rng(seed)
    y_N = np.arange(n) % 3
    x_ND = rng.normal(size=(n, d)) + 2 * rng.normal(size=(3, d))[y_N]
    return x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True), [CLASSES[i] for i in y_N]


@pytest.mark.parametrize(("n", "d"), [(30, 50), (60, 8)])
def test_the_gradient_of_the_stated_objective_vanishes(n, d):
    x_ND, labels = rows(n, d)
    c = 3.0
    probe = fit_probe(x_ND, labels, CLASSES, c)
    one_hot_NK = np.array([[label == name for name in CLASSES] for label in labels])
    error_NK = predict_proba(probe, x_ND) - one_hot_NK
    assert abs(c * error_NK.T @ x_ND + probe.weight_KD).max() < 2e-3
    assert abs(error_NK.sum(0)).max() < 2e-3


def test_two_fits_are_identical_and_survive_saving(tmp_path):
    x_ND, labels = rows(30, 50)
    one, two = fit_probe(x_ND, labels, CLASSES), fit_probe(x_ND, labels, CLASSES)
    assert (one.weight_KD == two.weight_KD).all() and (one.bias_K == two.bias_K).all()
    assert set(save_probe(one, tmp_path)) == {p.name for p in tmp_path.iterdir()}
    loaded = load_probe(tmp_path)
    assert loaded.classes == CLASSES and (loaded.weight_KD == one.weight_KD).all()


def test_a_class_without_rows_keeps_its_place_and_is_improbable():
    x_ND, labels = rows(30, 8)
    proba_NK = predict_proba(fit_probe(x_ND, labels, ("a", "never", "b", "c")), x_ND)
    assert np.allclose(proba_NK.sum(1), 1)
    assert 0 < proba_NK[:, 1].mean() < 0.1


def test_two_classes_work():
    x_ND, labels = rows(30, 8)
    kept = [i for i, label in enumerate(labels) if label != "c"]
    probe = fit_probe(x_ND[kept], [labels[i] for i in kept], ("a", "b"))
    guesses = [("a", "b")[i] for i in predict_proba(probe, x_ND[kept]).argmax(1)]
    assert np.mean([guess == labels[i] for guess, i in zip(guesses, kept, strict=True)]) > 0.8


def test_one_class_alone_is_refused():
    with pytest.raises(DataError, match="at least two classes"):
        fit_probe(np.eye(3), ["a", "a", "a"], CLASSES)
