"""Every kind of layer against one backward pass an example, in float64."""

import warnings

import pytest
import torch

from counterpoint.continual import EWC, MAS, LwF
from counterpoint.curvature import fisher, hessian, linearise, product
from counterpoint.errors import InputError
from counterpoint.gaussian import explicit
from counterpoint.goals import Categorical
from counterpoint.posterior import laplace
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
    close(
        torch.cat([value.reshape(*value.shape[:2], -1) for value in full.values()], 2),
        jacobians(model, x),
    )


ALONE = [
    "adapters alone",
    "a curve",
    "gated",
    "gru alone",
    "weight norm without a bias",
    "maxout",
    "products of sums",
]


@pytest.mark.filterwarnings("ignore:curvature of .* goes through the whole model")
@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "block", "dense"])
def test_weights_without_a_kernel_or_a_dimension_are_predicted_with_and_remembered(name, structure):
    model, x = build(name)
    y = torch.arange(len(x)) % 3
    truth = softmax_ggn(model, x)
    posterior = laplace(model, Categorical(), [(x, y)], structure=structure, prior=1.0)
    found = posterior.predict(x)
    assert found.mean.shape == model(x).shape
    if structure == "dense":
        covariance = torch.linalg.inv(truth + torch.eye(len(truth)).double())
        each = jacobians(model, x)
        close(posterior.outputs(x).covariance, each @ covariance @ each.mT)
    memory = EWC(structure=structure)
    memory.consolidate(model, Categorical(), [(x, y)])
    for weight in model.parameters():
        weight.data += 0.5
    assert torch.isfinite(memory.penalty(model, rows=4))
    if structure == "diagonal":
        wanted = 0.5 * 0.25 * truth.diagonal().sum() / 4
        torch.testing.assert_close(memory.penalty(model, rows=4).detach(), wanted)


@pytest.mark.parametrize("name", ALONE)
def test_the_hessian_and_other_memories_of_such_weights(name):
    model, x = build(name)
    y = torch.arange(len(x)) % 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for memory in (MAS(), LwF()):
            memory.consolidate(model, Categorical(), [(x, y)])
            assert torch.isfinite(memory.penalty(model, (x, y), rows=4))
    vector = {n: torch.ones_like(w) for n, w in model.named_parameters()}
    if "norm" in name:
        # torch's second derivative of it is wrong: noticed, since it is not symmetric
        for call in (hessian, lambda *args: product(*args, vector, kind="hessian")):
            with pytest.raises(InputError, match="second derivatives are not symmetric"):
                call(model, Categorical(), [(x, y)])
        return
    one = hessian(model, Categorical(), [(x, y)]).dense()
    two = product(model, Categorical(), [(x, y)], vector, kind="hessian")
    flat = torch.cat([value.reshape(-1) for value in two.values()])
    close(one.sum(1), flat)


@pytest.mark.parametrize("inputs", [False, True])
def test_inference_mode_around_it_changes_nothing(inputs):
    """What is made there serves outside, too: a posterior, a memory and its penalty."""
    model, x = build("linear")
    y = torch.arange(len(x)) % 3
    plain = laplace(model, Categorical(), [(x, y)], prior=1.0).predict(x)
    memory, other = EWC(), MAS()
    with torch.inference_mode():
        given = x * 1.0 if inputs else x
        posterior = laplace(model, Categorical(), [(given, y)], prior=1.0)
        inside = posterior.predict(given)
        exact = hessian(model, Categorical(), [(given, y)])
        memory.consolidate(model, Categorical(), [(given, y)])
        other.consolidate(model, Categorical(), [(given, y)])
    close(inside.mean, plain.mean)
    close(posterior.predict(x).knowledge, plain.knowledge)
    close(exact.dense(), hessian(model, Categorical(), [(x, y)]).dense())
    (memory.penalty(model, rows=4) + other.penalty(model, rows=4)).backward()
