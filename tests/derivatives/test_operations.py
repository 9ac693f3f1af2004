"""Functions of all kinds: what is pushed, what is taken backward, what draws numbers."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from counterpoint.derivatives import SCHEMES, directional, gradients, values_and_gradients
from counterpoint.derivatives._layers import push
from derivatives.nets import net, points, true_gradients
from wrapped import WRAPPERS

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


class Norms(nn.Module):
    """Statistics of each row, by which torch's dual numbers do not differentiate again."""

    def __init__(self, norm):
        super().__init__()
        self.inner, self.norm = nn.Linear(3, 4).double(), norm.double()

    def forward(self, x):
        return self.norm(self.inner(x)).tanh()


class Written(nn.Module):
    """Assigns by mask and by place, and changes what it has used."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3).double()

    def forward(self, x):
        h = self.inner(x)
        h = torch.where(h > 0, h, 2 * h)
        h[:, 0] = 0
        found = torch.zeros_like(x)
        found[:] = torch.sin(h)
        factor = torch.ones(3).double()
        for _ in range(3):
            h = h + torch.sin(h) * factor
            factor = factor / 2
        return found + h


class Shaped(nn.Sequential):
    """A sequential network with a forward of its own."""

    def forward(self, x):
        return super().forward(x).sort(1).values


def hooked():
    model = net()
    model[0].register_forward_hook(lambda module, given, found: 2 * found)
    return model


PUSHED = {
    **{kind.__name__: (lambda kind=kind: net(activation=kind)) for kind in ACTIVATIONS},
    "linear": lambda: nn.Linear(3, 2).double(),
    "identity": nn.Identity,
    "nested": lambda: nn.Sequential(nn.Sequential(net()), nn.Linear(2, 4, bias=False).double()),
    "layer norm": lambda: nn.Sequential(nn.LayerNorm(3), net(), nn.LayerNorm(2)).double(),
    "layer norm, bare": lambda: nn.Sequential(nn.LayerNorm(3, elementwise_affine=False), net()),
}
OTHERS = {
    "residual": lambda: Residual(net(3, 3)),
    "words": lambda: lambda x: x.tanh().exp().sin().cos() * torch.square(x),
    "maximum": lambda: lambda x: x.cummax(1).values,
    "batch norm": lambda: nn.Sequential(nn.BatchNorm1d(3), net().float()).double().eval(),
    "softmax": lambda: lambda x: x.softmax(1),
    "in place": lambda: nn.Sequential(net(), nn.ReLU(inplace=True)),
    "matrix on the left": lambda: lambda x: (points(2, 3) @ x.T).T,
    "weights from x": lambda: lambda x: torch.stack([(row @ row) * row for row in x]),
    "cut off": lambda: lambda x: x.detach() * x,
    "prelu": lambda: nn.Sequential(nn.Linear(3, 2), nn.PReLU()).double(),
    "norm of groups": lambda: Norms(nn.GroupNorm(2, 4)),
    "norm of layers": lambda: Norms(nn.LayerNorm(4)),
    "written": Written,
    "hooked": hooked,
    "with a forward of its own": lambda: Shaped(net()),
    "mapped": lambda: lambda x: torch.vmap(torch.sin)(x) + x,
    "keywords": lambda: lambda x: functional.linear(input=x, weight=points(2, 3)),
    "attention": lambda: (
        lambda x: functional.scaled_dot_product_attention(
            *[x.reshape(len(x), 1, 3, 1)] * 3
        ).flatten(1)
    ),
}
EXACT = ["auto", "forward-mode", "reverse-mode"]


@pytest.mark.parametrize("scheme", EXACT)
@pytest.mark.parametrize("name", [*PUSHED, *OTHERS])
def test_exact_schemes_are_exact_through_every_operation(name, scheme):
    function, x = {**PUSHED, **OTHERS}[name](), points()
    expected = true_gradients(function, x)
    values, found = values_and_gradients(function, x, scheme)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(values, function(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ways", [1, 3])
@pytest.mark.parametrize("name", [*PUSHED, *OTHERS])
def test_exact_schemes_have_the_same_gradients_by_weights(name, ways):
    model = {**PUSHED, **OTHERS}[name]()
    weights = list(model.parameters()) if isinstance(model, nn.Module) else []
    x = points().requires_grad_()
    along = torch.stack([points().roll(place, 1) for place in range(ways)])
    found = []
    for scheme in EXACT:
        energy = directional(model, x, along, scheme).square().sum()
        options = {"allow_unused": True, "materialize_grads": True}
        if not energy.requires_grad:
            energy = energy + 0 * x.sum()
        found.append(torch.autograd.grad(energy, [x, *weights], **options))
    for other in found[:2]:
        torch.testing.assert_close(other, found[2], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [*PUSHED, *OTHERS])
def test_what_is_known_is_pushed(name):
    found = push({**PUSHED, **OTHERS}[name](), points(), None)
    assert (found is not None) == (name in PUSHED)


@pytest.mark.parametrize("scheme", EXACT)
def test_a_function_is_evaluated_once(scheme):
    model, seen = Residual(net(3, 3)), list[int]()
    model.register_forward_hook(lambda module, given, found: seen.append(len(found)))
    gradients(model, points(), scheme)
    assert seen == [5]


@pytest.mark.parametrize("scheme", EXACT)
def test_what_does_not_depend_on_x_is_flat(scheme):
    with torch.no_grad():
        assert not gradients(lambda x: torch.ones(len(x), 7).double(), points(), scheme).any()
    assert not gradients(lambda x: torch.ones(len(x), 7).double(), points(), scheme).any()


@pytest.mark.parametrize("name", [*PUSHED, *OTHERS])
def test_without_a_graph_slopes_are_the_same(name):
    function, along = {**PUSHED, **OTHERS}[name](), points().roll(1, 0)
    expected = directional(function, points(), along, "reverse-mode").detach()
    with torch.no_grad():
        for scheme in EXACT:
            found = directional(function, points(), along, scheme)
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_what_hooks_keep_are_plain_tensors():
    model, kept = net(), list[torch.Tensor]()
    model[0].register_forward_hook(lambda module, given, found: kept.append(found))
    gradients(model, points())
    assert type(kept[0]) is torch.Tensor


@pytest.mark.parametrize("scheme", EXACT)
def test_inference_mode_is_left_for_the_time(scheme):
    model, x = net(), points()
    with torch.inference_mode():
        found = gradients(model, x.clone(), scheme)
    torch.testing.assert_close(found, true_gradients(model, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name != "complex-step"])
@pytest.mark.parametrize("softmax", [False, True])
def test_dropout_has_one_mask_for_values_and_all_slopes(scheme, softmax):
    layers = [nn.Linear(3, 30), nn.Dropout(0.5), nn.Tanh(), nn.Linear(30, 2)]
    if softmax:
        layers.insert(1, nn.Softmax(1))
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


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_wrapped_network_keeps_its_slopes(wrap):
    model, x = net(), points()
    for scheme in ("auto", "forward-mode"):
        assert torch.equal(gradients(wrap(model), x, scheme), gradients(model, x, scheme))


STEP = """
import torch
from counterpoint.derivatives import gradients

model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.SiLU(), torch.nn.Linear(8, 2)).double()
x = torch.randn(5, 3).double()
for scheme in ("forward", "central"):
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
