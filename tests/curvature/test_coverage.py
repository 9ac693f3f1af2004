"""Every kind of layer against one backward pass an example, in float64."""

import warnings

import pytest
import torch

from counterpoint.curvature import fisher, linearise
from counterpoint.gaussian import explicit
from counterpoint.goals import Categorical
from curvature_models import READ, WHOLE, build, jacobians, softmax_empirical, softmax_ggn

# torch's own, of an even kernel that is padded to the same size
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


def close(found, expected):
    scale = expected.abs().max()
    assert (found - expected).abs().max() <= 1e-12 * scale


def dense(precision):
    return precision.dense()


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("structure", ["diagonal", "dense"])
def test_exact_fisher_is_that_of_a_loop(name, structure):
    model, x = build(name)
    found = fisher(model, Categorical(), [(x,)], structure=structure).dense()
    expected = softmax_ggn(model, x)
    close(found, torch.diag(expected.diagonal()) if structure == "diagonal" else expected)


@pytest.mark.parametrize("name", READ)
def test_empirical_fisher_is_that_of_a_loop(name):
    model, x = build(name)
    y = torch.arange(len(x)) % 3
    found = fisher(model, Categorical(), [(x, y)], labels="empirical").dense().diagonal()
    close(found, softmax_empirical(model, x, y).diagonal())


@pytest.mark.parametrize("name", WHOLE)
def test_what_cannot_be_read_is_right_and_says_so(name):
    model, x = build(name)
    with pytest.warns(UserWarning, match="goes through the whole model"):
        found = fisher(model, Categorical(), [(x,)], structure="dense").dense()
    close(found, softmax_ggn(model, x))


@pytest.mark.parametrize("name", [*READ, *WHOLE])
def test_the_jacobian_multiplied_out_is_that_of_a_loop(name):
    model, x = build(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, jacobian = linearise(model, Categorical(), (x,)).jacobian((x,))
    shapes = {n: value.shape for n, value in model.named_parameters()}
    full = explicit(jacobian, shapes)
    close(torch.cat([value.flatten(2) for value in full.values()], 2), jacobians(model, x))
