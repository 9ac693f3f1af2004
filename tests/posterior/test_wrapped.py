"""The posterior of a model that torch has wrapped is that of the model inside."""

import pytest
import torch
from torch import nn

from counterpoint.goals import Categorical
from counterpoint.posterior import laplace, laplace_from
from wrapped import WRAPPERS


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3)).double().eval()


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_posterior_goes_between_a_model_and_its_wrapper(wrap):
    model, likelihood = net(), Categorical()
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    data = [(x, torch.arange(12) % 3)]
    plain, wrapped = (laplace(one, likelihood, data) for one in (model, wrap(model)))
    assert list(wrapped.mean) == list(plain.mean)
    wanted = plain.predict(x).mean
    assert torch.equal(wrapped.predict(x).mean, wanted)
    for one, other in ((plain, wrap(model)), (wrapped, model)):
        again = laplace_from(one.spec(), one.tensors(), other, likelihood, x)
        assert torch.equal(again.predict(x).mean, wanted)
