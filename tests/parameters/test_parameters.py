"""Names of weights."""

import pytest
import torch
from torch import nn

from counterpoint.errors import InputError
from counterpoint.parameters import (
    evaluating,
    flatten,
    modules,
    named,
    select,
    unflatten,
    unwrapped,
)
from wrapped import WRAPPERS


@pytest.fixture
def net():
    return nn.ModuleDict({"trunk": nn.Linear(3, 4), "head": nn.Linear(4, 1)})


def test_globs_submodules_and_functions_choose_the_same(net):
    expected = ["trunk.weight", "trunk.bias"]
    assert list(select(net, "trunk.*")) == expected
    assert list(select(net, "trunk")) == expected
    assert list(select(net, "tr*k")) == expected
    assert list(select(net, ["trunk.weight", "trunk.b*"])) == expected
    assert list(select(net, ("trunk.bias", net["trunk"]))) == expected
    assert list(select(net, net["trunk"])) == expected
    assert list(select(net, lambda name, p: name.startswith("trunk"))) == expected


def test_order_is_the_modules_own(net):
    assert list(select(net, ["head.*", "trunk.*"])) == list(named(net))


def test_tied_weights_appear_once(net):
    net["again"] = net["trunk"]
    assert list(named(net)) == ["trunk.weight", "trunk.bias", "head.weight", "head.bias"]
    for pattern in ("again", "again.*", net["again"]):
        assert list(select(net, pattern)) == ["trunk.weight", "trunk.bias"]


def test_a_name_is_that_of_a_module_or_a_parameter_and_not_the_beginning_of_one():
    net = nn.ModuleDict({"head": nn.Linear(1, 1), "header": nn.Linear(1, 1)})
    assert list(select(net, "head")) == ["head.weight", "head.bias"]
    with pytest.raises(InputError, match="'hea' matches no parameter"):
        select(net, "hea")


@pytest.mark.parametrize("pattern", ["1", "1.*", ["1.0", "1.1"]])
def test_modules_within_a_module(pattern):
    net = nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.Linear(2, 2), nn.Tanh()))
    inside = ["1"] if pattern == "1" else ["1.0", "1.1"]
    assert list(modules(net, pattern)) == inside
    assert list(modules(net, [net[int(name[0])] for name in ("1",)])) == ["1"]
    assert list(modules(net, net)) == [""]


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_wrapped_model_has_the_users_own_names(net, wrap):
    wrapped = wrap(net)
    assert unwrapped(wrapped) is net
    assert list(named(wrapped)) == list(named(net))
    for pattern in ("trunk", "trunk.*", net["trunk"], wrap(net["trunk"])):
        assert list(select(wrapped, pattern)) == ["trunk.weight", "trunk.bias"]
        if pattern != "trunk.*":
            assert modules(wrapped, pattern) == {"trunk": net["trunk"]}
    assert list(select(wrapped, wrapped)) == list(named(net))
    assert modules(wrapped, wrapped) == {"": net}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("trunk.wieght", r"'trunk\.wieght' matches no parameter.*did you mean 'trunk\.weight'"),
        ("trunck", r"'trunck' matches no parameter.*did you mean 'trunk'"),
        ([], "a list of names, globs or modules is empty"),
        (nn.Linear(1, 1), "the Linear given matches no parameter"),
        (lambda name, p: False, "the function given matches no parameter"),
        (["trunk.*", "hed.*"], r"'hed\.\*' matches no parameter"),
    ],
)
def test_matching_nothing_is_refused(net, pattern, message):
    with pytest.raises(InputError, match=message):
        select(net, pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("trunck", r"'trunck' matches no module of the model; did you mean 'trunk'\?"),
        ("trunk.weight", r"'trunk\.weight' matches no module"),
        (["trunk", nn.Tanh()], "the Tanh given is no module of the model; known: head, trunk"),
        ([], "a list of names, globs or modules is empty"),
    ],
)
def test_matching_no_module_is_refused(net, pattern, message):
    with pytest.raises(InputError, match=message):
        modules(net, pattern)


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


def test_every_module_gets_its_own_mode_back_whatever_happens():
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval())
    with evaluating(net):
        assert not any(module.training for module in net.modules())
    with pytest.raises(InputError, match="no parameter"), evaluating(net):
        select(net, "head")
    assert [module.training for module in net.modules()] == [True, True, False]
