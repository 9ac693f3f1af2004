"""Moments against numpy, at their minimum, under weights, and what they refuse."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.goals import check_goals, moments

ROWS, SIZE = 6, 3
values = st.lists(st.floats(-5.0, 5.0), min_size=ROWS * SIZE, max_size=ROWS * SIZE)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reached(latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows = latent.reshape(len(latent), -1).numpy()
    return torch.from_numpy(rows.mean(0)), torch.from_numpy(np.cov(rows, rowvar=False))


def test_the_parts_are_those_of_numpy():
    latent = drawn(ROWS, SIZE)
    mean, covariance = reached(latent)
    off = covariance - covariance.diagonal().diag_embed()
    centre = (mean - 0.5).square().sum() / SIZE
    spread = (covariance.diagonal() - 2.0).square().sum() / SIZE
    cross = off.square().sum() / SIZE
    cases = [
        (moments(latent, mean=0.5, variance=None), centre),
        (moments(latent, mean=None, variance=2.0), spread),
        (moments(latent, mean=None, variance=None, covariance="diagonal"), cross),
        (moments(latent, mean=0.5, variance=2.0), centre + spread),
        (moments(latent, mean=0.5, variance=2.0, covariance="diagonal"), centre + spread + cross),
        (moments(latent, mean=0.5, covariance=2.0 * torch.eye(SIZE)), centre + spread + cross),
    ]
    for found, expected in cases:
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@given(values)
def test_zero_at_its_own_statistics_and_never_negative(numbers):
    latent = torch.tensor(numbers, dtype=torch.float64).reshape(ROWS, SIZE)
    mean, covariance = reached(latent)
    own = moments(latent, mean=mean, covariance=covariance).item()
    assert own == pytest.approx(0, abs=1e-24)
    assert moments(latent, mean=mean, variance=covariance.diagonal()).item() < 1e-24
    assert moments(latent, covariance="diagonal").item() >= 0
    off = moments(latent, mean=mean + 1.0, covariance=covariance).item()
    assert off == pytest.approx(1.0)


def test_gradient_descent_brings_a_latent_to_its_statistics():
    latent = (3.0 * drawn(64, 2) + 1.0).requires_grad_()
    goal = torch.tensor([[1.0, 0.6], [0.6, 2.0]], dtype=torch.float64)
    optimiser = torch.optim.LBFGS([latent], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = moments(latent, mean=-1.0, covariance=goal)
        loss.backward()
        return loss

    optimiser.step(closure)
    mean, covariance = reached(latent.detach())
    torch.testing.assert_close(mean, torch.full_like(mean, -1.0), rtol=0, atol=1e-4)
    torch.testing.assert_close(covariance, goal, rtol=0, atol=1e-4)


@given(
    st.lists(st.integers(0, 3), min_size=5, max_size=5).filter(lambda w: sum(x > 0 for x in w) > 1)
)
def test_weights_are_frequencies_up_to_the_correction(counts):
    latent, weight = drawn(5, 2), torch.tensor(counts)
    share = weight.double() / weight.sum()
    repeated = latent.repeat_interleave(weight, dim=0)
    mean = repeated.mean(0)
    spread = repeated.var(0, correction=0) / (1 - share.square().sum())
    found = moments(latent, mean=mean, variance=spread, weight=weight)
    assert found.item() < 1e-20
    scaled = moments(latent, weight=1e-3 * weight.double())
    torch.testing.assert_close(scaled, moments(latent, weight=weight), rtol=1e-12, atol=1e-15)


def test_equal_weights_are_no_weights():
    latent = drawn(ROWS, SIZE)
    weighted = moments(latent, covariance="diagonal", weight=torch.full((ROWS,), 0.3))
    torch.testing.assert_close(weighted, moments(latent, covariance="diagonal"), rtol=1e-6, atol=0)


def test_the_covariance_is_unbiased():
    """The mean of S over many batches of two weighted rows is the distribution's variance."""
    latent = drawn(2, 40_000)
    weight = torch.tensor([1.0, 3.0])
    share = (weight / weight.sum()).double()
    apart = latent - share @ latent
    variances = (share @ apart.square()) / (1 - share.square().sum())
    found = moments(latent, mean=None, variance=0.0, weight=weight)
    torch.testing.assert_close(found, variances.square().mean(), rtol=1e-6, atol=0)
    assert variances.mean().item() == pytest.approx(1, abs=0.03)


def test_shapes_of_a_latent():
    latent = drawn(5, 2, 3)
    mean, covariance = reached(latent)
    given_to = mean.reshape(2, 3), covariance.diagonal().reshape(2, 3)
    assert moments(latent, mean=given_to[0], variance=given_to[1]).item() < 1e-24
    torch.testing.assert_close(
        moments(latent, covariance="diagonal"), moments(latent.flatten(1), covariance="diagonal")
    )
    torch.testing.assert_close(moments(latent[:, 0, 0]), moments(latent[:, 0, :1]))


def test_a_mean_alone_needs_one_row():
    assert moments(torch.tensor([[2.0]]), variance=None).item() == 4


def test_gradients():
    latent = drawn(4, 3).requires_grad_()
    weight = torch.tensor([1.0, 0.0, 2.0, 0.5], dtype=torch.float64)
    for covariance in (None, "diagonal", torch.eye(3, dtype=torch.float64)):

        def loss(latent, covariance=covariance):
            return moments(latent, covariance=covariance, weight=weight)

        assert torch.autograd.gradcheck(loss, [latent])
        assert torch.autograd.gradgradcheck(loss, [latent])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    latent = drawn(64, 8).to(dtype)
    exact = moments(latent.float(), covariance="diagonal")
    assert moments(latent, covariance="diagonal").dtype == torch.float32
    torch.testing.assert_close(moments(latent, covariance="diagonal"), exact)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(moments(latent.float(), covariance="diagonal"), exact)


def test_a_goal():
    latent = drawn(4, 3).requires_grad_()
    assert list(check_goals({"moments": moments(latent)})) == ["moments"]


Z = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: moments(Z.long()), "moments: latent must be floating point, found torch.int64"),
        (lambda: moments(Z[:0]), "moments: latent must have shape (batch,) or (batch, ...) and at "
                                 "least one row, found (0, 3)"),
        (lambda: moments(Z, mean=None, variance=None),
         "moments: mean, variance and covariance are all None; at least one must be given"),
        (lambda: moments(Z[:1]),
         "moments: a variance needs two rows or more with weight, found 1"),
        (lambda: moments(Z, weight=torch.tensor([1.0, 0.0])),
         "moments: a variance needs two rows or more with weight, found 1"),
        (lambda: moments(Z, variance=None, weight=torch.zeros(2)),
         "moments: a mean needs at least a row with weight, found 0"),
        (lambda: moments(Z, mean=torch.zeros(2)),
         "moments: mean must be a number or have the shape of a row (3,), found (2,)"),
        (lambda: moments(Z, mean=float("nan")),
         "moments: mean must be finite, found nan in row 0"),
        (lambda: moments(Z, variance=-1.0),
         "moments: variance must be finite and at least 0, found -1 in row 0"),
        (lambda: moments(Z, covariance="diagnal"),
         "moments: covariance (or None, or a matrix): expected one of diagonal, found 'diagnal'; "
         "did you mean 'diagonal'?"),
        (lambda: moments(Z, covariance=torch.eye(2)),
         "moments: covariance must be a real matrix of shape (3, 3), "
         "found (2, 2) of torch.float32"),
        (lambda: moments(Z, covariance=torch.ones(3, 3).triu()),
         "moments: covariance must be symmetric; pass (C + C.T) / 2"),
        (lambda: moments(Z, variance=2.0, covariance=torch.eye(3)),
         "moments: variance must be left out beside a covariance matrix, whose diagonal holds "
         "the variances"),
        (lambda: moments(Z, weight=torch.ones(3)),
         "weight must have one value a row, shape (2,), found shape (3,)"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(call, message):
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value) == message
