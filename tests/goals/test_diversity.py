"""Diversity of heads, negative correlation, orthogonality: against loops over pairs."""

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.goals import check_goals, diversity, negative_correlation, orthogonality


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pairs(vectors: torch.Tensor) -> torch.Tensor:
    """Squared cosines of all pairs of rows, one by one."""
    found = [
        torch.cosine_similarity(vectors[i], vectors[j], dim=0) ** 2
        for i, j in combinations(range(len(vectors)), 2)
    ]
    return torch.stack(found)


@pytest.mark.parametrize("shape", [(7, 3, 2), (1, 5, 3), (2, 9, 1), (5, 2, 4)])
def test_every_pair_is_counted_once(shape):
    slopes = drawn(*shape)
    stacked = pairs(slopes.transpose(0, 1).flatten(1))
    torch.testing.assert_close(diversity(slopes), stacked.mean())
    torch.testing.assert_close(diversity(slopes, reduction="sum"), stacked.sum())
    if shape[2] > 1:
        each = torch.stack([pairs(row) for row in slopes])
        torch.testing.assert_close(diversity(slopes, over="points"), each.mean())
        found = diversity(slopes, over="points", reduction="sum")
        torch.testing.assert_close(found, each.sum(1).mean())


def test_columns_of_features():
    features = drawn(6, 4)
    torch.testing.assert_close(orthogonality(features), pairs(features.T).mean())
    torch.testing.assert_close(orthogonality(features[:2], reduction="sum"),
                               pairs(features[:2].T).sum())  # fmt: skip


def test_errors_around_the_mean():
    heads = drawn(6, 4)
    apart = heads - heads.mean(1, keepdim=True)
    products = [apart[:, i] * apart[:, j] for i, j in combinations(range(4), 2)]
    torch.testing.assert_close(negative_correlation(heads), torch.stack(products).mean())
    total = torch.stack(products).sum(0).mean()
    torch.testing.assert_close(negative_correlation(heads, reduction="sum"), total)


def test_at_a_factor_of_one_only_the_mean_of_the_heads_is_fitted():
    heads, target = drawn(6, 4), drawn(6, 1, seed=1)
    fit = 0.5 * (heads - target).square().sum(1).mean()
    whole = fit + negative_correlation(heads, reduction="sum")
    of_mean = 0.5 * 4 * (heads.mean(1, keepdim=True) - target).square().mean()
    torch.testing.assert_close(whole, of_mean)


@given(st.lists(st.integers(0, 3), min_size=5, max_size=5).filter(lambda w: sum(w) > 0))
def test_a_weight_of_two_is_the_row_twice(counts):
    weight = torch.tensor(counts)
    slopes, table = drawn(5, 3, 2), drawn(5, 3)
    twice, rows = slopes.repeat_interleave(weight, 0), table.repeat_interleave(weight, 0)
    torch.testing.assert_close(diversity(slopes, weight), diversity(twice))
    torch.testing.assert_close(orthogonality(table, weight), orthogonality(rows))
    share = sum(counts) / 5
    torch.testing.assert_close(
        diversity(slopes, weight, over="points"), share * diversity(twice, over="points")
    )
    torch.testing.assert_close(
        negative_correlation(table, weight), share * negative_correlation(rows)
    )


@pytest.mark.parametrize("over", ["stacked", "points"])
@pytest.mark.parametrize("shape", [(4, 3, 5), (3, 6, 2)])
def test_a_dead_head_is_like_no_other(over, shape):
    slopes = drawn(*shape)
    slopes[:, 0] = 0
    slopes.requires_grad_()
    found = diversity(slopes, over=over, reduction="sum")
    alive = diversity(slopes[:, 1:], over=over, reduction="sum")
    torch.testing.assert_close(found, alive)
    (slope,) = torch.autograd.grad(found, slopes)
    assert slope.isfinite().all()
    assert (slope[:, 0] == 0).all()
    assert (slope[:, 1:] != 0).any()


@pytest.mark.parametrize("over", ["stacked", "points"])
@pytest.mark.parametrize("scales", [(1e-25, 1e-25), (1e25, 1e25), (1e-25, 1e25), (1e-40, 1.0)])
def test_scales_do_not_matter_in_single_precision(over, scales):
    plain = drawn(4, 2, 3)
    slopes = (plain * torch.tensor(scales)[:, None]).float().requires_grad_()
    found = diversity(slopes, over=over)
    if scales[0] > 1e-38:  # below, numbers lose their digits
        torch.testing.assert_close(found, diversity(plain, over=over).float())
    assert torch.autograd.grad(found, slopes)[0].isfinite().all()


def test_gradients_of_both_orders():
    slopes, weight = drawn(3, 3, 2).requires_grad_(), torch.tensor([1.0, 0.0, 2.0]).double()
    wide = drawn(2, 5, 2).requires_grad_()
    table = drawn(4, 3).requires_grad_()
    for loss, given_to in (
        (lambda g: diversity(g, weight), slopes),
        (lambda g: diversity(g, over="points"), slopes),
        (diversity, wide),
        (orthogonality, table),
        (negative_correlation, table),
    ):
        assert torch.autograd.gradcheck(loss, [given_to])
        assert torch.autograd.gradgradcheck(loss, [given_to])


def test_half_precision_is_computed_in_single():
    slopes = drawn(8, 3, 2).bfloat16()
    assert diversity(slopes).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(diversity(slopes.float()), diversity(slopes))


def test_minimising_makes_heads_orthogonal():
    """The sign: descent on the goal takes collinear heads apart."""
    slopes = (torch.ones(1, 3, 4).double() + 0.1 * drawn(1, 3, 4)).requires_grad_()
    optimiser = torch.optim.SGD([slopes], lr=0.5)
    assert diversity(slopes).item() > 0.9
    for _ in range(300):
        optimiser.zero_grad()
        diversity(slopes).backward()
        optimiser.step()
    assert diversity(slopes).item() < 1e-3


def test_a_goal():
    assert list(check_goals({"diverse": diversity(drawn(2, 2, 2).requires_grad_())})) == ["diverse"]


G = torch.ones(2, 3, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: diversity(G[:, :1]),
         "diversity: needs two heads or more to form a pair, found 1"),
        (lambda: negative_correlation(G[:, :1, 0]),
         "negative_correlation: needs two heads or more to form a pair, found 1"),
        (lambda: orthogonality(G[:, :1, 0]),
         "orthogonality: needs two features or more to form a pair, found 1"),
        (lambda: diversity(G[0]),
         "diversity: expected shape (batch, heads, inputs), none of them 0, found (3, 4)"),
        (lambda: diversity(G[:0]),
         "diversity: expected shape (batch, heads, inputs), none of them 0, found (0, 3, 4)"),
        (lambda: diversity(G.long()),
         "diversity: expected a floating point tensor, found torch.int64"),
        (lambda: diversity(G, over="stack"),
         "diversity: over: expected one of stacked, points, found 'stack'; "
         "did you mean 'stacked'?"),
        (lambda: orthogonality(G[0], reduction="means"),
         "orthogonality: reduction: expected one of mean, sum, found 'means'; "
         "did you mean 'mean'?"),
        (lambda: diversity(G[..., :1], over="points"),
         "diversity: over='points' needs two inputs or more, found 1, with which every squared "
         "cosine is 1; use over='stacked'"),
        (lambda: diversity(G, torch.ones(3)),
         "weight must have one value a row, shape (2,), found shape (3,)"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(call, message):
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value) == message
