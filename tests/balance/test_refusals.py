"""What cannot be used is named before any gradient is touched."""

from collections.abc import Mapping

import pytest
import torch
from torch import nn

from balance_models import Spy, goals_of, gradient, make
from counterpoint.balance import (
    Balancer,
    BalanceWarning,
    Gram,
    Knowledge,
    StatelessRule,
    StepEnding,
)
from counterpoint.balance._checks import check_arguments, check_features, check_losses, check_model
from counterpoint.balance.rules import RULES
from counterpoint.balance.sources import Loss, Measured
from counterpoint.errors import InputError


@pytest.fixture
def model():
    return make("mlp")[0]


def losses(model):
    return goals_of(model, {"x": make("mlp")[1]})


class Twice(Mapping):
    """A mapping that gives a name twice."""

    def __init__(self, inner):
        self._inner = inner

    def __getitem__(self, name):
        return self._inner[name]

    def __iter__(self):
        return iter([*self._inner, "a"])

    def __len__(self):
        return len(self._inner) + 1


BAD = {
    "empty": (lambda found: {}, "goals: expected at least one goal"),
    "twice": (Twice, "goal 'a': given twice"),
    "number": (lambda found: {**found, 3: found["a"]}, "a name must be text, found 3"),
    "float": (lambda found: {**found, "x": 1.0}, "goal 'x': expected a tensor, found float"),
    "shape": (
        lambda found: {**found, "x": torch.zeros(64, requires_grad=True)},
        "goal 'x': expected a scalar, found shape \\(64,\\)",
    ),
    "graph": (lambda found: {**found, "x": found["a"].detach()}, "goal 'x': .*with a graph"),
    "whole": (lambda found: {**found, "x": torch.tensor(3)}, "goal 'x': .*floating-point"),
    "device": (
        lambda found: {**found, "x": torch.zeros((), device="meta", requires_grad=True)},
        "goal 'x': is on meta, goal 'a' on cpu",
    ),
    "nul": (lambda found: {"a\0b": found["a"]}, "must not contain the character NUL"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_losses(model, case):
    change, message = BAD[case]
    with pytest.raises(InputError, match=message):
        Balancer().backward(change(losses(model)), model)
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("gram", ["features", "parameters", "last", "loss"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_goal_that_is_not_finite_is_named(model, value, gram):
    found = losses(model)
    found["b"] = found["b"] * value
    with pytest.raises(InputError, match="goal 'b': not finite"):
        Balancer("sum", gram=gram).backward(found, model)
    assert all(weight.grad is None for weight in model.parameters())


def test_a_gradient_that_is_not_finite_is_named(model):
    found = losses(model)
    found["b"] = (0.0 * found["b"]).sqrt()
    with pytest.raises(InputError, match="goal 'b': its value is finite \\(0\\), its gradient"):
        Balancer().backward(found, model)
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("gram", ["features", "parameters", "loss"])
def test_it_may_be_dropped(model, gram):
    found = losses(model)
    wanted = torch.autograd.grad(
        (found["a"] + found["c"]) / 2, [*model.trunk.parameters()], retain_graph=True
    )
    found["b"] = found["b"] * float("nan")
    step = Balancer("sum", gram=gram, nonfinite="drop").backward(found, model)
    assert step.dropped == ("b",)
    assert step.status is StepEnding.DROPPED
    assert step.weights.tolist() == [1.0, 0.0, 1.0]
    assert step.score.item() == pytest.approx(float((found["a"] + found["c"]).detach()) / 2)
    torch.testing.assert_close(
        gradient([*model.trunk.parameters()]), torch.cat([g.flatten() for g in wanted])
    )


def test_all_dropped_is_skipped(model):
    found = {name: loss * float("nan") for name, loss in losses(model).items()}
    step = Balancer(nonfinite="drop").backward(found, model)
    assert step.status is StepEnding.SKIPPED
    assert all(weight.grad is None for weight in model.parameters())


def test_it_may_skip_the_step(model):
    found = losses(model)
    found["b"] = found["b"] * float("nan")
    step = Balancer(nonfinite="skip").backward(found, model)
    assert step.status is StepEnding.SKIPPED
    assert step.dropped == ("b",)
    assert all(weight.grad is None for weight in model.parameters())


def test_it_may_be_passed_on_without_waiting(model):
    found = losses(model)
    found["b"] = found["b"] * float("nan")
    step = Balancer(nonfinite="pass").backward(found, model)
    assert step.status is StepEnding.OVERFLOWED
    assert not torch.isfinite(gradient([*model.parameters()])).all()


ARGUMENTS = {
    "rule": ({"rule": "magnitud"}, "did you mean 'magnitude'"),
    "gram": ({"gram": "feature"}, "gram: expected one of .*, found 'feature'; did you mean 'f"),
    "every": ({"every": 0}, "every: expected a whole number of at least 1, found 0"),
    "nonfinite": ({"nonfinite": "ignore"}, "nonfinite: expected one of raise, skip, drop, pass"),
    "alarm": ({"on_alarm": "log"}, "on_alarm: a function or a name: expected one of warn, remedy"),
    "preference": ({"preference": {"a": -1.0}}, "preference: goal 'a': expected above 0"),
    "nan": ({"preference": {"a": float("nan")}}, "preference: goal 'a': expected above 0"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_bad_arguments(case):
    told, message = ARGUMENTS[case]
    with pytest.raises(InputError, match=message):
        Balancer(**told)


def test_arguments_of_another_type():
    with pytest.raises(InputError, match="every: expected a whole number of at least 1, found 2.5"):
        check_arguments(2.5, None)
    with pytest.raises(InputError, match="preference: goal 'a': expected above 0, found '2'"):
        check_arguments(1, {"a": "2"})


def test_a_preference_for_no_goal(model):
    balancer = Balancer(preference={"aa": 2.0})
    with pytest.warns(BalanceWarning, match="no goal of the first step is called 'aa'; did you"):
        balancer.backward(losses(model), model)


def test_a_part_that_is_not_there(model):
    balancer = Balancer(at="trunck")
    with pytest.raises(
        InputError, match="at: 'trunck' matches no module of the model; did you mean 'trunk'"
    ):
        balancer.step(goals_of, model, {"x": make("mlp")[1]})


def test_a_part_that_nobody_watched(model):
    with pytest.raises(InputError, match="with balancer.watching"):
        Balancer(at="trunk").backward(losses(model), model)


class Whole(nn.Module):
    """As torch.compile wraps, in so far as no hook of a part is called."""

    def __init__(self, inner):
        super().__init__()
        self._orig_mod = inner

    def forward(self, x):
        for layer in self._orig_mod:
            x = layer.forward(x)
        return x


def test_a_part_inside_one_that_is_compiled(model):
    inside, model.trunk = model.trunk[0], Whole(model.trunk)
    with pytest.raises(InputError, match="it is inside 'trunk', which is compiled"):
        Balancer(at=inside).step(goals_of, model, {"x": make("mlp")[1]})
    assert Balancer("sum", at="trunk").step(goals_of, model, {"x": make("mlp")[1]}).fresh


def test_a_sketch_needs_the_goals(model):
    with pytest.raises(InputError, match="call balancer.step"):
        Balancer(gram="sketch").backward(losses(model), model)


def test_features_without_a_graph(model):
    with pytest.raises(InputError, match="features: expected tensors with a graph"):
        Balancer().backward(losses(model), model, features=torch.zeros(3))


def test_features_that_no_goal_knows(model):
    other = nn.Parameter(torch.zeros(3))
    with pytest.raises(InputError, match="no goal depends on them"):
        Balancer("upgrad").backward(losses(model), model, features=other)
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_is_not_given_a_source_that_shows_less_than_it_needs(name, model):
    if RULES[name]().needs == "losses":
        balancer = Balancer(name, gram="loss")
        assert torch.isfinite(balancer.backward(losses(model), model).weights).all()
        return
    with pytest.raises(InputError, match="gram='loss': shows losses alone, and the rule"):
        Balancer(name, gram="loss")


class Louder(StatelessRule):
    """Somebody else's rule."""

    needs, waits = "norms", False

    def weigh(self, inputs):
        return inputs.norms / inputs.norms.mean()


class Lengths:
    """Somebody else's source: it measures norms, and no angles."""

    gives = "norms"

    def measure(self, context):
        found = torch.arange(1.0, len(context.names) + 1.0, dtype=torch.float64)
        return Measured(Gram(found, torch.eye(len(found), dtype=torch.float64)))


def test_what_a_rule_needs_and_a_source_gives_is_asked_of_strangers_too(model):
    step = Balancer(Louder(), gram=Lengths()).backward(losses(model), model)
    assert step.weights.tolist() == [0.5, 1.0, 1.5]
    assert step.source == "Lengths"
    with pytest.raises(InputError, match="gram=Lengths: shows norms alone, and the rule UpGrad"):
        Balancer("upgrad", gram=Lengths())
    with pytest.raises(InputError, match="gram=Loss: shows losses alone"):
        Balancer(Louder(), gram=Loss())


@pytest.mark.parametrize(
    ("gram", "message"),
    [("loss", "gram='loss' measures nowhere"), (Lengths(), "Lengths decides itself where")],
)
def test_a_part_that_nobody_would_look_at(gram, message):
    with pytest.raises(InputError, match=message):
        Balancer("sum", gram=gram, at="trunk")


class Broken(StatelessRule):
    """A rule whose weights are not finite though all that it sees is."""

    needs, waits = "norms", False

    def __init__(self, value):
        self._value = value

    def weigh(self, inputs):
        weights = torch.ones_like(inputs.losses)
        weights[1] = self._value
        return weights


class Silent:
    """A source that says it measures, and does not."""

    def measure(self, context):
        return Measured.nothing(context)


@pytest.mark.parametrize("gram", ["features", "parameters", "last"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("every", [1, 3])
def test_no_weight_that_is_not_finite_reaches_a_gradient(model, gram, value, every):
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, 3.0)
    with pytest.raises(
        InputError, match="rule .*Broken.*: its weights are not finite .*b (nan|inf)"
    ):
        Balancer(Broken(value), gram=gram, every=every).backward(losses(model), model)
    for policy in ("skip", "drop"):
        balancer = Balancer(Broken(value), gram=gram, every=every, nonfinite=policy)
        step = balancer.backward(losses(model), model)
        assert step.status is StepEnding.SKIPPED
        assert step.dropped == ()
    assert all(bool((weight.grad == 3.0).all()) for weight in model.parameters())


@pytest.mark.parametrize("rule", ["impartial", "upgrad", "gradnorm", "db-mtl"])
def test_a_source_that_measures_nothing_moves_nothing(model, rule):
    with pytest.raises(InputError, match="weights are not finite"):
        Balancer(rule, gram=Silent()).backward(losses(model), model)
    assert all(weight.grad is None for weight in model.parameters())


def test_weights_of_another_shape_are_refused(model):
    class Column(Spy):
        def weights(self, given, state):
            return given.preference[:, None], state

    with pytest.raises(InputError, match="one weight for each of 3 goals, shape \\(3,\\), found"):
        Balancer(Column()).backward(losses(model), model)
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("gram", ["Features", "PARAMETERS", "Sketch"])
def test_a_source_is_found_whatever_its_case(model, gram):
    batch = {"x": make("mlp")[1]}
    assert Balancer("sum", gram=gram).step(goals_of, model, batch).source.startswith(gram.lower())


def test_a_warning_is_of_the_line_that_called(model):
    """Whatever the way by which the engine comes to it."""
    batch = {"x": make("mlp")[1]}

    def fewer(model, batch):
        found = goals_of(model, batch)
        return {name: found[name] for name in ("a", "b")}

    with pytest.warns(BalanceWarning, match="no goal of the first step") as one:
        Balancer(preference={"aa": 2.0}).backward(losses(model), model)
    with pytest.warns(BalanceWarning, match="no goal of the first step") as two:
        Balancer(preference={"aa": 2.0}).step(goals_of, model, batch)
    unknown = Balancer(preference={"a": 2.0}, gram="sketch", every=2)
    unknown.step(goals_of, model, batch)
    # as if goals were met for the first time in a step of which nothing is measured
    unknown._engine.rule.wanted["aa"] = 2.0
    unknown._engine.rule._known.clear()
    with pytest.warns(BalanceWarning, match="no goal of the first step") as three:
        step = unknown.step(fewer, model, batch)
    assert step.knowledge is Knowledge.UNKNOWN
    assert [seen[0].filename for seen in (one, two, three)] == [__file__] * 3


def test_things_of_another_type():
    with pytest.raises(InputError, match="goals: expected a mapping .*, found list"):
        check_losses([torch.zeros((), requires_grad=True)])
    with pytest.raises(InputError, match="model: expected a torch module, found list"):
        check_model([])
    with pytest.raises(InputError, match="features: expected tensors, found dict"):
        check_features({})
