"""Models in memory become one: what is merged, what is kept, what is refused."""

import copy
import re

import pytest
import torch
from torch import nn

import counterpoint as cp
from counterpoint.errors import InputError
from counterpoint.merge import MergeWarning, Ramp, layers, merge, refit

close = torch.testing.assert_close


class Net(nn.Module):
    """Every kind of tensor: a tied pair, a normalisation, a counter, a mask."""

    def __init__(self, seed):
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.embed, self.bn = nn.Embedding(4, 3), nn.BatchNorm1d(3)
        self.hidden, self.out = nn.Linear(3, 3), nn.Linear(3, 4, bias=False)
        self.out.weight = self.embed.weight
        self.register_buffer("mask", torch.tensor([True, False]))
        with torch.no_grad():
            for tensor in (*self.parameters(), self.bn.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=random))
            self.bn.num_batches_tracked.fill_(seed)


@pytest.fixture
def nets():
    return Net(1), Net(5)


def quietly(*arguments, **options):
    with pytest.warns(MergeWarning, match="refit"):
        return merge(*arguments, **options)


def test_one_number_a_layer_is_the_question_it_all_starts_from():
    one, two = (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)) for _ in range(2))
    share = [0.2, 0.7]
    found = cp.merge([one, two], first=share)
    for place, part in zip(share, (0, 2), strict=True):
        for name in ("weight", "bias"):
            a, b = getattr(one[part], name), getattr(two[part], name)
            close(getattr(found[part], name), place * a + (1 - place) * b)


def test_a_module_comes_back_as_one_and_nothing_given_is_changed(nets):
    before = [copy.deepcopy(net.state_dict()) for net in nets]
    found = quietly(nets, 0.25)
    assert isinstance(found, Net)
    assert found.out.weight is found.embed.weight
    assert all(parameter.requires_grad for parameter in found.parameters())
    for net, old in zip(nets, before, strict=True):
        close(net.state_dict(), old, rtol=0, atol=0)
    close(found.hidden.weight, 0.75 * nets[0].hidden.weight + 0.25 * nets[1].hidden.weight)


def test_statistics_share_their_layers_weight_counters_and_masks_do_not(nets):
    found = quietly(nets, {"**": 0.5, "bn": 0.25})
    close(found.bn.running_mean, 0.75 * nets[0].bn.running_mean + 0.25 * nets[1].bn.running_mean)
    assert found.bn.num_batches_tracked.dtype == torch.int64
    assert found.bn.num_batches_tracked.item() == 5
    assert found.mask.tolist() == [True, False]


def test_a_mask_that_differs_is_refused_until_somebody_says_what_is_meant(nets):
    nets[1].mask[1] = True
    with pytest.raises(InputError, match="mask: integers and masks are not averaged"):
        merge(nets)
    assert quietly(nets, buffers={"mask": "first"}).mask.tolist() == [True, False]
    assert quietly(nets, buffers={"mask": "max"}).mask.tolist() == [True, True]


def test_equal_statistics_need_no_refit(nets):
    merge([nets[0], copy.deepcopy(nets[0])])


def test_a_state_dict_keeps_names_types_ties_and_the_graph():
    one = {"module.a.weight": torch.ones(2, requires_grad=True), "module.a.n": torch.tensor(3)}
    two = {"a.weight": torch.full((2,), 3.0, dtype=torch.float64), "a.n": torch.tensor(3)}
    share = torch.tensor(0.5, requires_grad=True)
    found = merge([one, two], share)
    assert list(found) == list(one)
    assert found["module.a.weight"].dtype == torch.float32
    found["module.a.weight"].sum().backward()
    close(one["module.a.weight"].grad, torch.full((2,), 0.5))
    close(share.grad, torch.tensor(4.0))


def test_a_model_that_is_tied_joins_one_that_is_not():
    weight = torch.ones(3)
    found = merge([{"a": weight * 2, "b": weight * 4}, {"a": weight, "b": weight}], {"**": 0.5})
    close(found, {"a": weight * 1.5, "b": weight * 2.5})
    start = {"a": weight * 0, "b": weight * 0}
    start["b"] = start["a"]
    added = merge([{"a": weight * 2, "b": weight * 4}] * 2, method="task-arithmetic", base=start)
    close(added, {"a": weight * 4, "b": weight * 8})


def test_a_module_that_is_called_module_keeps_its_name():
    one = {"module.w": torch.zeros(1), "w": torch.ones(1)}
    close(merge([one, one], {"module": 0.5, "w": 0.5}), one)
    net = nn.ModuleDict({"module": nn.Linear(1, 1)})
    assert list(layers(net).entries) == ["module.weight", "module.bias"]
    with pytest.raises(InputError, match="two tensors are 'w' without"):
        merge([{"module.w": torch.zeros(1), "module._orig_mod.w": torch.ones(1)}] * 2, {"**": 0.5})


def test_ties_of_a_state_dict_are_kept():
    weight = torch.randn(3, generator=torch.Generator().manual_seed(0))
    found = merge([{"a": weight, "b": weight}, {"a": weight + 1, "b": weight + 1}], 0.5)
    assert found["a"] is found["b"]


def test_weights_beside_other_things_are_found():
    inside = {"w": torch.zeros(1)}
    found = merge([{"state_dict": inside, "epoch": 3}, {"model": {"w": torch.ones(1)}}], 0.5)
    close(found, {"w": torch.tensor([0.5])})


@pytest.mark.parametrize(
    ("two", "message"),
    [
        ({"b": torch.zeros(2)}, "model 2 is not built like model 1: it lacks a; it has besides b"),
        ({"a": torch.zeros(3)}, "it has of other shape a (3,) for (2,)"),
        ({"a": torch.zeros(2).to_sparse()}, "'a' is sparse or quantised"),
        ({"a": 1.0}, "'a' is no tensor but float"),
        ({}, "the model has no tensor"),
    ],
)
def test_refused_in_one_line(two, message):
    with pytest.raises(InputError, match=re.escape(message)):
        merge([{"a": torch.zeros(2)}, two])


def test_what_is_tied_in_one_model_alone_is_refused():
    weight = torch.zeros(2)
    apart = {"a": torch.zeros(2), "b": torch.ones(2)}
    with pytest.raises(InputError, match="'a' and 'b' are one tensor in model 1 and two"):
        merge([{"a": weight, "b": weight}, apart])
    with pytest.raises(InputError, match="at least two models"):
        merge([apart])
    with pytest.raises(InputError, match="not both"):
        merge([apart, apart], 0.5, first=0.5)
    with pytest.raises(InputError, match="did you mean 'linear'"):
        merge([apart, apart], method="linaer")
    with pytest.raises(InputError, match="give it as base="):
        merge([apart, apart], method="task-arithmetic")
    with pytest.raises(InputError, match="takes no evidence"):
        merge([apart, apart], evidence=[{}, {}])


def test_the_room_and_the_front_door_are_one():
    weights = {"a": torch.zeros(1)}, {"a": torch.ones(1)}
    assert cp.merge(weights, 0.5) == cp.merge.merge(weights, 0.5) == merge(weights, 0.5)


@pytest.mark.parametrize(
    "weights",
    [
        {"**": 0.5, "w": torch.tensor([0.1, float("nan")])},
        {"**": torch.tensor(float("inf"))},
        {"**": Ramp(0.0, float("nan"))},
        {"**": (0.5, torch.full((2,), float("nan")))},
    ],
)
def test_weights_that_are_not_finite_are_refused_in_any_form(weights):
    models = [{"w": torch.ones(2)}, {"w": torch.zeros(2)}]
    with pytest.raises(InputError, match="expects a finite number"):
        merge(models, weights)


def test_refit_writes_no_statistics_that_are_not_finite():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(InputError, match="statistics of '1' are not finite"):
        refit(net, torch.tensor([[1.0, 2.0], [float("nan"), 1.0]]))
    close(net.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("entry", [-1.0, float("nan")])
def test_information_that_is_none_is_refused(entry):
    models = [{"w": torch.zeros(2)}, {"w": torch.ones(2)}]
    with pytest.raises(InputError, match="diagonal of 'w' must be .* at least 0"):
        merge(models, method="fisher", evidence=[{"w": torch.tensor([1.0, entry])}] * 2)
    with pytest.raises(InputError, match=r"diagonal of 'w' must be of shape \(2,\)"):
        merge(models, method="fisher", evidence=[{"w": torch.ones(3)}] * 2)


def test_gram_matrices_that_are_not_finite_are_refused():
    models = [{"w": torch.zeros(2, 2)}, {"w": torch.ones(2, 2)}]
    with pytest.raises(InputError, match="Gram matrix of w is not finite"):
        merge(models, method="regmean", evidence=[{"w": torch.full((2, 2), float("nan"))}] * 2)


def test_what_is_not_finite_is_said_with_whose_it_is():
    models = [nn.Linear(2, 2) for _ in range(3)]
    with torch.no_grad():
        models[1].bias[0] = float("nan")
    with pytest.warns(cp.merge.MergeWarning, match=r"'bias' .* not finite: so it is in model 2$"):
        cp.merge(models)
    finite = [nn.Linear(2, 2) for _ in range(2)]
    with torch.no_grad():
        for model in finite:
            model.weight.fill_(3e38)
    with pytest.warns(cp.merge.MergeWarning, match="'weight' .* no model's is so"):
        cp.merge(finite, 2.0, method="task-arithmetic", base=nn.Linear(2, 2))


def test_what_lies_around_a_state_dict_in_memory():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    wanted = merge([a.state_dict(), b.state_dict()], 0.5)
    around = [{"net": model.state_dict(), "opt": {"state": {}}, "epoch": 3} for model in (a, b)]
    close(merge(around, 0.5), wanted)
    close(merge([{"model": a, "epoch": 1}, {"model": b, "epoch": 2}], 0.5), wanted)
    two = {"generator": a.state_dict(), "critic": b.state_dict()}
    with pytest.raises(InputError, match="which of generator, critic is meant"):
        merge([two, two], 0.5)


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (lambda: {"w": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}, "nested"),
        (lambda: {"w": torch.eye(3).to_sparse_csr()}, "sparse"),
        (
            lambda: {"w": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)},
            "quantised",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, about the kinds themselves
def test_odd_tensors_are_refused_with_their_names(odd, said):
    with pytest.raises(InputError, match=said):
        merge([odd(), odd()], 0.5)
