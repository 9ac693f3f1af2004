"""Data sets cut into tasks: which rows, which outputs, and what cannot be cut."""

import pytest
import torch
from torch import nn

from counterpoint.continual import EWC, Permuted, Rotated, Scenario
from counterpoint.errors import InputError
from counterpoint.goals import Categorical
from counterpoint.seeding import generator


def digits(rows=24, classes=4, inputs=3, seed=0):
    draw = generator(seed, 5)
    return torch.randn(rows, inputs, generator=draw), torch.arange(rows) % classes


def pictures(rows=6, side=4):
    draw = generator(1)
    return torch.rand(rows, side, side, generator=draw), torch.arange(rows) % 2


TRAIN, TEST = digits(), digits(12, seed=1)


class Largest(nn.Module):
    """Says the place of the largest input; in training mode, nothing but the last output."""

    def __init__(self, outputs):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(outputs - 3))

    def forward(self, x):
        return torch.cat(
            [x, (100.0 if self.training else -100.0) + self.unused.expand(len(x), -1)], 1
        )


@pytest.mark.parametrize(
    ("kind", "masked", "width", "learning", "answering"),
    [
        ("task", False, 4, (2, 3), (2, 3)),
        ("domain", False, 2, (0, 1), (0, 1)),
        ("class", False, 4, (0, 1, 2, 3), (0, 1, 2, 3)),
        ("class", True, 4, (2, 3), (0, 1, 2, 3)),
    ],
)
def test_the_kind_says_which_outputs_compete(kind, masked, width, learning, answering):
    scenario = Scenario.by_class(TRAIN, TEST, [(3, 1), (0, 2)], kind=kind, masked=masked)
    second = scenario.tasks[1]
    assert (scenario.names, scenario.outputs) == (("3/1", "0/2"), width)
    assert (second.learning, second.answering) == (learning, answering)
    assert scenario.drowning == (kind == "class" and not masked)
    # the rows of 0 and 2, numbered in the order of the group
    first = second.outputs[0]
    assert set(second.train[1].tolist()) == {first, first + 1} == set(second.outputs)
    assert torch.equal(second.train[0], TRAIN[0][(TRAIN[1] == 0) | (TRAIN[1] == 2)])
    assert (second.train[1] == first).sum() == (TRAIN[1] == 0).sum()
    assert len(second) == 12
    assert (len(second.learning) == width) == (type(second.likelihood) is Categorical)


def test_a_number_of_classes_a_task_and_their_order():
    plain = Scenario.by_class(TRAIN, TEST, 2)
    assert plain.names == ("0/1", "2/3")
    mixed = [Scenario.by_class(TRAIN, TEST, 2, seed=seed).names for seed in range(8)]
    assert len(set(mixed)) > 2
    assert mixed[3] == Scenario.by_class(TRAIN, TEST, 2, seed=3).names
    for names in mixed:
        assert sorted("/".join(names)) == sorted("0/1/2/3")


def test_only_what_competes_when_asked_can_win():
    scenario = Scenario.by_class(TRAIN, TEST, 2, kind="task")
    model = nn.Linear(3, 4)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([9.0, 8.0, 1.0, 2.0]))
    model.train()
    # always the first of the first task, and the second of the second
    assert [task.accuracy(model, size=5) for task in scenario.tasks] == [0.5, 0.5]
    assert model.training
    shown = scenario.tasks[1].logits(torch.tensor([[9.0, 8.0, 1.0, 2.0]]))
    assert shown.tolist() == [[-torch.inf, -torch.inf, 1.0, 2.0]]
    everything = Scenario.by_class(TRAIN, TEST, 2, kind="class").tasks
    assert [task.accuracy(model) for task in everything] == [0.5, 0.0]
    with pytest.raises(InputError, match=r"outputs of shape \(rows, 4\), found \(6, 3\)"):
        scenario.tasks[0].accuracy(nn.Linear(3, 3))


def test_permuted_inputs_are_the_same_numbers():
    scenario = Scenario.by_permutation(TRAIN, TEST, 3, seed=2)
    assert scenario.names == ("order 0", "order 1", "order 2")
    assert scenario.outputs == 4
    for task in scenario.tasks:
        assert task.train[0] is TRAIN[0]  # stored once
        batch = task.batch(torch.arange(24))
        x, y = batch["x"], batch["y"]
        torch.testing.assert_close(x.sort(1).values, TRAIN[0].sort(1).values)
        assert torch.equal(y, TRAIN[1])
    assert torch.equal(scenario.tasks[0].batch(torch.arange(24))["x"], TRAIN[0])
    order = scenario.tasks[2].view.order
    assert order.tolist() != [0, 1, 2]
    assert torch.equal(scenario.tasks[2].batch(torch.arange(24))["x"], TRAIN[0][:, order])
    for task, inputs in zip(scenario.tasks[::2], (TEST[0], TEST[0][:, order]), strict=True):
        best = Largest(task.width)
        wanted = (inputs.argmax(1) == TEST[1]).float().mean()
        assert task.accuracy(best) == pytest.approx(float(wanted))
        (found,) = task.batches(24)
        assert torch.equal(found["x"], task.batch(torch.arange(24))["x"])
    order = torch.tensor([2, 0, 1])
    assert torch.equal(Permuted(order)(TRAIN[0]), TRAIN[0][:, order])
    multi = Scenario.by_permutation(TRAIN, TEST, 3, kind="task")
    assert (multi.outputs, multi.tasks[2].outputs) == (12, (8, 9, 10, 11))


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, -1])
def test_a_quarter_turn_moves_pixels(turns):
    x, _ = pictures()
    found = Rotated(90.0 * turns)(x)
    torch.testing.assert_close(found, torch.rot90(x, turns, (1, 2)), atol=1e-5, rtol=0)
    flat = Rotated(90.0 * turns, (4, 4))(x.flatten(1))
    torch.testing.assert_close(flat.view_as(x), found)


def test_turning_keeps_the_shape_of_what_is_not_square():
    x = torch.zeros(1, 1, 41, 81)
    x[..., 15:26, 30:51] = 1.0  # wider than high, in the middle
    turned = Rotated(90.0)(x)[0, 0]
    rows, columns = ((turned > 0.5).any(axis).sum() for axis in (1, 0))
    assert (int(rows), int(columns)) == (21, 11)


def test_rotations_are_tasks():
    train = pictures()
    scenario = Scenario.by_rotation(train, train, (0, 45))
    assert scenario.names == ("0°", "45°")
    assert scenario.tasks[1].batch(torch.tensor([0]))["x"].shape == (1, 4, 4)


def test_a_column_cuts_by_value_or_by_quantile():
    when, y = torch.tensor([3.0, 1, 1, 2, 3, 2, 1, 2, 3]), torch.tensor([5, 5, 7, 5, 7, 7, 5, 5, 5])
    train = (torch.stack([when, y.float()], 1), y)
    by_value = Scenario.by_column(train, train, 0)
    assert by_value.names == ("1", "2", "3")
    assert [len(task) for task in by_value.tasks] == [3, 3, 3]
    assert by_value.outputs == 2
    assert by_value.tasks[0].train[1].tolist() == [0, 1, 0]  # classes 5 and 7
    outside = Scenario.by_column(train, train, (when, when))
    assert torch.equal(outside.tasks[2].train[0], by_value.tasks[2].train[0])
    halves = Scenario.by_column(train, train, 0, blocks=2)
    assert halves.names == ("up to 2", "from 2")
    assert [len(task) for task in halves.tasks] == [3, 6]
    assert Scenario.by_column(train, train, 0, blocks=1).names == ("all",)


def test_batches_are_read_twice_and_feed_a_memory():
    scenario = Scenario.by_permutation(TRAIN, TEST, 2)
    task, model = scenario.tasks[1], nn.Linear(3, 4)
    found = task.batches(10)
    assert [b.rows for b in found] == [b.rows for b in found] == [10, 10, 4]
    assert len(found) == 3
    memory = EWC()
    memory.consolidate(model, task.likelihood, found)
    assert memory.tasks == 1


HALF = (TRAIN[0][::2], TRAIN[1][::2])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Scenario.by_class(TRAIN, TEST, 3), "4 classes cannot be cut into tasks of 3"),
        (lambda: Scenario.by_class(TRAIN, TEST, 1), "task '0': expected at least two classes"),
        (lambda: Scenario.by_class(TRAIN, TEST, [(0, 9)]), "no training row is of class 9"),
        (lambda: Scenario.by_class(TRAIN, TEST, [(0, 1), (1, 2)]), "class 1 is in two tasks"),
        (lambda: Scenario.by_class(TRAIN, TEST, [(0, 1)], seed=1), "no order"),
        (lambda: Scenario.by_class(TRAIN, TEST, kind="tasks"), "did you mean 'task'"),
        (lambda: Scenario.by_class(TRAIN, TEST, masked=True), "masked: is for kind='class'"),
        (lambda: Scenario.by_class(TRAIN, TEST, []), "at least one task"),
        (lambda: Scenario.by_class(TRAIN, HALF, [(0, 2), (1, 3)]), "'1/3': expected test rows"),
        (lambda: Scenario.by_class((TRAIN[0], TRAIN[0][:, 0]), TEST), "train: class numbers"),
        (lambda: Scenario.by_class(TRAIN, (TEST[0][1:], TEST[1])), "test: expected rows"),
        (lambda: Scenario.by_permutation(TRAIN, TEST, 0), "at least one task"),
        (lambda: Scenario.by_rotation(TRAIN, TEST, (0, 9)), "expected pictures"),
        (lambda: Scenario.by_rotation(TRAIN, TEST, (9, 9)), "an angle occurs twice"),
        (lambda: Scenario.by_column(TRAIN, TEST, 3), "found 3 for inputs of shape"),
        (lambda: Scenario.by_column(TRAIN, TEST, 0, blocks=0), "at least one is needed"),
        (
            lambda: Scenario.by_column(TRAIN, TEST, (TRAIN[0][:, 0] / 0, TEST[1])),
            "a finite number for each of 24 training rows",
        ),
        (
            lambda: Scenario.by_column(TRAIN, TEST, (TRAIN[1], TEST[1])),
            "task '0': expected at least two classes, found 6 training rows all of one",
        ),
    ],
)
def test_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()
