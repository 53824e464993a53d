import pyarrow as pa
import pytest
import torch

from divscale.training.config import ArchitectureConfig
from divscale.training.encode import encode_rows
from divscale.training.gradients import row_gradients
from divscale.training.machine import Machine
from divscale.training.models import from_scratch, train_tokenizer
from divscale.training.predict import outputs_of

PAIRS = [("the cat", " sat on the mat"), ("", " a dog ran in the park"), ("the dog", " sat"), ("a cat ran", " in the park")]


@pytest.fixture(scope="module")
def model_and_rows():
    tokenizer = train_tokenizer([text for pair in PAIRS for text in pair] * 3, 300, 64)
    torch.manual_seed(0)
    model = from_scratch(ArchitectureConfig(hidden_size=32, layers=1, heads=2, vocab_size=300), tokenizer, "causal").eval()
    table = pa.table({"prompt": [prompt for prompt, _ in PAIRS], "completion": [text for _, text in PAIRS]})
    return model, tokenizer, encode_rows(tokenizer, table, "causal", (), 64, prompt_weight=0.0)


def test_a_step_along_a_rows_gradient_changes_its_loss_by_the_squared_length_of_it(model_and_rows):
    model, tokenizer, rows = model_and_rows

    def losses():
        with torch.inference_mode():
            return [loss for _, _, loss, _ in outputs_of(model, tokenizer, rows, "causal", (), 1, Machine(0, 1, "cpu"))]

    for i, gradient in enumerate(row_gradients(model, rows, "cpu")):
        assert [len(part) for part in gradient] == [parameter.numel() for parameter in model.parameters()]
        squared = sum(float(part.double().square().sum()) for part in gradient)
        moved = []
        for step in (1e-3, -2e-3):
            with torch.no_grad():
                for parameter, part in zip(model.parameters(), gradient, strict=True):
                    parameter += step / squared**0.5 * part.view_as(parameter)
            moved.append(losses()[i])
        with torch.no_grad():
            for parameter, part in zip(model.parameters(), gradient, strict=True):
                parameter += 1e-3 / squared**0.5 * part.view_as(parameter)
        assert (moved[0] - moved[1]) / 2e-3 == pytest.approx(squared**0.5, rel=0.02)


def test_a_prompt_has_no_loss_of_its_own_and_no_other_row_changes_a_gradient(model_and_rows):
    model, _, rows = model_and_rows
    whole = list(row_gradients(model, rows, "cpu"))
    alone = next(row_gradients(model, rows[2:3], "cpu"))
    assert all(torch.equal(a, b) for a, b in zip(whole[2], alone, strict=True))
    unscored = row_gradients(model, [type(rows[2])(rows[2].ids_T, rows[2].weights_T > 0)], "cpu")  # weights are a mask
    assert all(torch.equal(a, b) for a, b in zip(next(unscored), alone, strict=True))
