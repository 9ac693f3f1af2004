"""Another head on a trained network."""

import pytest
import torch
from torch import nn

from counterpoint.errors import InputError
from counterpoint.nn import replace_head


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())
        self.heads = nn.ModuleDict({"class": nn.Linear(4, 10, bias=False).double()})

    def forward(self, x):
        return self.heads["class"](self.trunk(x).double())


def test_the_last_linear_layer_is_replaced_and_nothing_else():
    net = Net().eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    name = replace_head(net, 3, seed=5)
    assert torch.equal(state, torch.get_rng_state())
    assert name == "heads.class"
    assert net(torch.zeros(2, 1, 3, 3)).shape == (2, 3)
    head = net.heads["class"]
    assert (head.bias, head.weight.dtype, head.training) == (None, torch.float64, False)
    after = net.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before if "heads" not in key)
    again = Net()
    replace_head(again, 3, seed=5)
    assert torch.equal(again.heads["class"].weight, head.weight)


def test_a_head_may_be_any_module():
    net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    head = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 5))
    assert replace_head(net, head) == "1"
    assert net(torch.zeros(1, 4)).shape == (1, 5)


@pytest.mark.parametrize(
    ("model", "head", "rule"),
    [
        (nn.Conv1d(1, 1, 1), 3, "found none"),
        (nn.Linear(2, 2), 3, "it is one itself"),
        (nn.Sequential(nn.Linear(2, 2)), 0, "at least 1 output, found 0"),
    ],
)
def test_a_model_without_a_head_is_refused(model, head, rule):
    with pytest.raises(InputError, match=rule):
        replace_head(model, head)


def test_a_head_in_two_places_is_replaced_in_both():
    net = nn.Module()
    net.first = net.second = nn.Linear(4, 4)
    assert replace_head(net, 3) == "first"
    assert net.first is net.second
    assert net.first.out_features == 3
