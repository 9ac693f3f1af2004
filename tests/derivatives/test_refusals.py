"""What cannot be used is refused in a line that says what to do."""

import pytest
import torch
from torch import nn

from counterpoint.derivatives import (
    SCHEMES,
    CentralDifference,
    ComplexStep,
    Drawn,
    Fixed,
    ForwardDifference,
    Relative,
    Richardson,
    Subset,
    check_gradients,
    directional,
    gradients,
    scheme,
)
from counterpoint.errors import InputError
from derivatives.nets import net, points

X = points()


def same(x):
    return x


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gradients(same, X[:, 0]), r"x: must have shape \(rows, inputs\).*x\[:, None\]"),
        (lambda: gradients(same, X[None]), r"x: must have shape \(rows, inputs\), found \(1, 5"),
        (lambda: gradients(same, X[:0]), "x: must have a row"),
        (lambda: gradients(same, torch.arange(6).reshape(2, 3)), r"x: .*int64; write x.double"),
        (lambda: gradients(same, X, "centre"), "found 'centre'; did you mean 'cent"),
        (lambda: scheme("revers-mode"), "did you mean 'reverse-mode'"),
        (lambda: directional(same, X, X[:2]), r"directions: .*\(5, 3\).*found \(2, 3\)"),
        (lambda: directional(same, X, X > 0), "directions: must be real numbers"),
        (lambda: Fixed(0.0), "step Fixed: size must be positive and finite, found 0"),
        (lambda: Fixed(-0.1), "step Fixed: size must be positive"),
        (lambda: Fixed(float("nan")), "step Fixed: size must be positive"),
        (lambda: Relative(float("inf")), "step Relative: factor must be positive and finite"),
        (lambda: Drawn(0.0), "step Drawn: deviation must be positive"),
        (lambda: Drawn(hold=0), "step Drawn: hold must be 1 or more .*None for one .*found 0"),
        (lambda: Drawn(1e-5).lengths(torch.zeros(1, 2), 1), "deviation must be at least 0.00035"),
        (lambda: Subset(0.0), "Subset: share must be above 0"),
        (lambda: Subset(1.5), "Subset: share must be above 0 and at most 1, found 1.5"),
        (lambda: ComplexStep(0.0), "scheme ComplexStep: step must be positive"),
        (lambda: Richardson(levels=0), "scheme Richardson: levels must be 1 to 8, found 0"),
    ],
)
def test_bad_settings_and_points(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x[:1], r"function: must give shape \(\d+,\) or \(\d+, outputs\)"),
        (lambda x: x[:, None, :], r"function: .*write .flatten\(1\)"),
        (lambda x: x.sum(), "function: must give shape"),
        (lambda x: [x], "function: must give a tensor, found list"),
        (lambda x: torch.ones(len(x)).long(), "function: must give floating point numbers"),
    ],
)
def test_functions_that_are_not_row_by_row(name, function, message):
    with pytest.raises(InputError, match=message):
        gradients(function, X, name)


@pytest.mark.parametrize("size", [1e-18, 1e-300])
def test_a_step_below_the_resolution_of_the_points(size):
    with pytest.raises(InputError, match=r"step: x \+ step is x to .* torch.float64 in row 0"):
        gradients(same, X, ForwardDifference(Fixed(size)))
    with pytest.raises(InputError, match=r"step: x \+ step is x"):
        directional(same, X, X, ForwardDifference(Fixed(size)))


def test_differences_of_very_many_inputs_are_refused_with_their_cost():
    x = torch.zeros(1, 10_001)
    with pytest.raises(InputError, match="10,001 directions .* 10,002 evaluations"):
        gradients(lambda x: x.sum(1), x, "forward")
    with pytest.raises(InputError, match="40,005 evaluations"):
        gradients(lambda x: x.sum(1), x, "richardson")
    assert gradients(lambda x: x.sum(1), x).shape == (1, 1, 10_001)


@pytest.mark.parametrize("kind", [nn.ReLU, nn.GELU, nn.Softplus])
def test_complex_steps_need_a_complex_version(kind):
    with pytest.raises(InputError, match="'complex-step': the function has no complex version"):
        gradients(net(activation=kind), X, "complex-step")


def test_complex_steps_need_an_analytic_function():
    with pytest.raises(InputError, match="'complex-step': the function gives real numbers"):
        gradients(torch.abs, X, "complex-step")


class Opaque(torch.autograd.Function):
    """An operation without a forward mode."""

    @staticmethod
    def forward(ctx, x):
        return x.numpy(force=True).sum() * torch.ones_like(x)

    @staticmethod
    def backward(ctx, grad):
        return grad


def weight(dtype=torch.float64, **options):
    return torch.ones(2, dtype=dtype, **options)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "parameters: must name a tensor"),
        ({"w": weight(torch.float32, requires_grad=True)}, "'w' must be float64.*model.double"),
        ({"w": weight()}, "'w' must require a gradient"),
        ({"w": weight(requires_grad=True) * 2}, "'w' must be a leaf.*MulBackward"),
    ],
)
def test_parameters_that_cannot_be_checked(parameters, message):
    with pytest.raises(InputError, match=message):
        check_gradients(lambda: torch.zeros(()), parameters)


@pytest.mark.parametrize("step", [Fixed(1e-17), Fixed(1e-300)])
@pytest.mark.parametrize("kind", [ForwardDifference, CentralDifference])
def test_a_step_below_the_resolution_of_one_is_refused_at_zero_too(step, kind):
    with pytest.raises(InputError, match="resolution of torch.float64"):
        gradients(torch.exp, torch.zeros(3, 2).double(), kind(step))
