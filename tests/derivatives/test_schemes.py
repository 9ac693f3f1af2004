"""What every scheme promises: values, shapes, order of accuracy, and a graph to the weights."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from counterpoint.derivatives import (
    SCHEMES,
    BackwardDifference,
    CentralDifference,
    Fixed,
    ForwardDifference,
    Richardson,
    directional,
    gradients,
    values_and_directional,
    values_and_gradients,
)
from derivatives.nets import DIFFERENCES, EXACT, ORDERS, net, points, true_gradients

MAKE = {
    "forward": ForwardDifference,
    "backward": BackwardDifference,
    "central": CentralDifference,
    "richardson": Richardson,
}
CLOSE = {"forward": 1e-6, "backward": 1e-6, "central": 1e-9, "richardson": 1e-11}


@pytest.mark.parametrize("outputs", [1, 2, 9])
@pytest.mark.parametrize("inputs", [1, 3])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_schemes_agree_with_backward_passes(scheme, inputs, outputs):
    model, x = net(inputs, outputs), points(inputs=inputs)
    values, found = values_and_gradients(model, x, scheme)
    assert found.shape == (5, outputs, inputs)
    close = CLOSE.get(scheme, 1e-14)
    torch.testing.assert_close(values, model(x), rtol=0, atol=1e-14)
    torch.testing.assert_close(found, true_gradients(model, x), rtol=0, atol=close)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_slopes_along_directions_of_any_length(scheme):
    model, x = net(), points()
    ways = torch.stack([points(seed=1), 1e-3 * points(seed=2), torch.zeros(5, 3).double()])
    expected = torch.einsum("nmd,knd->knm", true_gradients(model, x), ways)
    values, found = values_and_directional(model, x, ways, scheme)
    close = CLOSE.get(scheme, 1e-14)
    torch.testing.assert_close(found, expected, rtol=0, atol=10 * close)
    torch.testing.assert_close(values, model(x), rtol=0, atol=1e-14)
    assert torch.equal(found[2], torch.zeros(5, 2).double())
    one = directional(model, x, ways[0], scheme)
    torch.testing.assert_close(one, expected[0], rtol=0, atol=10 * close)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_column_may_come_without_its_axis(scheme):
    assert gradients(lambda x: x[:, 0] * x[:, 1], points(), scheme).shape == (5, 1, 3)


@pytest.mark.parametrize("scheme", DIFFERENCES)
def test_the_order_of_accuracy_is_the_slope_of_the_error(scheme):
    model, x = net(), points()
    exact = true_gradients(model, x)
    # large enough that truncation and not rounding is measured
    steps = [0.04, 0.02, 0.01]
    with torch.no_grad():
        errors = [
            (gradients(model, x, MAKE[scheme](Fixed(step))) - exact).norm().item() for step in steps
        ]
    slope = math.log(errors[0] / errors[2]) / math.log(steps[0] / steps[2])
    assert slope == pytest.approx(ORDERS[scheme], abs=0.15)


@given(st.integers(1, 4), st.floats(0.1, 2.0))
def test_richardson_is_exact_on_polynomials_of_its_order(levels, step):
    scheme = Richardson(Fixed(step), levels)
    x = torch.tensor([[0.5], [-1.0]], dtype=torch.float64)
    degree = 2 * levels
    found = gradients(lambda x: x**degree, x, scheme)
    torch.testing.assert_close(found[:, 0], degree * x ** (degree - 1), rtol=1e-9, atol=1e-9)
    beyond = gradients(lambda x: x ** (degree + 1), x, scheme)[:, 0]
    assert (beyond - (degree + 1) * x**degree).abs().max() > 1e-9 * step**degree


def test_one_sided_differences_look_to_their_side():
    kink = torch.zeros(1, 1, dtype=torch.float64)
    assert gradients(torch.abs, kink, ForwardDifference(Fixed(0.1))).item() == 1
    assert gradients(torch.abs, kink, BackwardDifference(Fixed(0.1))).item() == -1
    assert gradients(torch.abs, kink, CentralDifference(Fixed(0.1))).item() == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_slopes_differentiate_again_by_weights_and_points(scheme):
    weight = torch.tensor([[0.3, -0.7], [1.1, 0.2]], dtype=torch.float64, requires_grad=True)
    x = points(2, 2).requires_grad_()

    def slopes(weight, x):
        # curved in both, and no step is so small that gradcheck meets its rounding
        chosen = MAKE[scheme](Fixed(0.1)) if scheme in MAKE else scheme
        return gradients(lambda z: torch.tanh(nn.functional.linear(z, weight)), x, chosen)

    assert torch.autograd.gradcheck(slopes, (weight, x))
    assert torch.autograd.gradgradcheck(slopes, (weight, x))


@pytest.mark.parametrize("scheme", [*EXACT, "central"])
def test_the_weight_gradient_is_that_of_the_true_slopes(scheme):
    model, x = net(outputs=4), points()
    weights = dict(model.named_parameters())

    def energy(weights):
        pure = lambda row: torch.func.functional_call(model, weights, (row,))  # noqa: E731
        return torch.func.vmap(torch.func.jacrev(pure))(x).pow(4).sum()

    expected = torch.func.grad(energy)(weights)
    total = gradients(model, x, scheme).pow(4).sum()
    found = torch.autograd.grad(total, list(weights.values()), materialize_grads=True)
    for one, name in zip(found, weights, strict=True):
        torch.testing.assert_close(one, expected[name], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_gradients_there_is_no_graph(scheme):
    with torch.no_grad():
        values, found = values_and_gradients(net(), points(), scheme)
    assert not values.requires_grad
    assert not found.requires_grad


@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name != "complex-step"])
def test_what_does_not_depend_on_x_has_no_slope(scheme):
    constant = torch.ones(5, 2, dtype=torch.float64)
    values, found = values_and_gradients(lambda x: constant[:1].repeat(len(x), 1), points(), scheme)
    assert torch.equal(values, constant)
    assert torch.equal(found, torch.zeros(5, 2, 3).double())


@pytest.mark.parametrize("scheme", DIFFERENCES)
def test_all_shifts_are_one_evaluation(scheme):
    calls = list[int]()

    def counted(x):
        calls.append(len(x))
        return x

    gradients(counted, points(), scheme)
    shifts = {"forward": 1, "backward": 1, "central": 2, "richardson": 4}[scheme]
    assert calls == [5 * (3 * shifts + 1)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scheme", ["auto", "forward-mode", "reverse-mode"])
def test_results_keep_the_type_of_the_points(scheme, dtype):
    found = gradients(net().to(dtype), points().to(dtype), scheme)
    assert found.dtype == dtype


def test_what_float32_can_do():
    """The figure of the page: no step is better than these, and tiny ones are worthless."""
    model, x = net(8, 10, width=50), points(300, 8)
    exact = true_gradients(model, x)
    small, x = model.float(), x.float()

    def error(scheme):
        with torch.no_grad():
            return ((gradients(small, x, scheme) - exact).norm() / exact.norm()).item()

    assert error("auto") < 3e-7
    assert error("forward") < 5e-3
    assert error("central") < 1e-4
    assert error("richardson") < 5e-5
    assert error(ForwardDifference(Fixed(1e-6))) > 0.1
