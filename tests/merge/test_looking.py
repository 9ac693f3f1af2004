"""Beside the merge itself: soups, averages, statistics, the line between two, the search."""

import copy
import re

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, update_bn

from counterpoint.errors import InputError
from counterpoint.goals import Categorical, Normal
from counterpoint.merge import (
    Jump,
    Knots,
    MergeWarning,
    Ramp,
    RunningAverage,
    greedy_soup,
    input_grams,
    lora_factors,
    lora_products,
    merge,
    path,
    refit,
    score_by,
    search,
)
from counterpoint.merge._uniform import uniform
from counterpoint.seeding import generator, seeded

close = torch.testing.assert_close


def normal(seed, *shape):
    return torch.randn(shape, generator=generator(seed))


def classifier(seed, width=12):
    with seeded(seed):
        return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 2))


def rows(seed, count=200):
    x = normal(seed, count, 2)
    return x, (x[:, 0] * x[:, 1] > 0).long()


def goals(model, batch):
    return {"fit": cross_entropy(model(batch["x"]), batch["y"])}


def trained(net, data, steps=150):
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(steps):
        optimiser.zero_grad()
        cross_entropy(net(data[0]), data[1]).backward()
        optimiser.step()
    return net


EVERY = {"**": "merge"}  # policies of one's own go the general way: the oracle


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    "weights",
    [
        None,
        0,
        0.3,
        tuple(0.04 * k for k in range(20)),
        [0.1 * (k % 9) for k in range(20)],
        Ramp(0.0, 1.0),
        {"**": 0.3},
        {"**": 0.3, "#4:7": 0.9, "l3": (0.5, 0.5)},
        {"**": Jump(0.0, 1.0), "l1": Ramp(0.25, 0.5)},
    ],
)
def test_many_tensors_at_once_are_the_same_bits_as_one_by_one(weights, first):
    one = {f"l{i}.weight": normal(i, 3, i % 4 + 1) for i in range(20)}
    two = {name: value + 1 for name, value in one.items()}
    given = {"first": weights} if first else {"weights": weights}
    expected = merge([one, two], buffers=EVERY, **given)
    for _ in range(2):  # rules are read once, and remembered
        found = merge([one, two], **given)
        close(found, expected, rtol=0, atol=0)
        close(found, uniform([one, two], weights, first=first), rtol=0, atol=0)
        assert list(found) == list(one)
    one["l3.weight"].requires_grad_()
    (slope,) = torch.autograd.grad(merge([one, two], **given)["l3.weight"].sum(), one["l3.weight"])
    wanted = merge([one, two], buffers=EVERY, **given)["l3.weight"].sum()
    close(slope, torch.autograd.grad(wanted, one["l3.weight"])[0])


def test_rules_are_of_names_without_wrappers_and_of_every_shape_anew():
    one = {"module.a.weight": torch.zeros(3), "module.b.weight": torch.zeros(2, 2)}
    two = {name: value + 1 for name, value in one.items()}
    found = merge([one, two], {"**": 0.5, "@head": 0.25})
    assert found["module.b.weight"].tolist() == [[0.25, 0.25], [0.25, 0.25]]
    # the same names, and other layers are the head
    other = {"module.a.weight": torch.zeros(3, 3), "module.b.weight": torch.zeros(2)}
    more = {name: value + 1 for name, value in other.items()}
    assert merge([other, more], {"**": 0.5, "@head": 0.25})["module.a.weight"][0, 0] == 0.25


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"nothing": 0.5}, "matches no layer"),
        ({"a": 0.5}, "b"),
        ({"**": True}, "expects a number"),
        ({"**": float("nan")}, "finite"),
        (float("inf"), "finite"),
        ({"**": (0.5, 0.6)}, "sum to 1"),
        ({}, "at least one rule"),
        ([0.5], "one for each of 2 layers"),
    ],
)
def test_many_tensors_at_once_are_refused_as_one_by_one(weights, said):
    one = {"a.weight": torch.zeros(3), "b.weight": torch.zeros(2)}
    two = {name: value + 1 for name, value in one.items()}
    for options in ({}, {"buffers": EVERY}):
        with pytest.raises(InputError, match=said):
            merge([one, two], weights, **options)


@pytest.mark.parametrize(
    "odd",
    [
        {"n": torch.tensor(3)},
        {"bn.running_mean": torch.ones(2)},
        {"t": torch.ones(2).double()},
        {"x": 3},
    ],
)
def test_whatever_is_not_plain_goes_the_general_way(odd):
    def alone(*models, weights=0.5):
        return uniform(models, weights, first=False)

    one = {"a": torch.ones(2), **odd}
    assert alone(one, dict(one)) is None
    assert alone({"a": torch.ones(2)}, {"a": torch.ones(3)}) is None
    shared = torch.ones(2)
    assert alone({"a": shared, "b": shared}, {"a": torch.ones(2), "b": torch.ones(2)}) is None
    plain = {"a": torch.ones(2)}
    assert alone(plain, plain, weights={"a": torch.tensor(0.5)}) is None
    assert alone(plain, plain, weights=True) is None
    assert alone(plain, plain, weights=Knots({0.0: 0.25, 1.0: 0.5})) is None


def test_refit_measures_what_a_pass_over_all_rows_measures():
    net = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 1)
    )
    net[1].running_mean.fill_(9.0)
    net.eval()
    x = normal(0, 50, 3)
    whole = refit(copy.deepcopy(net), x)
    inside = net[0](x)
    close(whole[1].running_mean, inside.mean(0))
    close(whole[1].running_var, inside.var(0))
    assert not whole[1].training
    assert whole[1].momentum == net[1].momentum
    parts = refit(copy.deepcopy(net), [x[:30], x[30:]])  # each batch counts by its rows
    close(parts[1].running_mean, inside.mean(0))
    peer = copy.deepcopy(net)
    update_bn([x[:25], x[25:]], peer)
    close(refit(copy.deepcopy(net), [x[:25], x[25:]]).state_dict(), peer.state_dict())
    labelled = refit(copy.deepcopy(net), (x, torch.zeros(50)))
    close(labelled.state_dict(), whole.state_dict())
    close(net[1].running_mean, torch.full((4,), 9.0))


def test_a_refit_that_fails_leaves_the_statistics():
    net = nn.BatchNorm1d(2)
    net.running_mean.fill_(5.0)
    for bad, message in (
        (torch.ones(1, 2), "give batches of two rows"),
        (iter(()), "at least one"),
    ):
        with pytest.raises(InputError, match=message):
            refit(net, bad)
        close(net.running_mean, torch.full((2,), 5.0))
    plain = nn.Linear(1, 1)
    assert refit(plain, torch.zeros(1, 1)) is plain


def test_a_greedy_soup_keeps_what_helps():
    models = [{"w": torch.tensor([value])} for value in (1.0, 3.0, 8.0, 2.5)]
    soup = greedy_soup(models, lambda model: -abs(float(model["w"]) - 2.2))
    assert soup.kept[0] == 3
    assert 2 not in soup.kept
    assert soup.score >= max(soup.scores)
    assert soup.score == pytest.approx(-abs(float(soup.model["w"]) - 2.2))
    with pytest.raises(InputError, match="at least one model"):
        greedy_soup([], lambda model: 0.0)
    with pytest.raises(InputError, match="score of model 2 is NaN"):
        greedy_soup(models, lambda model: float("nan") if model is models[1] else 1.0)


@pytest.mark.parametrize("decay", [None, 0.9])
def test_a_running_average_is_torchs_and_goes_on_where_it_was(decay):
    net = classifier(0)
    options = {} if decay is None else {"avg_fn": get_ema_avg_fn(decay)}
    peer, mine, other = AveragedModel(net, **options), RunningAverage(decay), RunningAverage(decay)
    data = rows(0)
    for _ in range(5):
        trained(net, data, 3)
        peer.update_parameters(net)
        mine.update(net)
        other.load_state_dict(other_state := mine.state_dict())
        mine = RunningAverage(decay)
        mine.load_state_dict(other_state)
    close(dict(mine.model(net).named_parameters()), dict(peer.module.named_parameters()))
    assert mine.count == 5
    close(other.tensors(), mine.tensors(), rtol=0, atol=0)


def test_a_running_average_of_half_precision_masks_and_counters():
    average = RunningAverage()
    for value in (1.0, 1.001, 1.002):
        average.update(
            {
                "w": torch.tensor([value]).bfloat16(),
                "mask": torch.tensor([True]),
                "n": torch.tensor(int(value * 1000)),
            }
        )
    found = average.tensors()
    assert (found["w"].dtype, found["mask"].dtype) == (torch.bfloat16, torch.bool)
    assert found["n"].item() == 1002
    with pytest.raises(InputError, match="the model has changed; found w, x"):
        average.update({"x": torch.ones(1), "mask": torch.tensor([True]), "n": torch.tensor(1)})
    with pytest.raises(InputError, match="decay is from 0 to below 1"):
        RunningAverage(1.0)
    with pytest.raises(InputError, match=re.escape("update(model) first")):
        RunningAverage().tensors()
    with pytest.raises(InputError, match="decay is 0.5 here and None"):
        RunningAverage(0.5).load_state_dict(average.state_dict())


def test_the_line_between_a_network_and_its_shuffled_copy_is_flat_once_aligned():
    data = rows(0)
    one = trained(classifier(0), data)
    two, order = copy.deepcopy(one), torch.randperm(12, generator=generator(3))
    with torch.no_grad():
        for tensor in (two[0].weight, two[0].bias):
            tensor.copy_(tensor[order])
        two[2].weight.copy_(two[2].weight[:, order])
    found = path([one, two], score_by(Categorical(), data), inputs=data[0][:1], count=5)
    assert found.lambdas == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert found.barrier() > 0.05
    assert abs(found.barrier(aligned=True)) < 1e-5
    assert found.naive["accuracy"][0] > 0.9
    assert found.figure().document().count("<path") >= 2
    assert "aligned" in found.figure("accuracy").document()
    with pytest.raises(InputError, match="no measure 'los'; did you mean 'loss'"):
        found.barrier("los")
    alone = path([one, two], score_by(Categorical(), data), count=2)
    with pytest.raises(InputError, match="nothing was aligned"):
        alone.barrier(aligned=True)
    with pytest.raises(InputError, match="two models and two points"):
        path([one], score_by(Categorical(), data))


def test_a_score_is_the_mean_over_rows_whatever_the_batches():
    net, (x, y) = classifier(0), rows(1, 50)
    whole = score_by(Categorical(), (x, y))(net)
    parts = score_by(Categorical(), [(x[:7], y[:7]), (x[7:], y[7:])])(net)
    assert whole == pytest.approx(parts)
    assert whole["loss"] == pytest.approx(float(cross_entropy(net(x), y).detach()))
    assert whole["accuracy"] == float((net(x).argmax(1) == y).double().mean())
    assert set(score_by(Normal(), (x, x))(nn.Linear(2, 2))) == {"loss"}


@pytest.mark.parametrize(
    ("method", "by"),
    [
        ("linear", "gradient"),
        ("task-arithmetic", "gradient"),
        ("linear", "coordinate"),
    ],
)
def test_a_search_lowers_the_loss_and_reports_on_other_rows(method, by):
    start = trained(classifier(0, 6), rows(0), 20)
    ends = [trained(copy.deepcopy(start), rows(k), 30) for k in (1, 2)]
    ends.insert(0, classifier(5, 6)) if method == "linear" else None
    base = start if method == "task-arithmetic" else None
    found = search(ends[:2], goals, rows(3), rows(4), method=method, base=base, by=by, steps=40)
    assert found.tuning[1] < found.tuning[0]
    assert found.layers == ("0", "2")
    again = merge(ends[:2], list(found.weights), method=method, base=base)
    close(again.state_dict(), found.model.state_dict())
    scored = score_by(Categorical(), rows(4))(found.model)["loss"]
    assert found.reporting[1] == pytest.approx(scored, rel=1e-5)


def test_a_search_never_ends_worse_than_it_began_and_keeps_rows_apart():
    ends, data = [classifier(0), classifier(1)], rows(0)
    found = search(ends, goals, data, rows(1), steps=1, rate=100.0)
    assert found.tuning[1] <= found.tuning[0]
    with pytest.raises(InputError, match="must not be those tuned on"):
        search(ends, goals, data, data)
    with pytest.raises(InputError, match="must not be those tuned on"):
        search(ends, goals, data, type(data)(data))
    with pytest.raises(InputError, match="needs the common start as base="):
        search(ends, goals, data, rows(1), method="ties")
    with pytest.raises(InputError, match="did you mean 'gradient'"):
        search(ends, goals, data, rows(1), by="gradients")


def test_grams_are_of_each_layers_own_inputs():
    net, x = classifier(0), normal(0, 30, 2)
    grams = input_grams(net, [x[:10], x[10:]])
    hidden = net[1](net[0](x)).double()
    close(grams["0.weight"], x.double().T @ x.double())
    close(grams["2.weight"], hidden.T @ hidden, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="no linear layer"):
        input_grams(nn.ReLU(), x)


def test_products_of_adapters_are_merged_and_factors_say_that_they_are_not():
    def adapter(seed):
        return {
            "base.q.lora_A.default.weight": normal(seed, 2, 4),
            "base.q.lora_B.default.weight": normal(seed + 1, 3, 2),
        }

    one, two = adapter(0), adapter(5)
    products = [lora_products(each, alpha=4.0) for each in (one, two)]
    names = list(one)
    close(products[0], {"base.q.weight": 2 * one[names[1]] @ one[names[0]]})
    mean = merge(products, 0.5)
    back = lora_products(lora_factors(mean, rank=3))
    close(back, mean, rtol=1e-4, atol=1e-5)
    assert lora_factors(mean, rank=1)["base.q.lora_A.weight"].shape == (1, 4)
    with pytest.warns(MergeWarning, match="factors of low-rank adapters"):
        merge([one, two], 0.5)
    for bad, message in (
        ({"w": torch.ones(1)}, "there is no tensor named"),
        ({names[0]: torch.ones(2, 4)}, "'base.q' has lora_A alone"),
        ({names[0]: torch.ones(2, 4), names[1]: torch.ones(3, 1)}, "(2, 4)"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            lora_products(bad)
