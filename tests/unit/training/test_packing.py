"""Packed samples: none is lost, none sees another."""

import numpy as np
import pytest

from divscale.errors import PreflightError
from divscale.training.batches import Row, collate
from divscale.training.config import ArchitectureConfig
from divscale.training.loss import weighted_nll
from divscale.training.models import from_scratch, train_tokenizer
from divscale.training.packing import best_fit, check_isolation, collate_packed

LENGTHS = [9, 3, 14, 6, 2, 11, 5]


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def model(request):
    import torch

    torch.manual_seed(0)
    made = from_scratch(ArchitectureConfig(hidden_size=32, layers=2, heads=2), train_tokenizer(["a b c"], 300, 64), "causal")
    made.set_attn_implementation(request.param)
    return made.eval()


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    made = [Row(rng.integers(3, 259, n), rng.uniform(0, 2, n).astype(np.float32)) for n in LENGTHS]
    for row in made:
        row.weights_T[0] = 0
    return made


def test_every_sample_is_in_one_row_and_rows_are_as_few_as_best_fit_finds():
    rows = best_fit(LENGTHS, 16)
    assert sorted(i for row in rows for i in row) == list(range(len(LENGTHS)))
    assert all(sum(LENGTHS[i] for i in row) <= 16 for row in rows)
    assert len(rows) == 4  # 14 + 2, 11 + 5, 9 + 6, 3
    assert best_fit([5], 16) == [[0]]


def logits_of_each(model, samples, batch, rows):
    """Logits [T, V] of every sample, by its place in a packed batch."""
    logits, found = model(**batch, use_cache=False).logits.detach(), {}
    for b, row in enumerate(rows):
        start = 0
        for i in row:
            found[i] = logits[b, start:start + len(samples[i].ids_T)]
            start += len(samples[i].ids_T)
    return found


def test_a_packed_sample_has_the_logits_that_it_has_alone_thanks_to_its_positions(model, samples):
    batch, rows = collate_packed(samples, 16, 0, "cpu"), best_fit(LENGTHS, 16)
    del batch["weights"]
    packed = logits_of_each(model, samples, batch, rows)
    positions = batch.pop("position_ids")
    leaking = logits_of_each(model, samples, batch, rows)
    seen = 0
    for i, sample in enumerate(samples):
        alone = logits_of_each(model, [sample], {"input_ids": collate([sample], 0, "cpu")["input_ids"]}, [[0]])[0]
        assert (alone - packed[i]).abs().max() < 1e-5
        seen += bool((alone - leaking[i]).abs().max() > 1e-3)
    assert seen == sum(len(row) - 1 for row in rows)  # all but the first of each row
    assert positions.shape == (4, 16)


def test_packing_changes_neither_loss_nor_gradients(model, samples):
    found = []
    for batch in (collate(samples, 0, "cpu"), collate_packed(samples, 16, 0, "cpu")):
        model.zero_grad()
        loss = weighted_nll(model, batch)
        loss.backward()
        found.append((loss.item(), {name: p.grad.clone() for name, p in model.named_parameters()}))
    (plain, grads), (packed, packed_grads) = found
    assert packed == pytest.approx(plain, rel=1e-6)
    for name, grad in grads.items():
        assert (grad - packed_grads[name]).abs().max() < 1e-5 * grad.abs().max(), name


def test_the_loss_is_the_weighted_mean_of_transformers_own(model, samples):
    import torch

    batch = collate(samples, 0, "cpu")
    batch["weights"] = (batch["weights"] > 1).float()  # half of the tokens
    labels = batch["input_ids"].masked_fill(batch["weights"] == 0, -100)
    with torch.no_grad():
        own = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
        ours = weighted_nll(model, batch) / batch["weights"].sum()
        assert weighted_nll(model, batch | {"weights": torch.zeros_like(batch["weights"])}) == 0
    assert ours.item() == pytest.approx(own.item(), rel=1e-6)


def test_a_model_that_masks_by_positions_passes_and_one_that_does_not_is_refused(model):
    from transformers import BloomConfig, BloomForCausalLM

    check_isolation(model)
    bloom = BloomForCausalLM(BloomConfig(vocab_size=300, hidden_size=32, n_layer=1, n_head=2)).eval()
    with pytest.raises(PreflightError, match=r"BloomForCausalLM does not mask.*Set packing: none"):
        check_isolation(bloom)
