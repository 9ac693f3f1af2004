"""Curvature of models that say something of every token, or of every pixel."""

import pytest
import torch

from counterpoint.curvature import fisher, ggn, hessian, product
from counterpoint.goals import Categorical
from counterpoint.parameters import flatten, named
from counterpoint.seeding import generator
from curvature.positions import (
    CausalBlock,
    Returning,
    by_position,
    images,
    pixels,
    seeded_model,
    tokens,
)

close = torch.testing.assert_close
IGNORING = Categorical(ignore_index=-100)
CASES = {
    "tokens": (CausalBlock, tokens, IGNORING, 2),
    "adapters": (lambda: CausalBlock(rank=2), tokens, IGNORING, 2),
    "images": (images, pixels, Categorical(), 1),
}


@pytest.fixture(params=CASES.values(), ids=CASES, scope="module")
def case(request):
    make, data, likelihood, axis = request.param
    model, (x, y) = seeded_model(make), data()
    return model, likelihood, x, y, by_position(model, x, y, axis)


def test_the_fisher_information_is_the_sum_over_positions_that_count(case):
    model, likelihood, x, y, truth = case
    data = [(x[:2], y[:2]), (x[2:], y[2:])]
    close(fisher(model, likelihood, data, structure="dense").dense(), truth)
    close(flatten(fisher(model, likelihood, data).diagonal()), truth.diagonal())
    close(ggn(model, likelihood, [(x, y)], structure="dense").dense(), truth)


def test_products_and_hessians_know_positions(case):
    model, likelihood, x, y, truth = case
    names = [name for name, value in named(model).items() if value.requires_grad]
    weights = named(model)
    vector = {n: torch.randn(weights[n].shape, generator=generator(4)).double() for n in names}
    found = product(model, likelihood, [(x, y)], vector)
    close(flatten(found), truth @ flatten(vector))
    whole = hessian(model, likelihood, [(x, y)], structure="dense")
    found = product(model, likelihood, [(x, y)], vector, kind="hessian")
    close(flatten(found), whole.dense() @ flatten(vector))


def test_sampled_labels_are_right_on_average():
    model, (x, y) = seeded_model(CausalBlock), tokens(rows=3)
    truth = by_position(model, x, y, 2).diagonal()
    draws, data = generator(5), [(x.repeat(400, 1), y.repeat(400, 1))]
    found = fisher(model, IGNORING, data, labels="sampled", generator=draws)
    ratio = flatten(found.diagonal()).sum() / (400 * truth.sum())
    assert abs(float(ratio) - 1) < 0.05


def test_observed_labels_give_the_gradient_of_the_row():
    model, (x, y) = seeded_model(CausalBlock), tokens()
    truth = 0.0
    for row in range(len(x)):
        loss = IGNORING.nll_each(model(x[row : row + 1]), y[row : row + 1]).sum()
        weights = list(named(model).values())
        truth += torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)]).square()
    found = fisher(model, IGNORING, [(x, y)], labels="empirical")
    close(flatten(found.diagonal()), truth)


def test_what_returns_logits_is_the_same():
    model, data = seeded_model(CausalBlock), [tokens()]
    plain, wrapped = (fisher(m, IGNORING, data).diagonal() for m in (model, Returning(model)))
    close(flatten(wrapped), flatten(plain))
    mapping = [{"input_ids": data[0][0], "labels": data[0][1]}]
    close(flatten(fisher(model, IGNORING, mapping).diagonal()), flatten(plain))


def test_a_kronecker_structure_runs_over_positions():
    model, (x, y) = seeded_model(CausalBlock), tokens()
    found = fisher(model, IGNORING, [(x, y)], structure="kronecker")
    assert found.least() > -1e-9
    assert set(found.shapes) == set(named(model))


def test_very_many_directions_are_said_to_be_many():
    model, x = torch.nn.Linear(2, 513).eval(), torch.randn(1, 2, generator=generator(6))
    with pytest.warns(UserWarning, match="513 directions back for each row.*labels='sampled'"):
        fisher(model, Categorical(), [(x,)])
    fisher(model, Categorical(), [(x,)], labels="sampled", generator=generator(7))
