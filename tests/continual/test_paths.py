"""Synaptic intelligence, aware synapses and distillation against what a hand computes."""

import math

import pytest
import torch
from torch import nn

from continual.tasks import LIKELIHOOD, batches, learn, moved, net, task
from counterpoint import goals
from counterpoint.continual import MAS, SI, LwF, StepObserver
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Categorical

close = torch.testing.assert_close


def line(slope=1.0):
    found = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(found.weight, slope)
    return found


def step(memory, model, gradient, change):
    model.weight.grad = torch.tensor([[gradient]], dtype=torch.float64)
    with torch.no_grad():
        model.weight += change
    memory.observe(model)


def test_intelligence_by_hand():
    memory, model, one = SI(damping=0.5), line(), (torch.ones(4, 1).double(),) * 2
    memory.begin(model)
    step(memory, model, gradient=-3.0, change=0.5)  # gains 1.5
    step(memory, model, gradient=1.0, change=0.25)  # costs 0.25
    memory.consolidate(model, goals.Normal(), [one])
    omega = 1.25 / (0.75**2 + 0.5)
    assert memory.gaussian.precision.diagonal()["weight"].item() == pytest.approx(2 * 4 * omega)
    nn.init.constant_(model.weight, 2.75)  # 1 away
    assert memory.penalty(model, rows=4).item() == pytest.approx(omega)
    nn.init.constant_(model.weight, 1.75)
    memory.begin(model)
    step(memory, model, gradient=-2.0, change=1.0)
    memory.consolidate(model, goals.Normal(), [one])
    total = omega + 2.0 / 1.5
    assert memory.gaussian.precision.diagonal()["weight"].item() == pytest.approx(8 * total)
    assert memory.gaussian.mean["weight"].item() == 2.75


def test_a_path_that_cost_is_worth_nothing():
    memory, model = SI(), line()
    memory.begin(model)
    step(memory, model, gradient=1.0, change=0.5)
    memory.consolidate(model, goals.Normal(), [(torch.ones(4, 1).double(),) * 2])
    assert memory.gaussian.precision.diagonal()["weight"].item() == 0


def test_a_path_without_a_start_is_refused():
    memory, model = SI(), line()
    for call in (memory.observe, lambda m: memory.consolidate(m, goals.Normal(), [])):
        with pytest.raises(InputError, match=r"no begin\(model\)"):
            call(model)
    memory.begin(model)
    step(memory, model, gradient=math.nan, change=0.5)
    with pytest.raises(InputError, match="path of 'weight' is not finite"):
        memory.consolidate(model, goals.Normal(), [(torch.ones(4, 1).double(),) * 2])
    with pytest.raises(InputError, match="damping: must be positive"):
        SI(damping=0.0)


def test_steps_that_were_not_observed_are_refused():
    memory, model = SI(), line()
    memory.begin(model)
    with torch.no_grad():
        model.weight += 1
    with pytest.raises(InputError, match=r"'weight' has moved since the last observe\(model\)"):
        memory.consolidate(model, goals.Normal(), [(torch.ones(4, 1).double(),) * 2])


CLEARED = {
    "to none": lambda optimiser, model: optimiser.zero_grad(),
    "to zero": lambda optimiser, model: optimiser.zero_grad(set_to_none=False),
    "by the model": lambda optimiser, model: model.zero_grad(),
    "one of several": lambda optimiser, model: setattr(model[2].weight, "grad", None),
}


@pytest.mark.parametrize("how", CLEARED)
@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.AdamW])
def test_gradients_that_were_cleared_before_are_noticed(how, optimiser):
    x, y = task(rows=32)
    memory, model = SI(), net()
    memory.begin(model)
    steps = optimiser(model.parameters(), 0.1)
    LIKELIHOOD.nll(model(x), y).backward()
    steps.step()
    CLEARED[how](steps, model)
    before = {name: value.clone() for name, value in memory.state_dict().items()}
    with pytest.raises(InputError, match=r"has moved and has no gradient: it was cleared before"):
        memory.observe(model)
    after = memory.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_weight_at_rest_needs_no_gradient():
    """Frozen by nobody, reached by no loss; and momentum moves on where a loss has come to zero."""
    x, y = task(rows=32)
    memory, model = SI(), nn.ModuleDict({"used": net(), "idle": nn.Linear(2, 2).double()})
    memory.begin(model)
    steps = torch.optim.Adam(model.parameters(), 0.1)
    for scale in (1.0, 0.0, 0.0):
        steps.zero_grad()
        (scale * LIKELIHOOD.nll(model["used"](x), y)).backward()
        steps.step()
        memory.observe(model)
    memory.consolidate(model, LIKELIHOOD, [(x, y)], unpack=read_used)
    found = memory.gaussian.precision.diagonal()
    assert found["used.0.weight"].max() > 0
    assert found["idle.weight"].max() == 0


def read_used(found):
    return Batch.of(found[0], target=found[1])


def test_a_path_goes_on_in_the_middle_of_a_task():
    whole, model = SI(), line()
    whole.begin(model)
    step(whole, model, gradient=-1.0, change=0.5)
    other = SI()
    other.load_state_dict(whole.state_dict())
    for memory, again in ((whole, model), (other, line(1.5))):
        step(memory, again, gradient=-2.0, change=0.5)
        memory.consolidate(again, goals.Normal(), [(torch.ones(4, 1).double(),) * 2])
    wanted = whole.gaussian.precision.diagonal()["weight"]
    assert torch.equal(other.gaussian.precision.diagonal()["weight"], wanted)
    assert wanted > 0


def test_fit_is_watched_step_by_step():
    from counterpoint.data import Tensors
    from counterpoint.train import Training, fit

    x, y = task(rows=32)
    memory, model = SI(), net()
    memory.begin(model)

    def objective(model, batch):
        return {"fit": LIKELIHOOD.nll(model(batch["x"]), batch["y"])}

    training = Training(epochs=1, batch_size=8, rate=0.1, optimiser="sgd")
    fit(model, objective, Tensors({"x": x, "y": y}), training, callbacks=[StepObserver(memory)])
    memory.consolidate(model, LIKELIHOOD, batches((x, y)))
    assert memory.gaussian.precision.diagonal()["0.weight"].max() > 0


@pytest.mark.parametrize("importance", ["absolute", "square"])
@pytest.mark.parametrize("weighted", [False, True])
def test_aware_synapses_equal_a_loop_of_one(importance, weighted):
    model, (x, y) = net(), task(rows=12)
    weight = torch.linspace(0, 2, 12).double() if weighted else torch.ones(12).double()
    memory = MAS(importance=importance)
    found = batches((x, y, weight), 5) if weighted else batches((x, y), 5)
    memory.consolidate(model, LIKELIHOOD, found)
    wanted = [torch.zeros_like(each) for each in model.parameters()]
    for row, count in zip(x, weight, strict=True):
        size = model(row[None]).square().sum()
        for total, slope in zip(wanted, torch.autograd.grad(size, model.parameters()), strict=True):
            # 1/2 P is Σ |∂ |f|²|, or P is Σ (∂ |f|² / 2)²
            total += count * (2 * slope.abs() if importance == "absolute" else slope.square() / 4)
    found = memory.gaussian.precision.diagonal()
    for name, value in zip(found, wanted, strict=True):
        close(found[name], value)
    assert memory.gaussian.counts == pytest.approx(float(weight.sum()))


def test_aware_synapses_of_tied_weights_add_before_the_absolute_value():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = nn.Linear(2, 2).double()

        def forward(self, x):
            return self.map(torch.tanh(self.map(x)))

    model, (x, y) = Tied(), task(rows=6, classes=2)
    memory = MAS()
    memory.consolidate(model, LIKELIHOOD, [(x, y)])
    wanted = torch.zeros_like(model.map.weight)
    for row in x:
        wanted += (
            2 * torch.autograd.grad(model(row[None]).square().sum(), model.map.weight)[0].abs()
        )
    close(memory.gaussian.precision.diagonal()["map.weight"], wanted.detach())
    with pytest.raises(InputError, match="importance: expected one of absolute, square"):
        MAS(importance="both")


def test_distillation_by_hand():
    memory, model, (x, y) = LwF(temperature=3.0, strength=2.0), net(), task()
    memory.consolidate(model, LIKELIHOOD, batches((x, y)))
    with torch.no_grad():
        before = (model(x) / 3).log_softmax(1)
    moved(model)
    now = (model(x) / 3).log_softmax(1)
    wanted = 2 * 9 * (30 / 60) * (before.exp() * (before - now)).sum(1).mean()
    found = memory.penalty(model, (x, y), rows=60)
    close(found, wanted)
    slopes = torch.autograd.grad(found, model.parameters())
    for mine, theirs in zip(slopes, torch.autograd.grad(wanted, model.parameters()), strict=True):
        close(mine, theirs)


def test_every_earlier_task_is_answered_for():
    one, two, model = LwF(), LwF(), net()
    one.consolidate(model, LIKELIHOOD, batches(task(0)))
    for memory, numbers in ((one, (1,)), (two, (1,))):
        for number in numbers:
            memory.consolidate(model, LIKELIHOOD, batches(task(number, rows=15)))
    moved(model)
    found = [memory.penalty(model, task(2), rows=10) for memory in (one, two)]
    close(found[0], 3 * found[1])  # 45 rows against 15


def test_distillation_of_numbers_and_of_masked_classes():
    model, x = net(outputs=3), task()[0]
    numbers = LwF()
    numbers.consolidate(model, goals.Normal(), [(x, model(x).detach())])
    before = model(x).detach()
    moved(model)
    close(numbers.penalty(model, x, rows=30), (model(x) - before).square().sum() / 60)

    class Masked(Categorical):
        def distribution(self, output):
            return super().distribution(output[:, :2])

    memory = LwF()
    memory.consolidate(model, Masked(), batches(task()))
    with torch.no_grad():
        model[2].bias[2] += 5
    assert memory.penalty(model, x, rows=30).abs() < 1e-12


def test_distillation_needs_a_batch_and_likelihoods():
    memory, model = LwF(), net()
    learn(memory, model, task())
    with pytest.raises(InputError, match=r"pass penalty\(model, batch\)"):
        memory.penalty(model, rows=30)
    other = LwF()
    other.load_state_dict(memory.state_dict())
    with pytest.raises(InputError, match=r"likelihoods of its 1 tasks are not in its state"):
        other.penalty(model, task(), rows=30)
    with pytest.raises(InputError, match="one for each of 1 tasks, is expected, found 2"):
        other.attach(LIKELIHOOD, LIKELIHOOD)
    with pytest.raises(InputError, match="temperature: must be positive"):
        LwF(temperature=0.0)


def test_the_old_model_answers_in_evaluation_mode():
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    memory, (x, y) = LwF(), task()
    memory.consolidate(model, LIKELIHOOD, batches((x, y)))
    assert memory.penalty(model.train(), x, rows=30) > 0  # the model itself drops units
    assert model[1].training
    assert memory.penalty(model.eval(), x, rows=30).abs() < 1e-12


def test_the_old_answers_of_a_model_with_tied_weights_are_its_own():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 3)
            self.last.weight = self.first.weight

        def forward(self, x):
            return self.last(self.first(x).tanh())

    memory, model, x = LwF(), Tied(), torch.randn(4, 3)
    memory.consolidate(model, Categorical(), [(x, torch.tensor([0, 1, 2, 0]))])
    before = model(x).detach()
    with torch.no_grad():
        model.first.weight += 1
    after = model(x)
    close(memory.answers(model, Batch.of(x))[""], before)
    assert not torch.allclose(after, before)
    assert memory.penalty(model, Batch.of(x), rows=4) > 0
