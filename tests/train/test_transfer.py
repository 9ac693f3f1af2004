"""Freeze, train, unfreeze: what an optimiser remembers is kept."""

import copy

import pytest
import torch
from torch import nn

from counterpoint.data import Tensors
from counterpoint.nn import replace_head
from counterpoint.train import Training, fit, groups, spread

X = torch.linspace(-1, 1, 40)[:, None]
ROWS = Tensors({"x": X, "y": X})


def goals(model, batch):
    return {"fit": (model(batch["x"]) - batch["y"] ** 2).square().mean()}


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))


def settings(epochs, **more):
    told = {"epochs": epochs, "batch_size": 8, "rate": 0.01, "schedule": "constant", **more}
    return Training(**told)


def test_only_the_head_trains_and_all_else_is_frozen():
    model = net()
    head = replace_head(model, 1)
    split = groups(model, only=head)
    assert split.frozen == ("0.weight", "0.bias")
    assert [group.names for group in split.groups] == [("2.weight", "2.bias")]
    before = copy.deepcopy(model.state_dict())
    fit(model, goals, ROWS, settings(2), groups=split, progress=False)
    moved = [name for name, value in model.state_dict().items() if not value.equal(before[name])]
    assert moved == ["2.weight", "2.bias"]


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
def test_two_fits_one_after_the_other_are_one(optimiser):
    # batches that come in one order: rows in memory are shuffled by seed and epoch
    rows = [{"x": part, "y": part} for part in X.split(8)]
    whole, halves = net(), net()
    told = {"optimiser": optimiser}
    fit(whole, goals, rows, settings(6, **told), progress=False)
    first = fit(halves, goals, rows, settings(3, **told), progress=False)
    kept = {name: value.clone() for name, value in first.moments.items()}
    fit(halves, goals, rows, settings(3, **told), after=first, progress=False)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, halves.state_dict()[name]), name
    assert kept.keys() == first.moments.keys()  # and the first fit's own have stayed
    assert all(torch.equal(value, first.moments[name]) for name, value in kept.items())


def test_unfreezing_keeps_what_is_remembered_of_the_head_and_begins_the_rest():
    model = net()
    first = fit(model, goals, ROWS, settings(3), groups=groups(model, only="2"), progress=False)
    assert {name.rpartition("/")[0] for name in first.moments} == {"2.weight", "2.bias"}
    split = groups(model, spread(["0.*", "2.*"], 1e-3, 1e-2))
    second = fit(model, goals, ROWS, settings(1), groups=split, after=first, progress=False)
    assert float(second.moments["2.weight/step"]) == 20.0
    assert float(second.moments["0.weight/step"]) == 5.0
