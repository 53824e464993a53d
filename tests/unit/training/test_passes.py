"""How rows are cut into the forward passes of a prediction."""

from hypothesis import given
from hypothesis import strategies as st

from divscale.training import predict


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60), st.integers(1, 4), st.integers(1, 9), st.integers(0, 10**7))
def test_every_row_is_passed_once_and_no_pass_holds_more_logits_than_it_may(lengths, ranks, batch_size, per_token):
    lengths = sorted(lengths)
    lengths += lengths[-1:] * (-len(lengths) % ranks)
    cuts = list(predict.passes(lengths, ranks, batch_size, per_token))
    assert [i for cut in cuts for i in range(cut.start, cut.stop)] == list(range(len(lengths)))
    for cut in cuts:
        rows = (cut.stop - cut.start) // ranks
        assert rows * ranks == cut.stop - cut.start and 1 <= rows <= batch_size
        assert rows == 1 or rows * lengths[cut.stop - 1] * per_token <= predict.MAX_LOGITS
    if not per_token:
        assert len(cuts) == -(-len(lengths) // (ranks * batch_size))
