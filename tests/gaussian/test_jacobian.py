"""Factored Jacobians against autograd, and their squares and Gram matrices against the explicit."""

import pytest
import torch
from torch import Size
from torch.nn import functional

from counterpoint.errors import InputError
from counterpoint.gaussian import (
    FullJacobian,
    LayerJacobian,
    LookupJacobian,
    explicit,
    squares,
)
from counterpoint.gaussian import (
    _jacobian as jacobian,
)
from counterpoint.gaussian._jacobian import grams
from gaussian.cases import SHAPES, Largest, lookup, normal, outer, outer_shapes, rows

OUTERS = [
    (groups, positions, weight, bias)
    for groups in (1, 2)
    for positions in (1, 3)
    for weight, bias in [("w", "b"), ("w", None), (None, "b")]
]


def directions(model, parameter, probes):
    """d <probe_k, model(parameter)_b> / d parameter by autograd, one row and column at a time."""
    found = torch.stack(
        [
            torch.stack(
                [
                    torch.autograd.grad((model(parameter)[b] * probes[b, k]).sum(), parameter)[0]
                    for k in range(probes.shape[1])
                ]
            )
            for b in range(probes.shape[0])
        ]
    )
    return found.detach()


def test_a_linear_layer_on_a_sequence():
    x, probes = normal(4, 5, 3), normal(4, 2, 5, 2, seed=1)
    weight, bias = normal(2, 3, seed=2).requires_grad_(), normal(2, seed=3).requires_grad_()
    entry = LayerJacobian("w", "b", x[:, None], probes[:, :, None])
    full = explicit([entry], {"w": weight.shape, "b": bias.shape})
    expected = directions(lambda w: functional.linear(x, w, bias), weight, probes)
    torch.testing.assert_close(full["w"], expected)
    expected = directions(lambda b: functional.linear(x, weight, b), bias, probes)
    torch.testing.assert_close(full["b"], expected)


def test_a_grouped_convolution_is_a_linear_map_of_patches():
    x, probes = normal(3, 4, 5, 5), normal(3, 2, 6, 3, 3, seed=1)
    weight = normal(6, 2, 3, 3, seed=2).requires_grad_()
    patches = functional.unfold(x, 3).view(3, 2, 2 * 9, 9).transpose(2, 3)
    deltas = probes.view(3, 2, 2, 3, 9).transpose(3, 4)
    full = explicit([LayerJacobian("w", None, patches, deltas)], {"w": weight.shape})
    expected = directions(lambda w: functional.conv2d(x, w, groups=2), weight, probes)
    torch.testing.assert_close(full["w"], expected)


def test_an_embedding_with_repetitions_and_padding():
    index = torch.tensor([[0, 3, 3], [4, 1, 4]])
    probes, table = normal(2, 2, 3, 2), normal(5, 2, seed=1).requires_grad_()
    padded = torch.where(index == 1, -1, index)
    full = explicit([LookupJacobian("t", padded, probes)], {"t": table.shape})["t"]
    expected = directions(lambda t: functional.embedding(index, t, padding_idx=1), table, probes)
    torch.testing.assert_close(full, expected)


def test_entries_of_one_name_add_and_absent_names_are_zero():
    once, again = outer(seed=3), FullJacobian("w", normal(4, 3, 2, 3))
    full = explicit([once, again, rows("other")], outer_shapes() | {"absent": Size([2])})
    alone = explicit([once], outer_shapes())
    torch.testing.assert_close(full["w"], alone["w"] + again.values)
    torch.testing.assert_close(full["b"], alone["b"])
    assert torch.equal(full["absent"], torch.zeros(4, 3, 2, dtype=torch.float64))
    assert list(full) == ["w", "b", "absent"]


def all_jacobians():
    for groups, positions, weight, bias in OUTERS:
        entry = outer(weight, bias, groups=groups, positions=positions)
        shapes = {name: outer_shapes(groups)[name] for name in entry.names}
        yield pytest.param([entry], shapes, id=f"outer-{groups}-{positions}-{weight}-{bias}")
    yield pytest.param([lookup()], SHAPES, id="lookup")
    yield pytest.param([lookup(rows=4), rows()], SHAPES, id="lookup and rows")
    tied = [lookup("w2"), LayerJacobian("w2", None, normal(4, 1, 1, 2), normal(4, 3, 1, 1, 5))]
    yield pytest.param(tied, {"w2": Size([5, 2])}, id="tied embedding")
    reused = [outer(seed=1), outer(seed=5), outer("v", "b", seed=8)]
    yield pytest.param(reused, outer_shapes() | {"v": Size([2, 3])}, id="reused, shared bias")
    yield pytest.param([outer(), rows()], {"w": Size([2, 3])}, id="not all asked for")


@pytest.mark.parametrize(("entries", "shapes"), list(all_jacobians()))
@pytest.mark.parametrize("numbers", [1, jacobian.NUMBERS])
def test_squares_and_grams_are_those_of_the_explicit_jacobian(
    entries, shapes, numbers, monkeypatch
):
    monkeypatch.setattr(jacobian, "NUMBERS", numbers)
    full = explicit(entries, shapes)
    found = squares(entries, shapes)
    assert list(found) == list(shapes)
    for name, value in full.items():
        torch.testing.assert_close(found[name], value.square().sum((0, 1)))
    weights = {name: normal(*shape, seed=4).square() for name, shape in shapes.items()}
    flat = torch.cat([value.flatten(2) for value in full.values()], 2)
    middle = torch.cat([value.reshape(-1) for value in weights.values()])
    torch.testing.assert_close(grams(entries, weights), flat * middle @ flat.mT)


def test_one_position_never_forms_a_gradient_of_an_example():
    rows, wide = 64, 400
    a, d = torch.ones(rows, 1, 1, wide), torch.ones(rows, 1, 1, 1, wide)
    with Largest() as largest:
        squares([LayerJacobian("w", "b", a, d)], {"w": Size([wide, wide]), "b": Size([wide])})
    assert largest.numbers <= wide * wide


def test_jacobians_that_do_not_agree_are_refused():
    with pytest.raises(InputError, match=r"agree in rows and columns, found \(4, 2\), \(4, 3\)"):
        explicit([outer(), rows(columns=2)], outer_shapes())
    with pytest.raises(InputError, match="found no entry"):
        squares([], outer_shapes())
