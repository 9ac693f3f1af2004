"""A run that stops and goes on is the same run, to the bit."""

import copy
import io
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from balance_models import goals_of, make, numbers
from counterpoint.balance import Balancer, Gram
from counterpoint.balance.rules import RULES
from counterpoint.balance.sources import Features, Measured
from counterpoint.errors import InputError


def batches(count):
    return [{"x": numbers(6, 5, seed=seed)} for seed in range(count)]


def some_goals(model, batch):
    """Goal b is absent now and then."""
    found = goals_of(model, batch)
    if float(batch["x"][0, 0]) > 0.5:
        del found["b"]
    return found


def run(model, optimiser, balancer, data):
    steps = []
    for batch in data:
        optimiser.zero_grad()
        steps.append(balancer.step(some_goals, model, batch))
        optimiser.step()
    return steps


def same(rule, **told):
    data = batches(12)
    model, _ = make("mlp")
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    balancer = Balancer(rule, **told)
    run(model, optimiser, balancer, data[:5])
    file = io.BytesIO()
    torch.save(balancer.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other, resumed = copy.deepcopy(model), Balancer(rule, **told)
    theirs = torch.optim.Adam(other.parameters(), 0.01)
    theirs.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    resumed.load_state_dict(saved)
    one = run(model, optimiser, balancer, data[5:])
    two = run(other, theirs, resumed, data[5:])
    for a, b in zip(one, two, strict=True):
        assert a.names == b.names
        assert torch.equal(a.weights, b.weights)
        assert a.source == b.source
        assert a.fresh == b.fresh
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


class Memory:
    """A source of somebody else's that remembers: the norms of the last step count, too."""

    def __init__(self):
        self.total = torch.zeros(3, dtype=torch.float64)

    def measure(self, context):
        gram = Features().measure(context).gram
        self.total = self.total + gram.norms
        return Measured(Gram(self.total, gram.cosines))

    def state(self):
        return {"total": self.total}

    def restore(self, state):
        self.total = state["total"]


def test_a_source_of_somebody_else_goes_on():
    model, _ = make("mlp")
    data = batches(6)
    one, two = Balancer("db-mtl", gram=Memory()), Balancer("db-mtl", gram=Memory())
    for batch in data[:3]:
        one.step(goals_of, model, batch)
    two.load_state_dict(one.state_dict())
    for batch in data[3:]:
        first, second = (each.step(goals_of, model, batch) for each in (one, two))
        assert torch.equal(first.weights, second.weights)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_goes_on(rule):
    same(rule)


@pytest.mark.parametrize("gram", ["features", "parameters", "last", "sketch"])
def test_every_source_goes_on(gram):
    same("pcgrad", gram=gram)


def test_weights_kept_between_measurements_go_on():
    same("magnitude", every=4)


def test_the_state_of_another_rule_is_refused():
    model, x = make("mlp")
    one = Balancer("dwa")
    one.step(goals_of, model, {"x": x})
    with pytest.raises(InputError, match="the state is of one with rule = Dwa"):
        Balancer("magnitude").load_state_dict(one.state_dict())


def test_something_else_is_refused():
    with pytest.raises(InputError, match="not a state of a balancer"):
        Balancer().load_state_dict({"weight": torch.zeros(1)})


def test_a_state_of_an_earlier_version_goes_on():
    """Written before the engine was: the same names of tensors, the same numbers after it."""
    model, _ = make("mlp")
    data = batches(5)
    state = load_file(Path(__file__).with_name("earlier_state.safetensors"))
    resumed, whole = Balancer(), Balancer()
    resumed.load_state_dict(state)
    for batch in data[:2]:
        whole.step(goals_of, model, batch)
    assert set(whole.state_dict()) == set(state)
    for batch in data[2:]:
        one, two = (each.step(goals_of, model, batch) for each in (resumed, whole))
        torch.testing.assert_close(one.weights, two.weights)
        assert one.source == two.source


def test_a_seed_decides_what_is_drawn():
    model, x = make("mlp")

    def drawn(seed):
        balancer = Balancer("alternate", seed=seed)
        return [balancer.step(goals_of, model, {"x": x}).weights.tolist() for _ in range(8)]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_a_state_goes_on_where_weights_are_chosen_by_a_function():
    """The function is another object in every process."""

    def balancer():
        return Balancer("impartial", gram="parameters", at=lambda name, _: "trunk" in name)

    model, _ = make("mlp")
    first, second = balancer(), balancer()
    first.step(goals_of, model, batches(1)[0])
    assert "0x" not in str(first.describe())
    second.load_state_dict(first.state_dict())
