"""Functions of all kinds: what is pushed, what goes through dual numbers, what draws numbers."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from counterpoint.derivatives import SCHEMES, gradients, values_and_gradients
from counterpoint.derivatives.pushed import Pushed, push
from derivatives.nets import net, points, true_gradients

ACTIVATIONS = [
    *(nn.Tanh, nn.Sigmoid, nn.ReLU, nn.SiLU, nn.GELU, nn.Softplus, nn.ELU, nn.SELU, nn.CELU),
    *(nn.Mish, nn.LeakyReLU, nn.LogSigmoid, nn.Hardtanh, nn.Softsign),
]


class Residual(nn.Module):
    """Sums and products of what depends on x with each other and with constants."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.scale = nn.Parameter(torch.linspace(0.5, 2, 3).double())

    def forward(self, x):
        y = self.inner(x)
        return (2 * y + x) * y * self.scale + self.scale + 1.0


class Gated(nn.Module):
    """One column, which is stretched over the others."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(3, 1).double()

    def forward(self, x):
        return (self.gate(x) + torch.arange(3.0).double()).sigmoid() * x


PUSHED = {
    **{kind.__name__: (lambda kind=kind: net(activation=kind)) for kind in ACTIVATIONS},
    "residual": lambda: Residual(net(3, 3)),
    "gated": Gated,
    "linear": lambda: nn.Linear(3, 2).double(),
    "identity": nn.Identity,
    "rank one": lambda: nn.Sequential(net(), nn.Linear(2, 4, bias=False).double()),
    "words": lambda: lambda x: x.tanh().exp().sin().cos() * torch.square(x),
}
DUAL = {
    "layer norm": lambda: nn.Sequential(nn.LayerNorm(3), net().float()).double(),
    "batch norm": lambda: nn.Sequential(nn.BatchNorm1d(3), net().float()).double().eval(),
    "product with itself by row": lambda: lambda x: x[:, :1] * x,
    "softmax": lambda: lambda x: x.softmax(1),
    "in place": lambda: nn.Sequential(net(), nn.ReLU(inplace=True)),
    "matrix on the left": lambda: lambda x: (points(2, 3) @ x.T).T,
    "weights from x": lambda: lambda x: torch.stack([(row @ row) * row for row in x]),
    "more axes": lambda: lambda x: (x * torch.ones(1, len(x), 3).double())[0],
    "cut off": lambda: lambda x: x.detach() * x,
    "prelu": lambda: nn.Sequential(nn.Linear(3, 2), nn.PReLU()).double(),
    "scripted": lambda: nn.Sequential(nn.Linear(3, 4), nn.Flatten(), nn.Linear(4, 2)).double(),
    "attention": lambda: (
        lambda x: functional.scaled_dot_product_attention(
            *[x.reshape(len(x), 1, 3, 1)] * 3
        ).flatten(1)
    ),
}


@pytest.mark.parametrize("scheme", ["auto", "forward-mode", "reverse-mode"])
@pytest.mark.parametrize("name", [*PUSHED, *DUAL])
def test_exact_schemes_are_exact_through_every_operation(name, scheme):
    function, x = {**PUSHED, **DUAL}[name](), points()
    expected = true_gradients(function, x)
    values, found = values_and_gradients(function, x, scheme)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(values, function(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*PUSHED, *DUAL])
def test_what_is_known_is_pushed(name):
    found = push({**PUSHED, **DUAL}[name](), points(), None)
    assert (found is not None) == (name in PUSHED)


def test_slopes_are_made_only_when_asked_for():
    asked = list[int]()
    x = Pushed.of(points(), lambda: asked.append(1) or torch.eye(3).double().unsqueeze(1))
    y = net()(x)
    assert not asked
    assert y.full().shape == (3, 5, 2)
    assert y.full() is not None
    assert asked == [1]


@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name != "complex-step"])
@pytest.mark.parametrize("normalised", [False, True])
def test_dropout_has_one_mask_for_values_and_all_slopes(scheme, normalised):
    layers = [nn.Linear(3, 30), nn.Dropout(0.5), nn.Tanh(), nn.Linear(30, 2)]
    if normalised:  # through dual numbers
        layers.insert(1, nn.LayerNorm(30))
    model, x = nn.Sequential(*layers).double(), points()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = model(x)
        following = torch.rand(1)
        torch.manual_seed(5)
        values, found = values_and_gradients(model, x, scheme)
        assert torch.equal(torch.rand(1), following)  # as much is drawn as by one evaluation
        torch.manual_seed(5)
        torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)
        each = torch.stack(
            [_row_gradient(model, x, row, output) for row in range(5) for output in range(2)]
        )
    torch.testing.assert_close(found, each.reshape(5, 2, 3), rtol=1e-4, atol=1e-5)


def _row_gradient(model, x, row, output):
    torch.manual_seed(5)
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(model(leaf)[row, output], leaf)[0][row]


def test_a_compiled_network_keeps_its_slopes():
    model, x = net(), points()
    compiled = torch.compile(model, backend="eager")
    for scheme in ("auto", "forward-mode"):
        assert torch.equal(gradients(compiled, x, scheme), gradients(model, x, scheme))


STEP = """
import torch
from counterpoint.derivatives import gradients

model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.SiLU(), torch.nn.Linear(8, 2)).double()
x = torch.randn(5, 3).double()
for scheme in ("auto", "forward-mode", "forward"):
    energy = lambda x: gradients(model, x, scheme).square().sum()
    whole = torch.compile(energy, backend="eager", fullgraph=True)
    found = [torch.autograd.grad(f(x), model[0].weight)[0] for f in (whole, energy)]
    torch.testing.assert_close(*found)
"""


@pytest.mark.slow
def test_slopes_can_be_compiled_into_a_step():
    """In a process of its own: what checks types here cannot be traced."""
    done = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
