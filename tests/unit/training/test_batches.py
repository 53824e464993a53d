import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from divscale.training.batches import Row, collate, micro_batches, step_rows, steps_of

LENGTHS = list(np.random.default_rng(0).integers(3, 60, 100))


def test_every_epoch_visits_every_row_once_and_in_another_order():
    batches = list(step_rows(LENGTHS, 16, 14, seed=0))
    first, second = [[row for batch in batches[i:i + 7] for row in batch] for i in (0, 7)]
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second


def test_the_seed_alone_decides_the_order():
    assert list(step_rows(LENGTHS, 16, 9, 3)) == list(step_rows(LENGTHS, 16, 9, 3))
    assert list(step_rows(LENGTHS, 16, 9, 3)) != list(step_rows(LENGTHS, 16, 9, 4))


def test_more_steps_go_on_where_fewer_stopped():
    assert list(step_rows(LENGTHS, 16, 20, 0))[:9] == list(step_rows(LENGTHS, 16, 9, 0))


def test_rows_of_a_batch_are_of_like_length():
    spread = np.mean([np.ptp([LENGTHS[i] for i in batch]) for batch in step_rows(LENGTHS, 10, 10, 0)])
    assert spread < np.ptp(LENGTHS) / 3


def test_random_batches_hold_every_row_once_and_are_not_of_like_length():
    batches = list(step_rows(LENGTHS, 10, 10, 0, "random"))
    assert sorted(row for batch in batches for row in batch) == list(range(100))
    spreads = [np.mean([np.ptp([LENGTHS[i] for i in batch]) for batch in way])
               for way in (batches, step_rows(LENGTHS, 10, 10, 0))]
    assert spreads[0] > 2 * spreads[1]


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4))
def test_the_shares_of_all_ranks_are_the_step(rows, ranks, accumulation):
    size = -(-rows // (ranks * accumulation))
    shares = [micro_batches(range(rows), rank, ranks, size, accumulation) for rank in range(ranks)]
    assert all(len(share) == accumulation for share in shares)  # as many forward passes everywhere
    dealt = [i for share in shares for micro in share for i in micro if i is not None]
    assert sorted(dealt) == list(range(rows))


def test_epochs_become_whole_steps_and_at_least_one():
    assert steps_of(3, None, 40, 16) == 9
    assert steps_of(0.01, None, 40, 16) == 1
    assert steps_of(None, 7, 40, 16) == 7


def test_padding_has_no_weight_and_no_attention():
    rows = [Row(np.arange(1, n + 1), np.ones(n, np.float32)) for n in (2, 4)]
    batch = collate(rows, pad_id=0, device="cpu")
    assert batch["input_ids"].tolist() == [[1, 2, 0, 0], [1, 2, 3, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch["weights"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
