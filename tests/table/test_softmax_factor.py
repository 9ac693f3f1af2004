"""The last layer of a category: one warm search a member gives what cold ones gave."""

from dataclasses import replace

import pytest
import torch

from counterpoint.posterior import Softmax
from counterpoint.table.fit._prepare import Target
from counterpoint.table.targets._category import CategoryHead
from counterpoint.table.uncertainty import _layers
from counterpoint.table.uncertainty._rows import TargetRows
from softmax_cases import rows


def members(count=240, sharp=2.0, folds=4):
    """Features of four members that know the labels of their training rows, more or less."""
    x, labels = rows(0, count, spread=0.5)
    held = [torch.arange(count) % folds == fold for fold in range(folds)]
    draw = torch.Generator().manual_seed(1)
    hint = sharp * torch.eye(3)[labels].double()
    features = [
        torch.cat([x, torch.where(out[:, None], hint.roll(1, 0), hint)], 1)
        + torch.randn(count, 7, generator=draw)
        for out in held
    ]
    weight = torch.linspace(0.5, 1.5, count).double()
    weight[::17] = 0
    target = Target("colour", CategoryHead(("a", "b", "c")), labels, weight, labels)
    numbers = torch.zeros(count, 0)
    return TargetRows(target, labels, weight, weight > 0, numbers, held), features


def cold(rows, features):
    """Every search from nothing, and every member asked."""
    parts = [(features[at], inside, out) for at, (inside, out) in rows.parts.items()]

    def one(part, chosen, prior=None):
        return Softmax.fit(part[chosen], rows.values[chosen], 3, rows.weight[chosen], prior=prior)

    scale = one(*parts[0][:2]).prior
    likelihood = dict.fromkeys((1.0, 8.0, 64.0, 512.0), 0.0)
    for part, inside, out in parts:
        for factor in likelihood:
            found = one(part, inside, scale * factor).predict(part[out])
            likelihood[factor] += float(rows.weight[out] @ found.log_prob(rows.values[out]))
    prior = scale * max(likelihood, key=likelihood.get)
    return [one(part, rows.used, prior) for part in features], scale


@pytest.mark.parametrize("sharp", [0.0, 2.0])
def test_the_weights_are_those_of_cold_searches(sharp):
    given = members(sharp=sharp)
    found = [layer for layer, _ in _layers.LAYERS["category"].fit(*given)]
    wanted, scale = cold(*given)
    for one, other in zip(found, wanted, strict=True):
        assert one.prior == pytest.approx(other.prior, rel=1e-12)
        torch.testing.assert_close(one.mean, other.mean, rtol=0, atol=1e-8)
    # labels known by heart are no help with rows left out, so the prior is stronger than it says
    assert (found[0].prior > 2 * scale) == (sharp > 0)


def test_rows_enough_of_one_member_settle_the_factor(monkeypatch):
    asked = []

    def counted(layer, part, **more):
        asked.append(len(part))
        return predict(layer, part, **more)

    predict = Softmax.predict
    monkeypatch.setattr(Softmax, "predict", counted)
    given = members()
    _layers.LAYERS["category"].fit(*given)
    assert len(asked) == 4 * 4
    asked.clear()
    monkeypatch.setattr(_layers, "_ENOUGH", 50)
    _layers.LAYERS["category"].fit(*given)
    assert len(asked) == 4


def test_without_a_row_left_out_each_member_has_its_own_evidence():
    rows_, features = members()
    none = [torch.zeros_like(out) for out in rows_.held]
    alone = replace(rows_, held=none)
    found = [layer for layer, _ in _layers.LAYERS["category"].fit(alone, features[:2])]
    used = rows_.used
    for layer, part in zip(found, features, strict=False):
        own = Softmax.fit(part[used], rows_.values[used], 3, rows_.weight[used])
        assert layer.prior == own.prior
