"""Directional derivatives: unbiased, of known spread, and nothing is disturbed."""

import pytest
import torch
from torch import nn

from balance_models import Heads, goals_of, jacobian, make, numbers
from counterpoint.balance._balancer import Balancer
from counterpoint.balance._ranks import Ranks
from counterpoint.balance.sources import Sketch, StepContext
from counterpoint.data import Batch, as_batch
from counterpoint.errors import InputError


def step_of(losses, model, looked):
    scalars = [*losses.values()]
    means = torch.stack(scalars).double()
    return StepContext(tuple(losses), scalars, means, model, Ranks(), looked=looked)


def grams(model, batch, steps, **told):
    """The estimate after every step, at weights that stay."""
    sketch = Sketch(**told)
    found = []
    for _ in range(steps):
        looked = sketch.look(goals_of, model, as_batch(batch), [*model.parameters()], Ranks())
        context = step_of(goals_of(model, batch), model, looked)
        found.append(sketch.measure(context).gram.matrix)
    return torch.stack(found)


def exact(model, batch):
    rows = jacobian(goals_of(model, batch), [*model.parameters()])
    return rows @ rows.T


@pytest.mark.parametrize("forward", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_mean_of_many_probes_is_the_gram_matrix(forward):
    model, x = make("wide")
    found = grams(model, {"x": x}, 1, probes=1000, decay=0.0, exact=forward)[0]
    truth = exact(model, {"x": x})
    scale = truth.diagonal().sqrt()
    error = (found - truth) / scale[:, None] / scale
    # a squared norm of 1000 probes has a spread of sqrt(2 / 1000) = 0.045
    assert error.abs().max() < 0.15


@pytest.mark.parametrize(
    ("probes", "decay"),
    [(1, 0.9), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((4, 0.8), (8, 0.0)))],
)
def test_the_spread_is_the_one_that_is_promised(probes, decay):
    model, x = make("wide", goals=2)
    found = grams(model, {"x": x}, 300, probes=probes, decay=decay)[40:]
    truth = exact(model, {"x": x}).diagonal()
    spread = (found.diagonal(dim1=1, dim2=2) / truth - 1.0).square().mean(0).sqrt()
    promised = (2.0 / (probes * (1 + decay) / (1 - decay))) ** 0.5
    assert (spread / promised).max() < 1.35
    assert (spread / promised).min() > 0.6


def test_a_difference_is_the_derivative():
    model, x = make("mlp")
    one = grams(model, {"x": x}, 1, probes=8, decay=0.0)[0]
    two = grams(model, {"x": x}, 1, probes=8, decay=0.0, exact=True)[0]
    assert (one - two).abs().max() < 0.02 * two.abs().max()


class Noisy(nn.Module):
    """Dropout and statistics."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))

    def forward(self, x):
        return self.layers(x)


def test_nothing_is_disturbed():
    torch.manual_seed(0)
    model = Heads(Noisy(), 6, 2).double()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    sketch = Sketch()
    sketch.look(goals_of, model, Batch.of(numbers(9, 5)), [*model.parameters()], Ranks())
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_both_passes_draw_the_same_masks():
    """Otherwise the difference of two masks, divided by a small step, would drown everything."""
    torch.manual_seed(0)
    model = Heads(Noisy(), 6, 2).double()
    state = torch.get_rng_state()
    found = grams(model, {"x": numbers(64, 5)}, 1, probes=1, decay=0.0)[0]
    torch.set_rng_state(state)
    truth = exact(model, {"x": numbers(64, 5)})
    assert found.diagonal().max() < 20.0 * truth.diagonal().max()


def test_a_failing_pass_leaves_the_weights():
    model, x = make("mlp")
    before = [p.detach().clone() for p in model.parameters()]

    def failing(model, batch):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Sketch().look(failing, model, Batch.of(x), [*model.parameters()], Ranks())
    for weight, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(weight, old)


def test_chosen_weights_alone_are_moved():
    model, x = make("mlp")
    balancer = Balancer("upgrad", gram="sketch", at="trunk.0.*")
    assert torch.isfinite(balancer.step(goals_of, model, {"x": x}).weights).all()


def test_bad_settings():
    with pytest.raises(InputError, match="probes = 0"):
        Sketch(probes=0)


def test_other_goals_the_second_time():
    model, x = make("mlp")
    calls = []

    def moody(model, batch):
        calls.append(1)
        found = goals_of(model, batch)
        if len(calls) == 2:
            del found["b"]
        return found

    with pytest.raises(InputError, match="gave \\('a', 'b', 'c'\\) and then \\('a', 'c'\\)"):
        Balancer(gram="sketch").step(moody, model, {"x": x})


def test_near_convergence_what_bends_alike_is_taken_away():
    """Two opposed small gradients on a bowl that is much steeper: a square would see +1."""
    model = nn.Linear(40, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    away = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1e-4

    def pulled(model, batch):
        w = model.weight[0]
        bowl = 50.0 * w.square().sum()
        return {"a": bowl + w @ away, "b": bowl - w @ away}

    nn.init.constant_(model.weight, 1e-9)
    sketch = Sketch(length=1e4)
    for _ in range(300):
        batch = Batch((), {}, None, None, 0)
        looked = sketch.look(pulled, model, batch, [*model.parameters()], Ranks())
        context = step_of(pulled(model, {}), model, looked)
        gram = sketch.measure(context).gram
    assert gram.cosines[0, 1] < -0.9


def test_coarse_weights_are_refused():
    model, x = make("mlp")
    model.bfloat16()
    with pytest.raises(InputError, match="weights of torch.bfloat16 cannot be moved by so little"):
        Balancer(gram="sketch").step(goals_of, model, {"x": x.bfloat16()})


def test_a_step_reads_its_batch_by_the_users_function():
    model, goals = nn.Linear(2, 1), lambda model, batch: {"a": model(batch["x"]).mean()}
    step = Balancer("sum").step(
        goals, model, (torch.ones(3, 2), "note", 1), unpack=lambda found: Batch.of(found[0])
    )
    assert step.names == ("a",)
