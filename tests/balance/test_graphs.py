"""Graphs that change from step to step, and graphs that somebody else has touched."""

import pytest
import torch
from torch import nn

from balance_models import Spy, close, expected, goals_of, gradient, make, numbers
from counterpoint.balance import Balancer
from counterpoint.errors import InputError

SOURCES = ["features", "parameters", "last", "auto"]


def same_as_plain(gram, model, make_losses, steps, tolerance=1e-11):
    """Over steps whose graphs differ, with one balancer, the gradient is that of F."""
    balancer = Balancer(Spy(), gram=gram)
    for number in range(steps):
        model.zero_grad()
        wanted = expected(make_losses(number), model)
        balancer.backward(make_losses(number), model)
        close(gradient([*model.parameters()]), wanted, tolerance)


class Recur(nn.Module):
    """A layer applied T times before the heads, another one S times inside head b."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.inner = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.a, self.b = nn.Linear(6, 1), nn.Linear(6, 1)

    def losses(self, x, times, inside):
        z = torch.tanh(self.first(x))
        for _ in range(times):
            z = torch.tanh(self.again(z))
        y = z
        for _ in range(inside):
            y = torch.tanh(self.inner(y))
        return {"a": self.a(z).square().mean(), "b": (self.b(y) - 1).square().mean()}


@pytest.mark.parametrize("gram", SOURCES)
def test_graphs_that_grow_and_shrink(gram):
    torch.manual_seed(0)
    model = Recur().double()
    x = numbers(9, 5)
    same_as_plain(gram, model, lambda n: model.losses(x, (1, 3, 2, 3)[n], (1, 1, 4, 2)[n]), 4)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("gram", SOURCES)
def test_sequences_of_several_lengths(kind, gram):
    torch.manual_seed(0)
    rnn = kind(3, 6, batch_first=True)
    model = nn.ModuleDict({"rnn": rnn, "a": nn.Linear(6, 1), "b": nn.Linear(6, 1)}).double()

    def losses(number):
        z = rnn(numbers(4, (3, 5, 7, 4)[number], 3))[0][:, -1]
        return {n: (model[n](z) - 1).square().mean() for n in ("a", "b")}

    same_as_plain(gram, model, losses, 4)


@pytest.mark.parametrize("gram", SOURCES)
def test_layers_that_are_skipped_at_random(gram):
    torch.manual_seed(0)
    blocks = nn.ModuleList(nn.Linear(5, 5) for _ in range(4))
    model = nn.ModuleDict({"blocks": blocks, "a": nn.Linear(5, 1), "b": nn.Linear(5, 1)}).double()
    chosen = torch.randint(0, 2, (12, 4), generator=torch.Generator().manual_seed(0)).tolist()

    def losses(number):
        z = numbers(6, 5, seed=number)
        for block, used in zip(blocks, chosen[number], strict=True):
            z = z + torch.tanh(block(z)) if used else z
        decay = sum(p.square().sum() for p in model.parameters())
        found = {n: (model[n](z) - 1).square().mean() for n in ("a", "b")}
        return {**found, "decay": decay} if number % 2 and gram in ("auto", "parameters") else found

    kept = [n for n in range(12) if any(chosen[n])]
    same_as_plain(gram, model, lambda n: losses(kept[n]), len(kept))


@pytest.mark.parametrize("gram", SOURCES)
def test_experts_that_come_and_go(gram):
    torch.manual_seed(0)
    experts = nn.ModuleList(nn.Linear(5, 4) for _ in range(3))
    model = nn.ModuleDict({"e": experts, "a": nn.Linear(4, 1), "b": nn.Linear(4, 1)}).double()
    x = numbers(9, 5)

    def losses(number):
        z = torch.stack([e(x) for e in experts[: (1, 3, 2)[number]]]).tanh().mean(0)
        return {n: (model[n](z) - 1).square().mean() for n in ("a", "b")}

    same_as_plain(gram, model, losses, 3)


def test_a_layer_may_be_replaced_between_steps():
    model, x = make("mlp")
    balancer = Balancer(Spy(), gram="features")
    balancer.backward(goals_of(model, {"x": x}), model)
    with torch.random.fork_rng(devices=[]):
        model.heads["b"] = nn.Linear(6, 2).double()
    model.zero_grad()
    wanted = expected(goals_of(model, {"x": x}), model)
    balancer.backward(goals_of(model, {"x": x}), model)
    close(gradient([*model.parameters()]), wanted)


@pytest.mark.parametrize("gram", SOURCES)
def test_hooks_of_the_shared_value(gram):
    """Reversal or scaling by a hook acts once, as in an ordinary backward pass."""
    model, x = make("mlp")

    def losses():
        z = model.trunk(x)
        z.register_hook(lambda g: -0.5 * g)
        return {n: (head(z) - 1).square().mean() for n, head in model.heads.items()}

    wanted = expected(losses(), model)
    Balancer(Spy(), gram=gram).backward(losses(), model)
    close(gradient([*model.parameters()]), wanted)


@pytest.mark.parametrize("gram", ["features", "parameters"])
def test_whoever_holds_a_gradient_goes_on_seeing_it(gram):
    model, x = make("mlp")
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    held = [weight.grad for weight in model.parameters()]
    Balancer(Spy(), gram=gram).backward(goals_of(model, {"x": x}), model)
    for weight, grad in zip(model.parameters(), held, strict=True):
        assert weight.grad is grad
        assert grad.abs().sum() > 0


def test_functions_that_call_something_variable():
    class Odd(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.variable = x.detach()
            return 2.0 * x

        @staticmethod
        def backward(ctx, grad):
            return 2.0 * grad

    model, x = make("mlp")
    for gram in SOURCES:
        model.zero_grad()
        z = Odd.apply(model.trunk(x))
        losses = {n: head(z).square().mean() for n, head in model.heads.items()}
        wanted = expected(losses, model)
        Balancer(Spy(), gram=gram).backward(losses, model)
        close(gradient([*model.parameters()]), wanted)


def vectors(model, x):
    """Two goals as entries of one vector of losses."""
    return (model(x) - torch.tensor([1e3, 1.0], dtype=torch.float64)).square().mean(0)


VECTORS = {
    "unbound": lambda e: dict(zip("ab", e.unbind(), strict=True)),
    "indexed": lambda e: {"a": e[0], "b": e[1]},
    "nested": lambda e: {"a": e[0], "both": e[0] + e[1]},
}


@pytest.mark.parametrize("gram", ["parameters", "last", "auto"])
@pytest.mark.parametrize("way", VECTORS)
def test_losses_that_are_made_together(way, gram):
    """Neither is lost, and their units are seen."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    x = numbers(9, 5)
    wanted = expected(VECTORS[way](vectors(model, x)), model)
    step = Balancer(Spy(), gram=gram).backward(VECTORS[way](vectors(model, x)), model)
    close(gradient([*model.parameters()]), wanted)
    if way != "nested":
        assert step.norms[0] > 100.0 * step.norms[1]


def test_impartial_sees_the_units_of_entries_of_a_vector():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    step = Balancer("impartial").backward(VECTORS["indexed"](vectors(model, numbers(9, 5))), model)
    assert step.weights[0] < 0.02


@pytest.mark.parametrize("gram", ["parameters", "last"])
def test_heads_that_are_put_side_by_side_are_not_shared(gram):
    model, x = make("mlp")

    def apart():
        return goals_of(model, {"x": x})

    def joined():
        together = torch.cat([head(model.trunk(x)) for head in model.heads.values()], 1)
        parts = together.split(2, 1)
        pairs = enumerate(zip(model.heads, parts, strict=True))
        return {n: 10.0 ** (-k) * (p - k).square().mean() for k, (n, p) in pairs}

    one, two = (Balancer(Spy(), gram=gram).backward(f(), model) for f in (apart, joined))
    torch.testing.assert_close(one.norms, two.norms)
    torch.testing.assert_close(one.cosines, two.cosines)


def test_weights_that_are_unfrozen_later():
    for gram in SOURCES:
        model, x = make("mlp")
        model.trunk[0].requires_grad_(False)
        model.heads["b"].requires_grad_(False)
        balancer = Balancer(Spy(), gram=gram)
        balancer.backward(goals_of(model, {"x": x}), model)
        model.requires_grad_(True)
        model.zero_grad()
        wanted = expected(goals_of(model, {"x": x}), model)
        balancer.backward(goals_of(model, {"x": x}), model)
        close(gradient([*model.parameters()]), wanted)


def test_complex_weights():
    torch.manual_seed(0)
    layer = nn.Linear(3, 4, dtype=torch.complex128)
    x = torch.randn(5, 3, dtype=torch.complex128)

    def losses():
        z = layer(x)
        return {"a": z.abs().square().mean(), "b": (z.real - 1).square().mean()}

    rows = [torch.autograd.grad(v, [*layer.parameters()]) for v in [*losses().values()][:1]]
    flat = torch.cat([torch.view_as_real(part).flatten() for part in rows[0]])
    for gram in ("parameters", "auto"):
        layer.zero_grad()
        step = Balancer(Spy(), gram=gram).backward(losses(), layer)
        assert torch.isfinite(step.cosines).all()
        if gram == "parameters":
            torch.testing.assert_close(step.norms[0], flat.norm())


def test_a_hook_that_reads_values_is_named():
    model, x = make("mlp")
    seen = []

    def losses():
        h = model.trunk[1](model.trunk[0](x))
        h.register_hook(lambda g: seen.append(g.norm().item()))
        z = model.trunk[3](model.trunk[2](h))
        return {n: head(z).square().mean() for n, head in model.heads.items()}

    with pytest.raises(InputError, match="a hook inside the network reads values"):
        Balancer(Spy(), gram="parameters").backward(losses(), model)
    Balancer(Spy(), gram="features").backward(losses(), model)
    assert len(seen) == 1
