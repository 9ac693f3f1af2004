"""A model that torch has wrapped has the curvature, and the names, of the model inside."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from counterpoint.curvature import fisher, ggn, hessian, linearise, product
from counterpoint.goals import Categorical
from wrapped import WRAPPERS, uncompilable

LIKELIHOOD = Categorical()


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double().eval()


def rows():
    draw = torch.Generator().manual_seed(1)
    return [(torch.randn(6, 4, generator=draw, dtype=torch.float64), torch.arange(6) % 3)]


@pytest.mark.parametrize("wrap", [*WRAPPERS.values(), uncompilable], ids=[*WRAPPERS, "refusing"])
@pytest.mark.parametrize(
    "curvature",
    [
        lambda model, **options: fisher(model, LIKELIHOOD, rows(), structure="block", **options),
        lambda model, **options: ggn(model, LIKELIHOOD, rows(), structure="dense", **options),
        lambda model, **options: hessian(model, LIKELIHOOD, rows(), **options),
    ],
    ids=["fisher", "ggn", "hessian"],
)
def test_curvature_is_that_of_the_model_inside(curvature, wrap):
    model = net()
    for parameters in (None, "2", model[2]):
        found = curvature(wrap(model), parameters=parameters)
        wanted = curvature(model, parameters=parameters)
        assert list(found.shapes) == list(wanted.shapes)
        assert torch.equal(found.dense(), wanted.dense())


@pytest.mark.parametrize("wrap", [*WRAPPERS.values(), uncompilable], ids=[*WRAPPERS, "refusing"])
def test_products_and_outputs_are_those_of_the_model_inside(wrap):
    model, data = net(), rows()
    vector = {name: torch.ones_like(value) for name, value in model.named_parameters()}
    found, wanted = (
        product(one, LIKELIHOOD, data, vector, kind="hessian") for one in (wrap(model), model)
    )
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    local = linearise(wrap(model), LIKELIHOOD, data[0])
    assert list(local.plan.weights) == list(vector)


class Mapped(nn.Module):
    """A model whose output is one of the usual containers of logits."""

    def __init__(self, inside, around):
        super().__init__()
        self.inside, self.around = inside, around

    def forward(self, x):
        return self.around(self.inside(x))


def test_logits_are_read_out_of_a_mapping_as_out_of_an_object():
    wanted = fisher(net(), LIKELIHOOD, rows(), structure="dense").dense()
    for around in (
        lambda found: {"loss": None, "logits": found},
        lambda found: SimpleNamespace(logits=found),
    ):
        found = fisher(Mapped(net(), around), LIKELIHOOD, rows(), structure="dense")
        assert torch.equal(found.dense(), wanted)
