"""Names of weights."""

import pytest
import torch
from torch import nn

from counterpoint.errors import InputError
from counterpoint.parameters import flatten, named, select, unflatten


@pytest.fixture
def net():
    return nn.ModuleDict({"trunk": nn.Linear(3, 4), "head": nn.Linear(4, 1)})


def test_globs_submodules_and_functions_choose_the_same(net):
    expected = ["trunk.weight", "trunk.bias"]
    assert list(select(net, "trunk.*")) == expected
    assert list(select(net, ["trunk.weight", "trunk.b*"])) == expected
    assert list(select(net, net["trunk"])) == expected
    assert list(select(net, lambda name, p: name.startswith("trunk"))) == expected


def test_order_is_the_modules_own(net):
    assert list(select(net, ["head.*", "trunk.*"])) == list(named(net))


def test_tied_weights_appear_once(net):
    net["again"] = net["trunk"]
    assert list(named(net)) == ["trunk.weight", "trunk.bias", "head.weight", "head.bias"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("trunk.wieght", r"'trunk\.wieght' matches no parameter.*did you mean 'trunk\.weight'"),
        (nn.Linear(1, 1), "the Linear given matches no parameter"),
        (lambda name, p: False, "the function given matches no parameter"),
        (["trunk.*", "hed.*"], r"'hed\.\*' matches no parameter"),
    ],
)
def test_matching_nothing_is_refused(net, pattern, message):
    with pytest.raises(InputError, match=message):
        select(net, pattern)


def test_flat_and_back(net):
    flat = flatten(named(net))
    assert flat.shape == (21,)
    back = unflatten(flat, named(net))
    assert all(torch.equal(back[name], value) for name, value in named(net).items())


def test_an_empty_selection_is_an_empty_vector():
    assert flatten({}).shape == (0,)
    assert unflatten(torch.zeros(0), {}) == {}


def test_a_vector_of_another_length_is_refused(net):
    with pytest.raises(InputError, match="21 entries is expected, found 20"):
        unflatten(torch.zeros(20), named(net))
