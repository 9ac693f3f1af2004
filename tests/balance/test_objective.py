"""The number that is differentiated."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.balance import modulated
from counterpoint.balance._engine import stacked

NUMBERS = st.floats(-1e6, 1e6, width=32)
WEIGHTS = st.floats(0.0, 1e3, width=32)


@given(st.lists(st.tuples(NUMBERS, WEIGHTS), min_size=1, max_size=6))
def test_the_value_is_the_plain_mean_and_the_gradient_the_weighted_one(pairs):
    x = torch.tensor([value for value, _ in pairs], requires_grad=True)
    weights = torch.tensor([weight for _, weight in pairs], dtype=torch.float64)
    losses = list(x.unbind())
    value = modulated(losses, weights)
    assert value.item() == stacked(losses).mean().item()
    found = torch.autograd.grad(value, x)[0]
    torch.testing.assert_close(found.double(), weights / len(pairs))


def test_weights_are_outside_the_graph():
    x = torch.ones((), requires_grad=True)
    weights = torch.ones(1, dtype=torch.float64, requires_grad=True)
    modulated([x], weights).backward()
    assert weights.grad is None


def test_low_precision_losses_are_averaged_in_float32():
    losses = [torch.tensor(3.0, dtype=torch.bfloat16), torch.tensor(1.0)]
    assert stacked(losses).mean().dtype is torch.float32
