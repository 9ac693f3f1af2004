"""A row for each structure: it inherits the tests of `Conformance`."""

import pytest
import torch

from counterpoint.gaussian import Block, Dense, Factors, Isotropic, Kronecker, Sum
from counterpoint.gaussian import _state as state
from gaussian.cases import LAYER, REST, THIN, WIDE, definite, diagonal, kronecker
from gaussian.conformance import Conformance
from gaussian.rowwise import RowWise


class TestIsotropic(Conformance):
    def make(self):
        return Isotropic(1.7, WIDE)


class TestDiagonal(Conformance):
    def make(self):
        return diagonal(WIDE)


class TestDiagonalOfANumber(Conformance):
    """A weight without dimensions, one of one row, one of one column."""

    def make(self):
        return diagonal({**LAYER, **THIN})


class TestIsotropicOfANumber(Conformance):
    def make(self):
        return Isotropic(1.7, {**LAYER, **THIN})


class TestDenseOfANumber(Conformance):
    def make(self):
        return Dense(definite(14), {**LAYER, **THIN})


class TestBlockOfANumber(Conformance):
    whole_layers = True

    def make(self):
        return Block((diagonal(THIN), kronecker()))


class TestKroneckersOfOneOutputAndOfOneInput(Conformance):
    whole_layers = True

    def make(self):
        count = torch.tensor(7.0, dtype=torch.float64)
        sides = {"row": (definite(1), definite(3)), "column": (definite(2), definite(1))}
        layers = [
            Kronecker(Factors(name, None, THIN[name], left[None], right[None], count), 1.5, 0.3)
            for name, (left, right) in sides.items()
        ]
        return Block((kronecker(), *layers, diagonal({"gain": THIN["gain"]})))


class TestKronecker(Conformance):
    whole_layers = True

    def make(self):
        return kronecker()


class TestKroneckerOfGroups(Conformance):
    groups = 2
    whole_layers = True

    def make(self):
        return kronecker(groups=2)


class TestKroneckerWithoutBias(Conformance):
    def make(self):
        return kronecker(bias=None)

    def subsets(self, precision):
        return [["w"]]


class TestDense(Conformance):
    def make(self):
        return Dense(definite(22), WIDE, 1.5, 0.2)


class TestDenseOfOneLayer(Conformance):
    """The shape of a last layer: pulled without a Jacobian."""

    def make(self):
        return Dense(definite(8), LAYER)


class TestBlock(Conformance):
    whole_layers = True

    def make(self):
        return Block((diagonal(REST), kronecker()))


class TestBlockOfBlocks(Conformance):
    def make(self):
        last = Block((Isotropic(0.7, {"scale": REST["scale"]}),))
        return Block((Block((Dense(definite(8), LAYER), last)), diagonal({"table": REST["table"]})))


class TestSumOfKroneckers(Conformance):
    leading = False
    draws = 300

    def make(self):
        return Sum((kronecker(), kronecker(seed=5)))


class TestSumOfKroneckersAndADiagonal(Conformance):
    groups = 2
    leading = False
    draws = 300

    def make(self):
        members = (kronecker(2), kronecker(2, seed=5, scale=0.5), diagonal(kronecker(2).shapes))
        return Sum(members)


class TestBlockWithASum(Conformance):
    leading = False
    draws = 300

    def make(self):
        return Block((Sum((kronecker(), diagonal(LAYER))), diagonal(REST)))


class TestANewStructure(Conformance):
    """What CONTRIBUTING says is enough, is."""

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch):
        monkeypatch.setitem(state._KINDS, "row-wise", RowWise.read)

    def make(self):
        return RowWise.of(diagonal(WIDE).values)
