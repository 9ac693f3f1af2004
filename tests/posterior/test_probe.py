"""Separability by linear programming, against sets made by hand and what a margin is."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from counterpoint.errors import InputError
from counterpoint.posterior import probe, separability
from counterpoint.seeding import generator, seeded

CORNERS = torch.tensor(list(product((0.0, 1.0), repeat=2)))


@pytest.mark.parametrize(
    ("labels", "separable"),
    [
        (labels, labels not in ((0, 1, 1, 0), (1, 0, 0, 1)))
        for labels in product((0, 1), repeat=4)
        if len(set(labels)) == 2
    ],
)
def test_all_functions_of_two_bits_but_two_are_separable(labels, separable):
    found = separability(CORNERS, labels)
    assert found.separable is separable
    assert (len(found.blocking), found.margin > 0) == ((0, True) if separable else (1, False))


def test_the_share_of_labels_that_are_separable_is_covers():
    # the other two constant labels are separable, too: 14 of 16
    assert separability(CORNERS, [0, 1, 1, 0]).chance == 14 / 16
    # five points in general position in the plane: 2 (1 + 4 + 6) of 32
    points = torch.randn(5, 2, generator=generator(0))
    counted = sum(separability(points, labels).separable for labels in product((0, 1), repeat=5))
    assert separability(points, [0, 1, 0, 1, 0]).chance * 32 == pytest.approx(22)
    assert counted == 22


def test_the_margin_is_the_change_that_crosses_the_border():
    assert separability(torch.tensor([[0.0], [1.0], [5.0]]), [0, 0, 1]).margin == pytest.approx(2.0)
    # neighbours 1 and 4 apart, whose slopes s and t add to 1 at most: m = s / 2 = 2 t
    found = separability(torch.tensor([[0.0], [1.0], [5.0]]), ["a", "b", "c"])
    assert found.margin == pytest.approx(0.4)
    # along one axis is as good as along another: three apart in one, one in the other
    assert separability(torch.tensor([[0.0, 0.0], [3.0, 1.0]]), [0, 1]).margin == pytest.approx(2.0)


@settings(max_examples=20)
@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_the_margin_has_the_features_unit_and_no_origin(scale, shift):
    points = (
        torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).double() + shift
    ) * scale
    found = separability(points, [0, 0, 0, 1])
    assert found.margin == pytest.approx(0.5 * scale, rel=1e-4)
    assert found.margin / found.spread == pytest.approx(0.5, rel=1e-4)


def test_three_classes_on_a_line_need_no_hyperplane_around_the_middle_one():
    x = torch.arange(9.0)[:, None]
    assert separability(x, [0, 0, 0, 1, 1, 1, 2, 2, 2]).separable  # by argmax; not one against all
    assert not separability(x, [0, 0, 0, 1, 1, 1, 0, 0, 0]).separable


def test_flipped_labels_are_found():
    x = torch.randn(300, 8, generator=generator(1))
    y = (x[:, 0] + 0.5 * x[:, 1] > 0).long()
    far = (x[:, 0] + 0.5 * x[:, 1]).abs().argsort(descending=True)[:3]
    assert separability(x, y).separable
    y[far] = 1 - y[far]
    found = separability(x, y)
    assert set(far.tolist()) <= set(found.blocking)
    left = [row for row in range(300) if row not in found.blocking]
    assert len(found.blocking) < 9
    assert separability(x[left], y[left]).separable


def test_equal_rows_of_different_classes_are_in_the_way():
    found = separability(torch.tensor([[0.0], [1.0], [1.0]]), [0, 1, 0])
    assert found.blocking in ((1,), (2,))


def test_many_classes_and_rows_agree_with_the_map_that_made_them():
    draws = generator(2)
    x, w = torch.randn(600, 10, generator=draws), torch.randn(10, 7, generator=draws)
    y = (x @ w).argmax(1)
    found = separability(x, y)
    assert found.separable
    # the map that made the labels, scaled to the same bound, keeps no row farther from a border
    apart = (w.max(1).values - w.min(1).values).max()
    best, second = (x @ w / apart).topk(2).values.T
    assert found.margin >= (best - second).min().item() - 1e-6


def test_what_is_trivial_says_so():
    one = separability(CORNERS, ["a"] * 4)
    assert one.sentence == "separation is trivial: all 4 rows are of one class"
    few = separability(torch.randn(5, 9, generator=generator(0)), [0, 1, 0, 1, 1])
    assert few.trivial
    assert "5 rows span so many dimensions that any labels would be separable" in few.sentence
    flat = torch.cat([CORNERS, torch.zeros(4, 9)], 1)  # many dimensions, of which two are used
    assert not separability(flat, [0, 0, 0, 1]).trivial


@pytest.mark.parametrize(
    ("features", "labels", "match"),
    [
        (torch.zeros(0, 2), [], "must be rows of numbers"),
        (CORNERS, [0, 1], "4 rows need as many labels"),
        (torch.tensor([[1.0], [float("nan")]]), [0, 1], "must be finite, found .* in row 1"),
        (np.array([["a"], ["b"]]), [0, 1], "must be rows of numbers"),
    ],
)
def test_what_cannot_be_asked_is_refused(features, labels, match):
    with pytest.raises(InputError, match=match):
        separability(features, labels)


def test_layers_make_separable_what_was_not():
    hidden = nn.Linear(2, 2)
    hidden.weight.data, hidden.bias.data = torch.ones(2, 2), torch.tensor([0.0, -1.0])
    net = nn.Sequential(hidden, nn.ReLU(), nn.Dropout(0.9), nn.Linear(2, 2))
    found = probe(net.train(), CORNERS, [0, 1, 1, 0]).layers
    assert list(found) == ["inputs", "0", "1", "2", "3"]
    assert [one.separable for one in found.values()][:4] == [False, False, True, True]
    assert net.training  # as it was
    assert not net[0]._forward_hooks


def test_layers_are_chosen_by_name_and_tuples_give_their_output():
    with seeded(0):
        net = nn.ModuleDict({"body": nn.GRU(3, 5, batch_first=True)})
        net.forward = lambda x: net["body"](x)[0]
        x = torch.randn(12, 4, 3)
    found = probe(net, x, list("ab") * 6, "body")
    assert list(found.layers) == ["inputs", "body"]
    first, second = str(found).splitlines()
    assert first.startswith("inputs  ")
    assert second.startswith("body    ")


def test_codes_are_no_representation_and_layers_without_rows_are_named():
    net = nn.Sequential(nn.Embedding(4, 3), nn.Flatten(0))
    with pytest.raises(InputError, match=r"layer '1' gives no row for each of the 4 inputs"):
        probe(net, torch.arange(4), [0, 1, 0, 1])
    assert list(probe(net, torch.arange(4), [0, 1, 0, 1], "0").layers) == ["0"]
    lonely = nn.Module()
    lonely.part = nn.Linear(2, 2)
    lonely.forward = lambda x: x
    with pytest.raises(InputError, match="none of the layers part is called"):
        probe(lonely, CORNERS, [0, 1, 1, 0])


def test_deeper_margins_can_be_compared():
    shares = [
        (one := separability(torch.tensor([[0.0], [gap]]), [0, 1])).margin / one.spread
        for gap in (1.0, 10.0)
    ]
    assert all(a == pytest.approx(b) for a, b in pairwise(shares))


@pytest.mark.parametrize("seed", range(6))
def test_layers_wider_than_what_they_are_given_are_asked_as_well(seed):
    # eight outputs of four inputs, in float32: of rank four but for rounding
    with seeded(seed):
        net, rows = nn.Linear(4, 8), torch.randn(20, 4)
    for labels in (["a", "b"] * 10, ["a", "b", "c", "d"] * 5):
        found = probe(net, rows, labels).layers
        assert found["model"].separable is found["inputs"].separable


@pytest.mark.parametrize("labels", [[0.0, np.nan, 1.0, 0.0], ["a", None, "b", "a"]])
def test_rows_without_a_label_are_named(labels):
    with pytest.raises(InputError, match="row 1 has no label; leave such rows out"):
        separability(CORNERS, labels)
