"""A likelihood that only its own file knows goes wherever the ones of the library go."""

import math

import pytest
import torch
from torch import nn

from counterpoint.continual import EWC, MAS
from counterpoint.curvature import fisher, ggn
from counterpoint.errors import InputError
from counterpoint.goals import Bernoulli, Categorical, Normal
from counterpoint.posterior import laplace
from counterpoint.seeding import generator
from goals.laplacian import Laplacian

ROWS = torch.tensor([[1.0, 0.0], [2.0, 3.0], [0.5, 1.0]], dtype=torch.float64)


def line():
    model = nn.Linear(2, 1, bias=False).double()
    nn.init.constant_(model.weight, 1.0)
    return model


def data(of=lambda x: 0 * x + 3.0):
    return [(ROWS, of(ROWS.sum(1, keepdim=True)))]


def test_its_loss_is_what_it_says():
    found = Laplacian(0.5).nll(torch.zeros(2, 1), torch.tensor([[1.0], [-3.0]]))
    torch.testing.assert_close(found, torch.tensor(4.0))  # (2 + 6) / 2 + log 1


@pytest.mark.parametrize("labels", ["exact", "sampled", "empirical"])
def test_its_fisher_information_is_that_of_every_kind_of_label(labels):
    # the square of a gradient is 1/b² at any label but the output itself, so that all three agree
    found = fisher(
        line(), Laplacian(0.5), data(), structure="dense", labels=labels, generator=generator(0)
    )
    torch.testing.assert_close(found.dense(), 4 * ROWS.T @ ROWS)


def test_its_gauss_newton_matrix_is_refused():
    with pytest.raises(InputError, match="output of Laplacian is no natural parameter"):
        ggn(line(), Laplacian(), data())


def test_its_predictions_are_the_average_over_draws():
    posterior = laplace(line(), Laplacian(0.5), data(), structure="dense", prior=1.0)
    x, target = torch.ones(1, 2).double(), torch.full((1, 1), 1.5).double()
    for link in ("outputs", "montecarlo"):
        found = posterior.predict(x, link=link, samples=4000, generator=generator(0))
        spread = (x @ (4 * ROWS.T @ ROWS + torch.eye(2)).inverse() @ x.T).item()
        assert found.mean.item() == pytest.approx(2.0, abs=0.03)
        assert found.noise.item() == pytest.approx(2 * 0.5**2)
        assert found.knowledge.item() == pytest.approx(spread, rel=0.1)
        drawn = found.sample(generator(1), draws=4000)
        assert drawn.var().item() == pytest.approx((found.noise + found.knowledge).item(), rel=0.15)
        grid = torch.linspace(-6, 10, 2000).double()[:, None]
        each = posterior.predict(x.expand(2000, 2), link=link, samples=50, generator=generator(2))
        assert torch.trapezoid(each.log_prob(grid).exp(), grid[:, 0]).item() == pytest.approx(
            1, abs=0.02
        )
        assert math.isfinite(found.log_prob(target).item())


def test_what_has_no_closed_form_says_what_there_is():
    posterior = laplace(line(), Laplacian(), data(), prior=1.0)
    with pytest.raises(InputError, match="Laplacian .*no closed form.*link='montecarlo'"):
        posterior.predict(ROWS)
    with pytest.raises(InputError, match="only normal likelihoods have a noise"):
        posterior.tuned(noise=True)


@pytest.mark.parametrize(
    "make",
    [EWC, lambda: EWC(labels="jac"), MAS],
    ids=["ewc", "ewc-jac", "mas"],
)
def test_memories_take_it_where_every_target_is_the_same(make):
    memory, model = make(), line()
    before = [{"x": ROWS, "y": data()[0][1]}]
    memory.consolidate(model, Laplacian(), before)
    with torch.no_grad():
        model.weight += 1.0
    assert memory.penalty(model, rows=3).item() > 0


def test_targets_of_a_quantity_are_not_taken_for_classes_by_a_jacobian():
    memory, model = EWC(labels="jac"), nn.Sequential(line(), nn.Flatten(0)).eval()
    memory.consolidate(model, Normal(), [(ROWS, torch.full((3,), 3.0).double())])
    assert memory.tasks == 1


def test_what_likelihoods_say_of_themselves():
    kinds = [Normal(), Bernoulli(), Categorical(), Categorical("probabilities"), Laplacian()]
    assert [one.classes for one in kinds] == [False, True, True, True, False]
    assert [one.natural for one in kinds] == [True, True, True, False, False]
    assert [one.has_logits for one in kinds] == [False, True, True, False, False]
    assert [one.noise is not None for one in kinds] == [True, False, False, False, False]
