"""Elastic weight consolidation against closed forms, and what it refuses."""

from functools import reduce

import pytest
import torch
from torch import nn

from continual.tasks import LIKELIHOOD, batches, moved, net, task
from counterpoint import goals
from counterpoint.continual import EWC, ForgettingWarning, OnlineEWC
from counterpoint.curvature import fisher
from counterpoint.errors import InputError
from counterpoint.gaussian import Gaussian
from counterpoint.goals import Categorical

close = torch.testing.assert_close
NOISE = goals.Normal()


def regression(parts=3, rows=10):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(parts * rows, 3, generator=draw, dtype=torch.float64)
    slopes = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    y = x @ slopes + torch.randn(parts * rows, 1, generator=draw, dtype=torch.float64)
    return list(zip(x.split(rows), y.split(rows), strict=True))


def solved(parts):
    """Least squares over all rows: weights and bias."""
    x, y = (torch.cat(each) for each in zip(*parts, strict=True))
    ones = torch.ones(len(x), 1, dtype=torch.float64)
    return torch.linalg.lstsq(torch.cat([x, ones], 1), y).solution[:, 0]


def minimised(line, memory, part):
    """The minimum of the mean loss plus the penalty: one step of Newton, as both are quadratic."""
    weights = list(line.parameters())
    start = nn.utils.parameters_to_vector(weights).detach()

    def gradient(place):
        nn.utils.vector_to_parameters(place, weights)
        loss = NOISE.nll(line(part[0]), part[1])
        if memory.tasks:
            loss = loss + memory.penalty(line, rows=len(part[0]))
        return nn.utils.parameters_to_vector(torch.autograd.grad(loss, weights))

    here = gradient(start)
    matrix = torch.stack([gradient(start + unit) - here for unit in torch.eye(4).double()])
    nn.utils.vector_to_parameters(start - torch.linalg.solve(matrix, here), weights)


def flat(line):
    return torch.cat([line.weight.detach()[0], line.bias.detach()])


@pytest.mark.parametrize("structure", ["dense", "kronecker", "kronecker-merged", "block"])
@pytest.mark.parametrize("make", [EWC, OnlineEWC])
def test_two_linear_tasks_are_one(make, structure):
    first, second, _ = regression()
    line, memory = nn.Linear(3, 1).double(), make(structure=structure)
    minimised(line, memory, first)
    memory.consolidate(line, NOISE, [first])
    minimised(line, memory, second)
    close(flat(line), solved([first, second]), rtol=0, atol=1e-8)


@pytest.mark.parametrize("structure", ["dense", "kronecker", "kronecker-merged"])
def test_any_number_of_linear_tasks_are_one_online(structure):
    line, memory, parts = nn.Linear(3, 1).double(), OnlineEWC(structure=structure), regression()
    for part in parts:
        minimised(line, memory, part)
        memory.consolidate(line, NOISE, [part])
    close(flat(line), solved(parts), rtol=0, atol=1e-8)
    mean = memory.gaussian.mean
    close(torch.cat([mean["weight"][0], mean["bias"]]), solved(parts), rtol=0, atol=1e-8)
    assert memory.gaussian.counts == 30


def test_a_third_task_counts_the_first_twice_in_the_separate_form():
    line, memory, parts = nn.Linear(3, 1).double(), EWC(structure="dense"), regression()
    for part in parts:
        minimised(line, memory, part)
        memory.consolidate(line, NOISE, [part])
    assert (flat(line) - solved(parts)).abs().max() > 1e-3


@pytest.mark.parametrize("structure", ["diagonal", "kronecker", "block", "dense"])
def test_one_quadratic_is_the_separate_sum(structure):
    memory, model, separate = EWC(structure=structure), net(), []
    for number in range(4):
        found = batches(task(number))
        memory.consolidate(model, LIKELIHOOD, found)
        mean = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        separate.append(Gaussian(mean, fisher(model, LIKELIHOOD, found, structure=structure)))
        moved(model, number)
    weights = dict(model.named_parameters())
    wanted = torch.stack([each.energy(weights) for each in separate]).sum()
    close(memory.penalty(model, rows=1), wanted, rtol=1e-12, atol=0)
    memory.penalty(model, rows=1).backward()
    mine = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    wanted.backward()
    for gradient, weight in zip(mine, model.parameters(), strict=True):
        close(gradient, weight.grad, rtol=1e-11, atol=1e-12)


def test_a_sum_costs_no_more_memory_than_one():
    memory, model, sizes = EWC(), net(), []
    for number in range(3):
        memory.consolidate(model, LIKELIHOOD, batches(task(number)))
        sizes.append(sum(value.numel() for key, value in memory.state_dict().items() if "/" in key))
        moved(model, number)
    assert sizes == [sizes[0]] * 3


@pytest.mark.parametrize("structure", ["dense", "diagonal"])
@pytest.mark.parametrize("keep", [1.0, 0.25])
def test_online_is_the_power_and_the_product_of_gaussians(structure, keep):
    memory = OnlineEWC(keep=keep, centre="product", structure=structure, labels="jac")
    model, seen = net(outputs=2, hidden=2), []
    for number in range(3):
        found = batches(task(number, rows=40, classes=2))
        memory.consolidate(model, LIKELIHOOD, found)
        mean = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        precision = fisher(model, LIKELIHOOD, found, structure=structure, labels="jac")
        seen.append(Gaussian(mean, precision, counts=40))
        moved(model, number)
    wanted = reduce(lambda old, new: old**keep * new, seen)
    found = memory.gaussian
    assert (found.counts, found.tempering) == (wanted.counts, pytest.approx(wanted.tempering))
    close(found.precision.dense(), wanted.precision.dense(), rtol=1e-11, atol=1e-12)
    for name, value in wanted.mean.items():
        close(found.mean[name], value, rtol=1e-6, atol=1e-6)


def test_online_keeps_a_share_of_the_old_around_the_newest():
    memory, model = OnlineEWC(keep=0.25), net()
    precisions = []
    for number in range(2):
        found = batches(task(number))
        memory.consolidate(moved(model, number), LIKELIHOOD, found)
        precisions.append(fisher(model, LIKELIHOOD, found).diagonal())
    gaussian = memory.gaussian
    for name, weight in model.named_parameters():
        close(gaussian.mean[name], weight.detach())
        close(gaussian.precision.diagonal()[name], 0.25 * precisions[0][name] + precisions[1][name])


@pytest.mark.parametrize("structure", ["diagonal", "kronecker-merged"])
@pytest.mark.parametrize("centre", ["latest", "product"])
def test_all_is_forgotten_but_the_latest(structure, centre):
    memory, model = OnlineEWC(keep=0.0, centre=centre, structure=structure), net()
    only = OnlineEWC(structure=structure)
    memory.consolidate(model, LIKELIHOOD, batches(task(0)))
    moved(model)
    memory.consolidate(model, LIKELIHOOD, batches(task(1)))
    only.consolidate(model, LIKELIHOOD, batches(task(1)))
    moved(model)
    assert torch.equal(memory.penalty(model, rows=3), only.penalty(model, rows=3))
    assert memory.tasks == 2


def test_merged_factors_are_sums_over_tasks():
    memory, model = OnlineEWC(structure="kronecker-merged", keep=0.5), net()
    parts = [task(number) for number in range(2)]
    for part in parts:
        memory.consolidate(model, LIKELIHOOD, batches(part))
    # rows that count half, and whole
    halves = [{**batch, "weight": torch.full((10,), 0.5)} for batch in batches(parts[0])]
    wholes = [{**batch, "weight": torch.ones(10)} for batch in batches(parts[1])]
    wanted = fisher(model, LIKELIHOOD, halves + wholes, structure="kronecker").dense()
    close(memory.gaussian.precision.dense(), wanted, rtol=1e-9, atol=1e-10)
    assert len(memory.gaussian.precision.parts) == 2


@pytest.mark.parametrize("labels", ["exact", "jac", "empirical", "sampled"])
def test_labels_are_those_of_the_fisher_information(labels):
    def draw():
        return torch.Generator().manual_seed(3) if labels == "sampled" else None

    memory, model, found = EWC(labels=labels), net(), batches(task())
    memory.consolidate(model, LIKELIHOOD, found, generator=draw())
    wanted = fisher(model, LIKELIHOOD, found, labels=labels, generator=draw()).diagonal()
    for name, value in memory.gaussian.precision.diagonal().items():
        assert torch.equal(value, wanted[name])


def test_gradients_of_batches_depend_on_their_size():
    with pytest.warns(ForgettingWarning, match="depends on the batch size"):
        memory = EWC(labels="batch")
    model, sizes = net(), {}
    for size in (1, 10, 30):
        fresh = EWC(labels="exact")
        object.__setattr__(fresh, "labels", "batch")
        fresh.consolidate(model, LIKELIHOOD, batches(task(), size))
        sizes[size] = fresh.gaussian.precision.diagonal()["0.weight"]
    # one row a batch: the empirical Fisher information
    wanted = fisher(model, LIKELIHOOD, batches(task()), labels="empirical").diagonal()["0.weight"]
    close(sizes[1], wanted)
    assert sizes[30].sum() < sizes[10].sum() < wanted.sum()
    loss = LIKELIHOOD.nll(model(task()[0]), task()[1])
    (gradient,) = torch.autograd.grad(loss, [model[0].weight])
    close(sizes[30], 30 * gradient.square())
    assert memory.tasks == 0


def test_only_some_weights_are_remembered():
    memory, model = EWC(parameters="0.*"), net()
    memory.consolidate(model, LIKELIHOOD, batches(task()))
    assert list(memory.gaussian.mean) == ["0.weight", "0.bias"]
    nn.init.zeros_(model[2].weight)
    assert memory.penalty(model, rows=1) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "exakt"}, r"labels: expected one of .*did you mean 'exact'"),
        ({"labels": "batch", "structure": "dense"}, "only with structure='diagonal'"),
        ({"keep": 1.1}, r"keep: must be from 0 to 1.* found 1\.1"),
        ({"keep": -0.1}, "keep: must be from 0 to 1"),
        ({"keep": float("nan")}, "keep: must be from 0 to 1"),
        ({"centre": "mode"}, "centre: expected one of latest, product, found 'mode'"),
    ],
)
def test_settings_that_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        OnlineEWC(**options)


def test_a_task_of_one_class_is_refused():
    memory, (x, y) = EWC(), task()
    with pytest.raises(InputError, match="at least two classes, found 30 rows all of class 0"):
        memory.consolidate(net(), LIKELIHOOD, batches((x, 0 * y)))
    assert memory.tasks == 0


def test_an_infinite_fisher_information_names_the_layer_and_the_batch():
    memory, model, (x, y) = EWC(labels="jac"), net().float(), task()
    x = x.float()
    x[20] = 1e30
    model[1] = nn.Identity()
    with pytest.raises(
        InputError, match=r"information of '0.weight' is not finite, first in batch 2"
    ):
        memory.consolidate(model, LIKELIHOOD, batches((x, y)))
    with pytest.raises(InputError, match=r"information of '0.weight' is not finite;"):
        memory.consolidate(model, LIKELIHOOD, iter(batches((x, y))))
    with torch.no_grad():
        model[2].bias[0] = torch.nan
    with pytest.raises(InputError, match="output is not finite in the first batch"):
        memory.consolidate(model, LIKELIHOOD, batches((x, y)))
    assert memory.tasks == 0


def test_a_certain_model_draws_a_warning():
    model, memory = net(), EWC()
    with torch.no_grad():
        model[2].bias += torch.tensor([12.0, 0.0, 0.0])
    with pytest.warns(ForgettingWarning, match="Take labels='jac'"):
        memory.consolidate(model, LIKELIHOOD, batches(task()))
    EWC(labels="jac").consolidate(model, Categorical(), batches(task()))  # and no warning


def test_sampled_labels_need_a_generator():
    with pytest.raises(InputError, match="needs generator="):
        EWC(labels="sampled").consolidate(net(), LIKELIHOOD, batches(task()))


def test_weights_that_were_frozen_since_are_named():
    memory, model = EWC(), net()
    memory.consolidate(model, LIKELIHOOD, batches(task()))
    model[0].weight.requires_grad_(False)
    memory.penalty(model, rows=1)  # they may be compared, but not learnt of
    with pytest.raises(InputError, match="'0.weight' is remembered, but was not trained"):
        memory.consolidate(model, LIKELIHOOD, batches(task()))
