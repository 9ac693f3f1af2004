"""The reference loop: the steps it makes, what it says, and that comparisons are paired."""

import warnings
from copy import deepcopy

import pytest
import torch
from torch import nn

from continual.tasks import MEMORIES
from counterpoint.balance import Balancer
from counterpoint.continual import (
    EWC,
    SI,
    ForgettingWarning,
    LwF,
    Replay,
    Scenario,
    TaskTraining,
    compare,
    joint,
    run,
)
from counterpoint.errors import InputError
from counterpoint.goals import SubsetCategorical
from counterpoint.seeding import generator, seeded

SHORT = TaskTraining(iterations=6, batch_size=8, rate=0.02)


def spots(seed=0, rows=80):
    """Four clouds in the plane, one a class."""
    draw = generator(seed, 9)
    y = torch.arange(rows) % 4
    middle = torch.tensor([[2.0, 2.0], [-2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]])
    return middle[y] + torch.randn(rows, 2, generator=draw), y


def scenario(kind="task", masked=False):
    return Scenario.by_class(spots(), spots(1, 40), 2, kind=kind, masked=masked)


def net(outputs=4):
    with seeded(0):
        return nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, outputs))


def weights(model):
    return torch.cat([value.detach().flatten() for value in model.parameters()])


@pytest.mark.parametrize("reset", [False, True])
def test_the_steps_are_those_of_a_plain_loop(reset):
    found, ours, theirs = scenario(), net().eval(), net()
    training = TaskTraining(iterations=6, batch_size=8, rate=0.02, reset=reset)
    result = run(found, ours, None, training, progress=False)
    optimiser = torch.optim.Adam(theirs.parameters(), 0.02)
    for number, task in enumerate(found.tasks):
        if reset:
            optimiser = torch.optim.Adam(theirs.parameters(), 0.02)
        draw = generator(0, number, 0)
        epochs = [torch.randperm(40, generator=draw).split(8) for _ in range(2)]
        for places in (epochs[0] + epochs[1])[:6]:
            x, y = task.train[0][places], task.train[1][places]
            optimiser.zero_grad()
            logits = theirs(x)[:, list(task.outputs)]
            nn.functional.cross_entropy(logits, y - task.outputs[0]).backward()
            optimiser.step()
    torch.testing.assert_close(weights(ours), weights(theirs))
    assert result.accuracies.last.tolist() == [task.accuracy(ours) for task in found.tasks]
    assert ours.training
    assert len(result.learning) == len(result.consolidating) == 2


@pytest.mark.filterwarnings("ignore::counterpoint.continual.ForgettingWarning")
@pytest.mark.parametrize("name", MEMORIES)
def test_every_memory_has_its_say_in_the_second_task(name):
    memory, model, free = MEMORIES[name](), net(), net()
    found = run(scenario(), model, memory, SHORT, progress=False)
    naive = run(scenario(), free, None, SHORT, progress=False)
    assert memory.tasks == 2
    assert torch.isfinite(weights(model)).all()
    assert not torch.equal(weights(model), weights(free))
    first = found.accuracies.matrix[0], naive.accuracies.matrix[0]
    assert torch.equal(*first)


@pytest.mark.filterwarnings("ignore::counterpoint.continual.ForgettingWarning")
@pytest.mark.parametrize("make", [lambda: EWC(strength=100), SI])
def test_the_penalty_is_a_term_of_the_loss(make):
    found, ours, theirs = scenario("domain"), net(2), net(2)
    memory, other = make(), make()
    run(found, ours, memory, SHORT, progress=False)
    optimiser = torch.optim.Adam(theirs.parameters(), 0.02)
    for number, task in enumerate(found.tasks):
        draw = generator(0, number, 0)
        epochs = [torch.randperm(40, generator=draw).split(8) for _ in range(2)]
        other.begin(theirs)
        for places in (epochs[0] + epochs[1])[:6]:
            batch = task.batch(places)
            x, y = batch["x"], batch["y"]
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(theirs(x), y)
            if other.tasks:
                loss = loss + other.penalty(theirs, rows=40)
            loss.backward()
            optimiser.step()
            other.observe(theirs)
        other.consolidate(theirs, task.likelihood, task.batches())
    torch.testing.assert_close(weights(ours), weights(theirs))


@pytest.mark.filterwarnings("ignore::counterpoint.continual.ForgettingWarning")
def test_to_a_balancer_the_memory_is_a_goal_of_its_own():
    thrice, shared, opposed = net(2), net(2), net(2)
    found, wanted = scenario("domain"), {"loss": 1.0, "remember": 3.0}
    run(found, thrice, EWC(strength=300), SHORT, progress=False)
    balancer = Balancer("sum", preference=wanted)
    run(found, shared, EWC(strength=100), SHORT, balancer=balancer, progress=False)
    # wanted three times as much is three times as strong: Adam does not see a common factor
    torch.testing.assert_close(weights(shared), weights(thrice), rtol=1e-3, atol=1e-4)
    # a rule that looks at gradients meets a goal without one in the first task
    balancer = Balancer("upgrad", gram="parameters", monitor=False)
    run(found, opposed, EWC(strength=100), SHORT, balancer=balancer, progress=False)
    assert torch.isfinite(weights(opposed)).all()
    assert not torch.equal(weights(opposed), weights(shared))


@pytest.mark.filterwarnings("ignore::counterpoint.continual.ForgettingWarning")
def test_a_strong_memory_holds_what_naive_training_undoes():
    model, memory = net(2), EWC(labels="jac", strength=1e4)
    # right and left, then left and right: the second task undoes the first
    found, training = scenario("domain"), TaskTraining(iterations=40, rate=0.02)
    held = run(found, model, memory, training, progress=False).accuracies
    free = run(found, net(2), None, training, progress=False).accuracies
    assert held.forgetting == 0
    assert free.forgetting > 0.4


@pytest.mark.filterwarnings("ignore::counterpoint.continual.ForgettingWarning")
def test_comparisons_begin_alike_and_see_the_same_rows():
    model, memories = net(), {"replay": Replay(capacity=10), "light": EWC(strength=1e-12)}
    start = weights(model)
    found = compare(scenario(), model, memories, SHORT, progress=False)
    assert list(found) == ["joint", "none", "replay", "light"]
    assert torch.equal(weights(model), start)
    assert memories["replay"].tasks == 2
    first = [one.accuracies.matrix[0] for name, one in found.items() if name != "joint"]
    assert all(torch.equal(one, first[0]) for one in first)
    # without strength, it is none
    assert torch.equal(found["light"].accuracies.matrix, found["none"].accuracies.matrix)
    assert len(found["joint"].accuracies.matrix) == 1


@pytest.mark.parametrize(("kind", "masked"), [("task", False), ("class", True)])
def test_jointly_every_task_is_under_what_competes_when_asked(kind, masked):
    found, ours, theirs = scenario(kind, masked), net(), net()
    ours.eval()
    joint(found, ours, TaskTraining(iterations=1, batch_size=8), progress=False)
    draw = generator(0)
    optimiser = torch.optim.Adam(theirs.parameters(), 1e-3)
    losses = []
    for task in found.tasks:
        batch = task.batch(torch.randperm(40, generator=draw)[:4])
        x, y = batch["x"], batch["y"]
        losses.append(SubsetCategorical(task.answering).nll_each(theirs(x), y))
    torch.cat(losses).mean().backward()
    optimiser.step()
    torch.testing.assert_close(weights(ours), weights(theirs))
    assert ours.training


def test_jointly_more_is_learnt_than_one_after_the_other():
    found, training = scenario("class"), TaskTraining(iterations=80, rate=0.02)
    together, apart = (learn(found, net()) for learn in learners(training))
    assert together.accuracies.average > 0.9
    assert apart.accuracies.average < together.accuracies.average - 0.15
    assert apart.accuracies.last[0] < 0.5


def learners(training):
    yield lambda found, model: joint(found, model, training, progress=False)
    yield lambda found, model: run(found, model, None, training, progress=False)


@pytest.mark.parametrize("memory", [SI, LwF])
def test_what_cannot_work_is_said(memory):
    with pytest.warns(ForgettingWarning, match=r"masked=True, or a memory of rows"):
        run(scenario("class"), net(), memory(), SHORT, progress=False)


@pytest.mark.parametrize(
    ("kind", "masked", "memory"),
    [("class", True, SI), ("class", False, Replay), ("task", False, SI), ("class", False, None)],
)
def test_what_can_work_is_not(kind, masked, memory):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ForgettingWarning)
        run(scenario(kind, masked), net(), memory and memory(), SHORT, progress=False)


def test_progress_is_a_line_a_task(capsys):
    run(scenario(), net(), None, SHORT, progress="naive")
    joint(scenario(), net(), SHORT)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("naive: after task 1 of 2 (0/1): ")
    assert lines[1].startswith("naive: after task 2 of 2 (2/3): ")
    assert lines[2].startswith("after all 2 tasks at once: ")


def test_refused():
    taught = SI()
    model = net()
    run(scenario(), model, taught, SHORT, progress=False)
    for memories, says in (({"none": SI()}, "always there"), ({"a": taught}, "2 tasks in it")):
        with pytest.raises(InputError, match=says):
            compare(scenario(), net(), memories, SHORT, progress=False)
    with pytest.raises(InputError, match=r"outputs of shape \(rows, 4\)"):
        run(scenario(), net(3), progress=False)
    wild = deepcopy(model)
    with torch.no_grad():
        wild[0].weight.fill_(torch.inf)
    with pytest.raises(InputError, match="task '0/1': the loss is not finite"):
        run(scenario(), wild, None, SHORT, progress=False)
    for name in ("iterations", "batch_size", "rate"):
        with pytest.raises(InputError, match=f"{name}: must be above 0"):
            TaskTraining(**{name: 0})
