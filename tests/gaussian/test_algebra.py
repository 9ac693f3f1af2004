"""Adding, pooling and subtracting: dense forms add, and the structure is no more than needed."""

from functools import reduce
from itertools import product

import pytest
import torch
from torch import Size

from counterpoint.errors import InputError
from counterpoint.gaussian import (
    Block,
    Dense,
    Diagonal,
    Isotropic,
    Kronecker,
    Sum,
    add,
    pool,
    precision_from,
    subtract,
)
from gaussian.cases import LAYER, REST, WIDE, definite, diagonal, factors, kronecker, normal
from gaussian.conformance import flat

close = torch.testing.assert_close

LAYERS = {
    "isotropic": lambda: Isotropic(0.7, LAYER),
    "diagonal, other order": lambda: diagonal(dict(reversed(LAYER.items()))),
    "kronecker": kronecker,
    "another kronecker": lambda: kronecker(seed=5),
    "dense": lambda: Dense(definite(8), LAYER, 0.5, 0.1),
    "block": lambda: Block((diagonal({"b": LAYER["b"]}), Isotropic(0.4, {"w": LAYER["w"]}))),
    "block of dense": lambda: Block(
        (Dense(definite(6), {"w": LAYER["w"]}), diagonal({"b": LAYER["b"]}))
    ),
    "sum": lambda: kronecker(seed=8) + diagonal(LAYER),
}


def ordered(precision, names):
    """The dense form in the order of `names`."""
    index = torch.arange(precision.total)
    parts = index.split([shape.numel() for shape in precision.shapes.values()])
    places = dict(zip(precision.shapes, parts, strict=True))
    place = torch.cat([places[name] for name in names])
    return precision.dense()[place][:, place]


@pytest.mark.parametrize(("one", "two"), list(product(LAYERS, repeat=2)))
def test_dense_forms_add(one, two):
    a, b = LAYERS[one](), LAYERS[two]()
    expected = ordered(a, LAYER) + ordered(b, LAYER)
    total = add(a, b)
    close(ordered(total, LAYER), expected)
    close(ordered(a + b, LAYER), expected)
    v = {name: normal(*shape) for name, shape in LAYER.items()}
    solved = torch.linalg.solve(expected, flat(v, LAYER))
    close(flat(total.solve(v), LAYER), solved, rtol=1e-7, atol=1e-9)
    close(ordered(subtract(total, b), LAYER), ordered(a, LAYER))


KINDS = [
    ("isotropic", "isotropic", Isotropic),
    ("isotropic", "diagonal, other order", Diagonal),
    ("isotropic", "kronecker", Kronecker),
    ("isotropic", "dense", Dense),
    ("isotropic", "block", Block),
    ("diagonal, other order", "diagonal, other order", Diagonal),
    ("diagonal, other order", "dense", Dense),
    ("diagonal, other order", "kronecker", Sum),
    ("diagonal, other order", "block", Block),
    ("kronecker", "another kronecker", Sum),
    ("kronecker", "dense", Dense),
    ("block", "block", Block),
    ("block", "kronecker", Sum),
    ("block", "block of dense", Block),
]


@pytest.mark.parametrize(("one", "two", "kind"), KINDS)
def test_closed_where_it_is_closed(one, two, kind):
    assert type(LAYERS[one]() + LAYERS[two]()) is kind
    assert type(LAYERS[two]() + LAYERS[one]()) is kind


def test_blocks_add_part_by_part_so_that_only_what_must_be_a_sum_is_one():
    a = Block((kronecker(), diagonal(REST)))
    b = Block(
        (
            Isotropic(0.5, {"scale": Size([2, 2])}),
            diagonal({"table": Size([5, 2])}),
            kronecker(seed=5),
        )
    )
    total = a + b
    assert isinstance(total, Block)
    kinds = {tuple(part.shapes): type(part) for part in total.parts}
    assert kinds == {("w", "b"): Sum, ("scale",): Diagonal, ("table",): Diagonal}
    close(ordered(total, WIDE), ordered(a, WIDE) + ordered(b, WIDE))


def test_partitions_that_cross_are_joined():
    a = Block((Dense(definite(8), LAYER), diagonal(REST)))
    crossing = {"b": Size([2]), "scale": Size([2, 2])}
    rest = {"w": Size([2, 3]), "table": Size([5, 2])}
    b = Block((Dense(definite(6), crossing), diagonal(rest)))
    total = a + b
    close(ordered(total, WIDE), ordered(a, WIDE) + ordered(b, WIDE))
    close(ordered(pool(a, b), WIDE), ordered(a, WIDE) + ordered(b, WIDE))


def test_multiples_of_one_set_of_factors_stay_one_kronecker():
    layer = kronecker()
    twice = layer + layer.scaled(2.0)
    assert isinstance(twice, Kronecker)
    close(twice.dense(), 3 * layer.dense())
    many = reduce(add, [layer, kronecker(seed=5), layer, diagonal(LAYER), diagonal(LAYER)])
    assert isinstance(many, Sum)
    assert [type(member) for member in many.members] == [Kronecker, Kronecker, Diagonal]


def test_pooling_is_the_same_approximation_over_the_joined_examples():
    one, two = factors(), factors(seed=5)
    pooled = pool(Kronecker(one), Kronecker(two))
    assert isinstance(pooled, Kronecker)
    close(pooled.factors.count, torch.tensor(14.0, dtype=torch.float64))
    expected = torch.kron(one.left[0] + two.left[0], one.right[0] + two.right[0]) / 14
    close(
        pooled.mv({"w": torch.ones(2, 3).double(), "b": torch.ones(2).double()})["b"],
        expected.sum(1)[3::4],
    )
    assert not torch.allclose(pooled.dense(), (Kronecker(one) + Kronecker(two)).dense())
    blocks = [Block((Kronecker(each), diagonal(REST))) for each in (one, two)]
    both = pool(*blocks)
    assert [type(part) for part in both.parts] == [Kronecker, Diagonal]
    close(both.parts[0].dense(), pooled.dense())
    close(ordered(both.restrict(list(REST)), REST), 2 * diagonal(REST).dense())


def test_pooling_the_same_data_twice_doubles_the_precision():
    layer = kronecker(delta=0.0)
    close(pool(layer, layer).dense(), 2 * layer.dense())


def test_factors_of_no_examples_are_a_zero_matrix():
    empty = factors()
    empty = type(empty)("w", "b", empty.shape, empty.left * 0, empty.right * 0, empty.count * 0)
    close(Kronecker(empty, delta=2.0).dense(), 2 * torch.eye(8, dtype=torch.float64))
    close(pool(Kronecker(empty), Kronecker(factors())).dense(), Kronecker(factors()).dense())
    v = {name: normal(*shape) for name, shape in LAYER.items()}
    close(flat(Kronecker(empty, delta=2.0).solve(v), LAYER), flat(v, LAYER) / 2)


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_left_must_be_positive_definite(name):
    with pytest.raises(InputError, match="positive definite, found a least eigenvalue of -"):
        subtract(LAYERS[name](), Isotropic(50.0, LAYER))


def test_other_weights_are_refused():
    with pytest.raises(InputError, match=r"'w' must have the same shape.*\(2, 3\) and \(3, 3\)"):
        add(Isotropic(1.0, LAYER), Isotropic(1.0, {**LAYER, "w": Size([3, 3])}))
    with pytest.raises(InputError, match=r"'table' must have.*found none and \(5, 2\)"):
        pool(Isotropic(1.0, LAYER), Isotropic(1.0, WIDE))
    with pytest.raises(InputError, match=r"factors: must be of the same layer"):
        pool(
            kronecker(), Kronecker(factors(bias=None, weight="w"))
        ) if False else factors() + factors(weight="v")
    with pytest.raises(InputError, match=r"'w' must have one scale in both, found 1.5 and 1"):
        pool(kronecker(), kronecker(scale=1.0))


def test_blocks_and_sums_that_are_none_are_refused():
    with pytest.raises(InputError, match="block: a name belongs to one part.*found none"):
        Block(())
    with pytest.raises(InputError, match=r"block: .*found \['w'\]"):
        Block((kronecker(), Isotropic(1.0, {"w": Size([2, 3])})))
    with pytest.raises(InputError, match="at least two members are expected, found 1"):
        Sum((kronecker(),))


SPECS = [
    (lambda: {"kind": "diagnal"}, "no kind 'diagnal'; did you mean 'diagonal'"),
    (list, "'kind' must be a str, found None"),
    (lambda: {"kind": "diagonal", "names": []}, "at least one name"),
    (lambda: {"kind": "isotropic", "shapes": [["w"]]}, "pairs of name and shape"),
    (lambda: {"kind": "isotropic", "shapes": [["w", [-1]]]}, "a list of sizes"),
    (lambda: kronecker().spec() | {"shape": [3, 3]}, "do not belong to a weight"),
    (lambda: kronecker().spec() | {"bias": 3}, "'bias' must be a name or null"),
    (lambda: kronecker().spec() | {"scale": "1"}, "'scale' must be a float, found '1'"),
    (lambda: Dense(definite(8), LAYER).spec() | {"shapes": [["w", [2]]]}, r"shape \(2, 2\)"),
]


@pytest.mark.parametrize(("spec", "message"), SPECS)
def test_specs_that_are_damaged_are_refused(spec, message):
    tensors = {"value": torch.ones(()), "matrix": definite(8), **kronecker().tensors()}
    with pytest.raises(InputError, match=message):
        precision_from(spec(), tensors)


def test_matrices_must_be_symmetric():
    skew = definite(8) + torch.triu(torch.ones(8, 8))
    with pytest.raises(InputError, match="'matrix' must be symmetric"):
        precision_from(Dense(skew, LAYER).spec(), {"matrix": skew})
