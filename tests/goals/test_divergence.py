"""Divergences against torch's own, at their minimum, and what they refuse."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical as CategoricalDistribution
from torch.distributions import Normal, kl_divergence

from counterpoint.errors import InputError
from counterpoint.goals import check_goals, kl_categorical, kl_normal

numbers = st.lists(st.floats(-8.0, 8.0), min_size=6, max_size=6)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def as_rows(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(2, 3)


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 3)])
@pytest.mark.parametrize("prior", ["standard", "one a dimension", "one a row"])
def test_normal_agrees_with_torch(shape, prior):
    mean, log_variance = drawn(*shape), drawn(*shape, seed=1)
    given_to = {"standard": (), "one a dimension": shape[1:], "one a row": shape}[prior]
    centre, spread = drawn(*given_to, seed=2), drawn(*given_to, seed=3)
    if prior == "standard":
        found = kl_normal(mean, log_variance)
        centre, spread = torch.zeros_like(centre), torch.zeros_like(spread)
    else:
        found = kl_normal(mean, log_variance, centre, spread)
    own = Normal(mean, (0.5 * log_variance).exp())
    expected = kl_divergence(own, Normal(centre, (0.5 * spread).exp())).sum() / 5
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("shape", [(5, 4), (5, 2, 4)])
@pytest.mark.parametrize("prior", ["uniform", "classes", "row", "all"])
def test_categorical_agrees_with_torch(shape, prior):
    logits = drawn(*shape)
    kinds = {"uniform": (4,), "classes": (4,), "row": shape[1:], "all": shape}
    other = drawn(*kinds[prior], seed=1).softmax(-1)
    other = torch.full_like(other, 0.25) if prior == "uniform" else other
    found = kl_categorical(logits, None if prior == "uniform" else other)
    own = CategoricalDistribution(logits=logits)
    expected = kl_divergence(own, CategoricalDistribution(probs=other)).sum() / 5
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@given(numbers, numbers, numbers, numbers)
def test_normal_is_zero_at_the_prior_and_positive_elsewhere(mean, spread, other, other_spread):
    mean, spread, other, other_spread = map(as_rows, (mean, spread, other, other_spread))
    assert kl_normal(mean, spread, mean, spread).item() == 0
    apart = max((mean - other).abs().max().item(), (spread - other_spread).abs().max().item())
    found = kl_normal(mean, spread, other, other_spread).item()
    assert found > 0 if apart > 1e-3 else found >= -1e-15


@given(numbers, numbers)
def test_categorical_is_zero_at_the_prior_and_positive_elsewhere(logits, other):
    logits, other = as_rows(logits), as_rows(other)
    assert kl_categorical(logits, logits.softmax(-1)).item() == pytest.approx(0, abs=1e-14)
    apart = (logits.softmax(-1) - other.softmax(-1)).abs().max().item()
    found = kl_categorical(logits, other.softmax(-1)).item()
    # Pinsker: at least twice the square of the largest difference, here in one of two rows
    assert found >= apart**2 - 1e-14


def test_near_the_minimum_digits_are_kept():
    small = torch.full((1, 1), 1e-3)
    torch.testing.assert_close(
        kl_normal(torch.zeros(1, 1), small).double(),
        torch.tensor(0.25 * 1e-6, dtype=torch.float64),
        rtol=1e-3,
        atol=0,
    )


def test_a_class_that_cannot_be_costs_nothing_and_has_no_gradient():
    logits = torch.tensor([[0.0, 0.0, -torch.inf]], requires_grad=True)
    prior = torch.tensor([0.5, 0.5, 0.0])
    found = kl_categorical(logits, prior)
    found.backward()
    assert found.item() == 0
    torch.testing.assert_close(logits.grad, torch.zeros(1, 3))


def test_a_class_that_the_prior_rules_out_is_infinite():
    assert kl_categorical(torch.zeros(1, 2), torch.tensor([1.0, 0.0])).item() == torch.inf


def test_gradients():
    weight = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    leaves = [drawn(3, 2, seed=seed).requires_grad_() for seed in range(4)]

    def normal(*given_to):
        return kl_normal(*given_to, weight, mean_weight=1.3)

    def categorical(logits, other):
        return kl_categorical(logits, other.softmax(-1), weight, mean_weight="batch")

    assert torch.autograd.gradcheck(normal, leaves)
    assert torch.autograd.gradgradcheck(normal, leaves)
    assert torch.autograd.gradcheck(categorical, leaves[:2])
    assert torch.autograd.gradgradcheck(categorical, leaves[:2])


@pytest.mark.parametrize("kind", ["normal", "categorical"])
def test_row_weights_are_those_of_likelihoods(kind):
    mean, spread = drawn(4, 3), drawn(4, 3, seed=1)

    def term(part=slice(None), *more, **settings):
        if kind == "normal":
            return kl_normal(mean[part], spread[part], 0.0, 0.0, *more, **settings)
        return kl_categorical(mean[part], None, *more, **settings)

    weight = torch.tensor([0, 1, 1, 2])
    repeated = term(torch.tensor([1, 2, 3, 3]))
    torch.testing.assert_close(term(slice(None), weight, mean_weight=1.0), repeated)
    torch.testing.assert_close(term(slice(None), 7 * weight, mean_weight="batch"), repeated)
    halves = [term(part, weight[part]) / 2 for part in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(sum(halves), repeated)
    assert term(slice(None), 0 * weight, mean_weight="batch").item() == 0


def test_half_precision_is_computed_in_single():
    mean = drawn(4, 3).to(torch.bfloat16)
    assert kl_normal(mean, mean).dtype == torch.float32
    assert kl_categorical(mean).dtype == torch.float32


def test_a_goal():
    mean = drawn(4, 3).requires_grad_()
    check_goals({"prior": kl_normal(mean, mean), "levels": kl_categorical(mean)})


ROW = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kl_normal(ROW.long(), ROW),
         "kl_normal: mean must be floating point, found torch.int64"),
        (lambda: kl_normal(ROW[:0], ROW),
         "kl_normal: mean must have at least one row, found shape (0, 3)"),
        (lambda: kl_normal(ROW, ROW[:, :1]),
         "kl_normal: log_variance must have the mean's shape (2, 3), found (2, 1)"),
        (lambda: kl_normal(ROW, ROW, torch.zeros(2)),
         "kl_normal: prior_mean must be a number, or have shape (3,) or (2, 3), found (2,)"),
        (lambda: kl_normal(ROW, ROW, 0.0, torch.inf),
         "kl_normal: prior_log_variance must be finite, found inf in row 0"),
        (lambda: kl_normal(ROW, ROW, weight=torch.ones(3)),
         "weight must have one value a row, shape (2,), found shape (3,)"),
        (lambda: kl_normal(ROW, ROW, weight=torch.tensor([1.0, -1.0])),
         "weight must be finite and at least 0, found -1 in row 1"),
        (lambda: kl_normal(ROW, ROW, weight=torch.ones(2) > 0),
         "weight must be a real number, found torch.bool"),
        (lambda: kl_normal(ROW, ROW, weight=torch.ones(2), mean_weight="bath"),
         "mean_weight must be a positive number or 'batch', found 'bath'"),
        (lambda: kl_normal(ROW, ROW, weight=torch.ones(2), mean_weight=0.0),
         "mean_weight must be a positive number or 'batch', found 0.0"),
        (lambda: kl_categorical(ROW[0]),
         "kl_categorical: logits must have shape (batch, classes), found (3,)"),
        (lambda: kl_categorical(ROW, torch.ones(2) / 2),
         "kl_categorical: prior must be probabilities of shape (3,) or (2, 3), "
         "found (2,) of torch.float32"),
        (lambda: kl_categorical(ROW, torch.tensor([0.5, 0.6, -0.1])),
         "kl_categorical: prior probability must be finite and at least 0, found -0.1 in row 2"),
        (lambda: kl_categorical(ROW, torch.ones(3)),
         "kl_categorical: prior must sum to 1, found a sum that is 2 away; divide it by its sum, "
         "or pass prior.softmax(-1)"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(call, message):
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value) == message
