"""A row for each structure: it inherits the tests of `Conformance`."""

from counterpoint.gaussian import Block, Dense, Isotropic, Sum
from gaussian.cases import LAYER, REST, WIDE, definite, diagonal, kronecker
from gaussian.conformance import Conformance


class TestIsotropic(Conformance):
    def make(self):
        return Isotropic(1.7, WIDE)


class TestDiagonal(Conformance):
    def make(self):
        return diagonal(WIDE)


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
