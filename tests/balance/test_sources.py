"""Gram matrices and combined gradients against one plain backward pass a goal."""

import pytest
import torch
from torch import nn

from balance_models import TRUNKS, Heads, Spy, close, goals_of, gradient, jacobian, make, numbers
from counterpoint.balance import Balancer
from counterpoint.errors import InputError

SOURCES = ["features", "parameters", "last", "auto"]


@pytest.mark.parametrize("gram", SOURCES)
@pytest.mark.parametrize("kind", TRUNKS)
def test_the_gradient_is_that_of_the_weighted_mean(kind, gram):
    model, x = make(kind)
    weights = [*model.parameters()]
    losses = goals_of(model, {"x": x})
    expected = torch.tensor([0.5, 3.0, 7.0], dtype=torch.float64) @ jacobian(losses, weights) / 3
    step = Balancer(Spy(0.5, 3.0, 7.0), gram=gram).backward(losses, model)
    close(gradient(weights), expected)
    assert step.weights.tolist() == [0.5, 3.0, 7.0]
    assert step.score.item() == torch.stack([*losses.values()]).mean().item()


@pytest.mark.parametrize("kind", TRUNKS)
def test_parameters_are_exact(kind):
    model, x = make(kind)
    spy = Spy()
    losses = goals_of(model, {"x": x})
    rows = jacobian(losses, [*model.trunk.parameters()])
    Balancer(spy, gram="parameters").backward(losses, model)
    norms = rows.norm(dim=1)
    close(spy.seen[0].norms, norms, 1e-12)
    close(spy.seen[0].cosines, rows @ rows.T / norms[:, None] / norms, 1e-10)


@pytest.mark.parametrize("way", ["found", "passed", "caught"])
@pytest.mark.parametrize("kind", TRUNKS)
def test_features_are_those_of_the_trunk(kind, way):
    model, x = make(kind)
    spy = Spy()
    balancer = Balancer(spy, gram="features", at="trunk" if way == "caught" else None)
    with balancer.watching(model):
        z = model.trunk(x)
        outputs = enumerate(model.heads.values())
        losses = {f"{k}": (head(z) - k).square().mean() for k, head in outputs}
    rows = [torch.autograd.grad(v, z, retain_graph=True)[0].flatten() for v in losses.values()]
    table = torch.stack(rows)
    balancer.backward(losses, model, features=z if way == "passed" else None)
    close(spy.seen[0].gram, table @ table.T)


@pytest.mark.parametrize("way", ["name", "glob", "module", "list"])
def test_a_part_is_named_as_weights_are(way):
    model, x = make("mlp")
    at = {"name": "trunk", "glob": "trun*k", "module": model.trunk, "list": ["trunk"]}
    spy, other = Spy(), Spy()
    Balancer(spy, at=at[way]).step(goals_of, model, {"x": x})
    Balancer(other, gram="features").backward(goals_of(model, {"x": x}), model)
    close(spy.seen[0].gram, other.seen[0].gram)


def test_the_last_layer_is_the_one_nearest_to_the_losses():
    model, x = make("mlp")
    losses = goals_of(model, {"x": x})
    rows = jacobian(losses, [*model.trunk[2].parameters()])
    spy = Spy()
    Balancer(spy, gram="last").backward(losses, model)
    close(spy.seen[0].gram, rows @ rows.T)


@pytest.mark.parametrize("way", ["name", "glob", "module", "list"])
def test_weights_may_be_chosen(way):
    model, x = make("mlp")
    at = {"name": "trunk.0", "glob": "trunk.0.*", "module": model.trunk[0], "list": ["trunk.0"]}
    losses = goals_of(model, {"x": x})
    rows = jacobian(losses, [*model.trunk[0].parameters()])
    spy = Spy()
    Balancer(spy, gram="parameters", at=at[way]).backward(losses, model)
    close(spy.seen[0].gram, rows @ rows.T)


def test_a_second_step_of_the_same_form_uses_the_plan_of_the_first(monkeypatch):
    model, x = make("mlp")
    for gram in ("features", "parameters"):
        spy = Spy()
        balancer = Balancer(spy, gram=gram)
        balancer.backward(goals_of(model, {"x": x}), model)
        with monkeypatch.context() as patch:
            for module in ("sources._features", "sources._plan"):
                patch.setattr(f"counterpoint.balance.{module}.Graph", None)
            balancer.backward(goals_of(model, {"x": x}), model)
        close(spy.seen[1].gram, spy.seen[0].gram)


def test_a_graph_of_another_form_is_walked_again():
    model, x = make("mlp")
    balancer = Balancer(spy := Spy(), gram="parameters")
    balancer.backward(goals_of(model, {"x": x}), model)
    losses = {name: (loss + 1.0).sqrt() for name, loss in goals_of(model, {"x": x}).items()}
    rows = jacobian(losses, [*model.trunk.parameters()])
    balancer.backward(losses, model)
    close(spy.seen[1].gram, rows @ rows.T, 1e-11)


class Skipping(nn.Module):
    """One head reads two depths of the trunk."""

    def __init__(self):
        super().__init__()
        self.low, self.high = nn.Linear(5, 6), nn.Linear(6, 4)
        self.a, self.b = nn.Linear(10, 1), nn.Linear(4, 1)

    def forward(self, x):
        low = torch.tanh(self.low(x))
        high = torch.tanh(self.high(low))
        return low, high, self.a(torch.cat([low, high], 1)), self.b(high)


def test_goals_that_meet_at_several_depths_are_measured_at_all_of_them():
    torch.manual_seed(0)
    model = Skipping().double()
    low, high, a, b = model(numbers(9, 5))
    losses = {"a": a.square().mean(), "b": (b - 1).square().mean()}
    own = torch.autograd.grad(losses["a"], a, retain_graph=True)[0] @ model.a.weight[:, 6:]
    high_of = [own, torch.autograd.grad(losses["b"], high, retain_graph=True)[0]]
    low_of = [torch.autograd.grad(loss, low, retain_graph=True)[0] for loss in losses.values()]
    rows = torch.stack([torch.cat(pair, 1).flatten() for pair in zip(low_of, high_of, strict=True)])
    spy = Spy()
    Balancer(spy, gram="features").backward(losses, model)
    close(spy.seen[0].gram, rows @ rows.T)


def test_goals_that_meet_at_several_depths_are_exact_at_weights():
    torch.manual_seed(0)
    model = Skipping().double()
    weights = [*model.low.parameters(), *model.high.parameters()]
    _, _, a, b = model(numbers(9, 5))
    losses = {"a": a.square().mean(), "b": (b - 1).square().mean()}
    rows = jacobian(losses, weights)
    Balancer(spy := Spy(), gram="parameters").backward(losses, model)
    close(spy.seen[0].gram, rows @ rows.T)
    close(gradient(weights), torch.tensor([0.5, 1.0], dtype=torch.float64) @ rows)


def test_auto_says_what_it_chose_and_why():
    model, x = make("mlp")
    assert _chosen("magnitude", goals_of(model, {"x": x}), model).startswith("features (auto: the")
    assert _chosen("uncertainty", goals_of(model, {"x": x}), model).startswith("losses only")
    decay = {**goals_of(model, {"x": x}), "decay": model.trunk[0].weight.square().sum()}
    assert "meet in weights only" in _chosen("magnitude", decay, model)


def test_auto_sees_that_disjoint_outputs_show_no_angles():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2)).double()

    def losses():
        y = model(numbers(9, 5))
        return {"a": y[:, 0].square().mean(), "b": (y[:, 1] - 1).square().mean()}

    for rule in ("upgrad", "magnitude"):
        assert _chosen(rule, losses(), model).startswith("parameters (auto: the goals pull at")


def test_goals_may_meet_at_a_single_number():
    torch.manual_seed(0)
    model = nn.Linear(5, 1).double()
    total = model(numbers(4, 5)).sum()
    found = Balancer("upgrad").backward({"a": total, "b": -2.0 * total}, model)
    assert found.cosines[0, 1].item() == pytest.approx(-1.0)


def test_many_goals_without_a_meeting_point_take_the_last_layer():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1)).double()
    losses = {f"{k}": model(numbers(4, 5, seed=k)).square().mean() for k in range(9)}
    assert _chosen("upgrad", losses, model).startswith("parameters of the last shared layer (auto")


def _chosen(rule, losses, model):
    return Balancer(rule).backward(losses, model).source


def test_features_that_were_retained_keep_what_a_plain_backward_would_give():
    model, x = make("mlp")
    z = model.trunk(x)
    z.retain_grad()
    losses = {n: head(z).square().mean() for n, head in model.heads.items()}
    expected = torch.autograd.grad(sum(losses.values()) / 3, z, retain_graph=True)[0]
    z.grad = None
    Balancer(Spy(1.0, 1.0, 1.0), gram="features").backward(losses, model, features=z)
    close(z.grad, expected)


def test_hooks_of_weights_see_one_backward_pass():
    model, x = make("mlp")
    seen = []
    handle = model.trunk[0].weight.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad))
    Balancer(Spy(), gram="parameters").backward(goals_of(model, {"x": x}), model)
    handle.remove()
    assert len(seen) == 1


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_gradients_beyond_the_squares_of_float32(scale):
    torch.manual_seed(0)
    model = Heads(nn.Sequential(nn.Linear(5, 6), nn.Tanh()), 6, 2)
    x = numbers(9, 5).float()
    for gram in ("features", "parameters"):
        one, two = Spy(), Spy()
        _measure(one, gram, model, x, 1.0)
        _measure(two, gram, model, x, scale)
        ratio = two.seen[0].norms[1] / one.seen[0].norms[1]
        assert ratio.item() == pytest.approx(scale, rel=1e-4)
        close(two.seen[0].cosines, one.seen[0].cosines, 1e-4)


def _measure(spy, gram, model, x, scale):
    z = model.trunk(x)
    a, b = (head(z).square().mean() for head in model.heads.values())
    Balancer(spy, gram=gram).backward({"a": a, "b": b * scale}, model)


def test_a_goal_without_gradient_keeps_its_preference():
    model, x = make("mlp", goals=2)
    losses = goals_of(model, {"x": x})
    losses["dead"] = 0.0 * losses["a"]
    step = Balancer("upgrad", gram="parameters", preference={"dead": 4.0}).backward(losses, model)
    assert step.weights[2].item() == pytest.approx(2.0)
    assert step.norms[2].item() == 0.0
    assert step.cosines[2].tolist() == [0.0, 0.0, 0.0]


def test_all_goals_at_rest_leave_zeros():
    model, x = make("mlp", goals=2)
    for rule in ("magnitude", "mgda", "upgrad", "config", "nash-mtl"):
        model.zero_grad()
        losses = {name: 0.0 * loss for name, loss in goals_of(model, {"x": x}).items()}
        step = Balancer(rule).backward(losses, model)
        assert step.weights.tolist() == [1.0, 1.0], rule
        assert gradient([*model.parameters()]).abs().max() == 0.0


def test_nothing_shared_is_refused():
    a, b = nn.Linear(2, 1), nn.Linear(2, 1)
    model = nn.ModuleList([a, b])
    losses = {"a": a.weight.square().sum(), "b": b.weight.square().sum()}
    with pytest.raises(InputError, match="no weight is shared"):
        Balancer(gram="parameters").backward(losses, model)
    assert a.weight.grad is None
