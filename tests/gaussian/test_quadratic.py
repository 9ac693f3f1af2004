"""Any number of quadratics are one, whatever is known of which weights."""

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.gaussian import (
    Block,
    Dense,
    Diagonal,
    Factors,
    Gaussian,
    Kronecker,
    Quadratic,
    Sum,
)

close = torch.testing.assert_close
numbers = st.integers(-8, 8).map(lambda n: n / 2)
# zeros: of some weights a task knows nothing
precisions = st.sampled_from([0.0, 0.0, 1e-9, 0.5, 3.0, 1e6])


three = st.tuples(*[numbers] * 3)
diagonals = st.tuples(three, st.tuples(*[precisions] * 3))
singular = st.tuples(three, st.lists(three, min_size=1, max_size=2))
sequences = st.one_of(st.lists(kind, min_size=1, max_size=4) for kind in (diagonals, singular))
few = settings(max_examples=20)


def tensor(found):
    return torch.tensor(found, dtype=torch.float64)


def gaussian(found):
    """A mean, and the precisions of independent weights or a root of a matrix of low rank."""
    mean, values = (tensor(each) for each in found)
    if isinstance(found[1], list):
        return Gaussian({"w": mean}, Dense(values.T @ values, {"w": mean.shape}))
    return Gaussian({"w": mean}, Diagonal({"w": values}))


def summed(parts):
    one = parts[0].quadratic
    for part in parts[1:]:
        one = (one.around(part.mean) + part.quadratic).settled()
    return one


@few
@given(sequences, three)
def test_the_sum_of_energies(found, place):
    parts, weight = [gaussian(each) for each in found], tensor(place).requires_grad_()
    one = summed(parts)
    wanted = sum(part.energy({"w": weight}) for part in parts)
    close(one.energy({"w": weight}), wanted, rtol=1e-12, atol=1e-9)
    (slope,) = torch.autograd.grad(wanted, [weight])
    close(one.gradient({"w": weight})["w"], slope, rtol=1e-12, atol=1e-9)
    into = torch.ones(3).double()
    one.add_gradient([weight], [into], 0.5)
    close(into, 1 + slope / 2, rtol=1e-12, atol=1e-9)


@few
@given(st.lists(diagonals, min_size=2, max_size=4), st.permutations(range(4)), three)
def test_the_order_of_tasks_does_not_matter(found, order, place):
    parts = [gaussian(each) for each in found]
    ones = [summed(parts), summed([parts[i] for i in order if i < len(parts)])]
    assert all(one.slope is None for one in ones)
    values = [one.energy({"w": tensor(place)}) for one in ones]
    close(*values, rtol=1e-12, atol=1e-9)


@few
@given(sequences, three, st.sampled_from([0.25, 0.5, 1.0]))
def test_multiples_scale_and_states_are_read_back_to_the_bit(found, place, keep):
    one, where = summed([gaussian(each) for each in found]), {"w": tensor(place)}
    less = one.scaled(keep)
    close(less.energy(where), keep * one.energy(where), rtol=1e-13, atol=0)
    again = Quadratic.read(less.spec(), less.tensors())
    assert torch.equal(again.energy(where), less.energy(where))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def kronecker(outputs, inputs, bias=True):
    left, right = normal(1, outputs, outputs), normal(1, inputs + bias, inputs + bias, seed=1)
    name = "b" if bias else None
    shape = torch.Size([outputs, inputs])
    count = torch.tensor(5.0, dtype=torch.float64)
    return Kronecker(Factors("w", name, shape, left @ left.mT, right @ right.mT, count))


def corner(vector, shapes):
    return {n: vector[n][tuple(map(slice, shape))] for n, shape in shapes.items()}


def test_old_parts_keep_their_precision_and_new_ones_have_none():
    shapes = {"w": torch.Size([4, 3]), "b": torch.Size([4])}
    vector = {"w": normal(4, 3), "b": normal(4, seed=1)}
    layer, small = kronecker(2, 2), {"w": torch.Size([2, 2]), "b": torch.Size([2])}
    diagonal = Diagonal({"w": normal(2, 2).square(), "b": normal(2).square()})
    dense = Dense(layer.dense(), small)
    blocks = Block((Diagonal({"w": normal(2, 2).square()}), Diagonal({"b": normal(2).square()})))
    for old in (layer, diagonal, dense, blocks, layer + diagonal, kronecker(2, 2).shift(0.0)):
        found, wanted = old.widened(shapes).mv(vector), old.mv(corner(vector, small))
        for name in shapes:
            kept = corner(found, small)[name]
            close(kept, wanted[name])
            # nothing reaches what is new
            close(found[name].abs().sum(), kept.abs().sum())


def test_new_names_keep_the_structure_of_the_new():
    old, head = kronecker(2, 2), Diagonal({"v": torch.ones(2).double()})
    new = Block((kronecker(2, 2), head))
    layer, rest = (old.widened(new.shapes) + new).parts
    assert isinstance(layer, Sum)
    close(layer.dense(), 2 * old.dense())
    close(rest.diagonal(), head.diagonal())
    # a layer that was not there stays a Kronecker product, to be pooled with later
    other = replace(old.factors, weight="v", bias="c")
    both = old.widened(old.shapes | other.shapes) + Block((kronecker(2, 2), Kronecker(other)))
    assert [type(part) for part in both.parts] == [Sum, Kronecker]
    small, big = Diagonal({"w": torch.ones(2)}), {"w": torch.ones(3), "v": torch.ones(1)}
    wide = small.widened({name: value.shape for name, value in big.items()})
    close((wide + Diagonal(big)).diagonal(), {"w": torch.tensor([2.0, 2, 1]), "v": torch.ones(1)})


@few
@given(sequences, three, three)
def test_another_centre_is_the_same_function(found, centre, place):
    one = summed([gaussian(each) for each in found])
    moved, where = one.around({"w": tensor(centre)}), {"w": tensor(place)}
    close(moved.energy(where), one.energy(where), rtol=1e-9, atol=1e-6)
    assert torch.equal(moved.centre["w"], tensor(centre))
