"""Kronecker factors by their definition, where positions share weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from counterpoint.curvature import fisher
from counterpoint.goals import Categorical
from curvature_models import build


def uses(model, layer, x, y):
    """Inputs and deltas of a layer at every position: ``rows x positions x width``."""
    kept = {}

    def hook(_, inputs, output):
        output.retain_grad()
        kept["input"], kept["output"] = inputs[0].detach(), output

    handle = layer.register_forward_hook(hook)
    functional.cross_entropy(model(x), y, reduction="sum").backward()
    handle.remove()
    a, d = kept["input"], kept["output"].grad
    if isinstance(layer, nn.Conv2d):
        a = functional.unfold(a, layer.kernel_size, layer.dilation, layer.padding, layer.stride).mT
        d = d.flatten(2).mT
    return torch.cat([a, torch.ones_like(a[..., :1])], -1), d


@pytest.mark.parametrize(
    ("name", "path"),
    [("linear on a sequence", "body"), ("convolution", "0"), ("dilated and strided", "0")],
)
@pytest.mark.parametrize("structure", ["kronecker", "kronecker-reduce"])
def test_expand_and_reduce_are_as_defined(name, path, structure):
    model, x = build(name)
    y = torch.arange(len(x)) % 3
    a, d = uses(model, model.get_submodule(path), x, y)
    if structure == "kronecker":
        a, d = a.flatten(0, 1), d.flatten(0, 1)
    else:
        a, d = a.mean(1), d.sum(1)
    options = {"labels": "empirical", "structure": structure, "parameters": f"{path}.*"}
    factors = fisher(model, Categorical(), [(x, y)], **options).factors
    expected = torch.kron(d.T @ d, a.T @ a / len(a))
    found = torch.kron(factors.left[0], factors.right[0] / factors.count)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert float(factors.count) == len(a)


def test_groups_have_factors_of_their_own():
    model, x = build("depthwise")
    found = fisher(model, Categorical(), [(x,)], structure="kronecker", parameters="0.*")
    assert found.factors.left.shape == (2, 2, 2)
    assert found.factors.right.shape == (2, 10, 10)
