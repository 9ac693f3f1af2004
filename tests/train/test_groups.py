import pytest
import torch
from torch import nn

from counterpoint.data import Tensors
from counterpoint.errors import InputError
from counterpoint.train import Group, Training, fit, groups, spread


def _net():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Linear(2, 1))


def test_the_first_pattern_wins_and_the_rest_keeps_the_common_rate():
    made = groups(_net(), {"3.*": 1e-2, "*.bias": Group((), 1e-3, weight_decay=0.0)}, freeze="2.*")
    assert made.frozen == ("2.weight", "2.bias")
    assert made.groups == (
        Group(("3.weight", "3.bias"), 1e-2),
        Group(("0.bias",), 1e-3, 0.0),
        Group(("0.weight",)),
    )


def test_freezing_takes_submodules_functions_and_what_asks_for_no_gradient():
    net = _net()
    net[3].weight.requires_grad_(False)
    assert groups(net, freeze=net[0]).frozen == ("0.weight", "0.bias")
    byname = groups(net, freeze=lambda _, value: value.ndim == 1)
    assert byname.groups == (Group(("0.weight", "2.weight")),)


@pytest.mark.parametrize(
    ("rates", "freeze", "message"),
    [
        ({"trunk.*": 1e-3}, None, "'trunk.*' matches no parameter"),
        ({"0.*": 0.0}, None, "the rate of '0.*' must be positive, found 0.0"),
        ({}, "*", "every parameter is frozen"),
    ],
)
def test_bad_groups_are_refused(rates, freeze, message):
    with pytest.raises(InputError, match=message.replace("*", r"\*")):
        groups(_net(), rates, freeze=freeze)


def test_spread_keeps_one_ratio():
    rates = list(spread(["a", "b", "c", "d"], 1e-5, 1e-2).values())
    assert rates == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2])
    with pytest.raises(InputError, match="0 < low <= high"):
        spread(["a"], 1.0, 0.1)


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
def test_fit_gives_each_group_its_rate_and_leaves_frozen_weights_alone(optimiser, table):
    def goals(model, batch):
        return {"fit": (model(batch["x"]) - batch["y"]).square().mean()}

    torch.manual_seed(0)
    net = _net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    training = Training(
        epochs=1,
        batch_size=200,
        optimiser=optimiser,
        momentum=0.0,
        schedule="constant",
        rate=1e-3,
        weight_decay=0.0,
    )
    fit(
        net,
        goals,
        Tensors(table),
        training,
        groups=groups(net, {"3.*": 1e-2}, freeze="0.*"),
        progress=False,
    )
    moved = {
        name: (value - before[name]).abs().max().item() for name, value in net.named_parameters()
    }
    assert moved["0.weight"] == moved["0.bias"] == 0.0
    assert all(value.requires_grad for value in net.parameters())
    if optimiser == "sgd":
        oracle = _net()
        oracle.load_state_dict(before)
        goals(oracle, table)["fit"].backward()
        for name, value in oracle.named_parameters():
            rate = {"0": 0.0, "2": 1e-3, "3": 1e-2}[name[0]]
            expected = before[name] - rate * value.grad
            assert torch.allclose(net.get_parameter(name), expected, atol=1e-7)
    else:  # Adam's first step is the rate times the gradient's sign
        assert moved["2.bias"] == pytest.approx(1e-3, rel=1e-3)
        assert moved["3.bias"] == pytest.approx(1e-2, rel=1e-3)
