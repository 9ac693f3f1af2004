"""The table of methods: what each promises. The tests hold it, and the page "Merging" shows it."""

from dataclasses import dataclass

from counterpoint.merge.methods import (
    Dare,
    Della,
    FisherMean,
    GaussianProduct,
    GeometricMedian,
    Karcher,
    MergeMethod,
    ModelStock,
    RegMean,
    Sce,
    Slerp,
    TaskArithmetic,
    Ties,
    WeightedMean,
)


@dataclass(frozen=True)
class Row:
    """A method and its promises.

    Attributes:
        name: for `method_of`.
        method: the one that is tested.
        idempotent: equal models give themselves (for task vectors: with scales that say so).
        symmetric: the order of the models, with their weights, does not matter.
        between: at shares 1 and 0 it is one of the models.
        moves: the sum moves along when all models (and the start) are moved by the same.
        graph: gradients reach the inputs.
        paper: where it is from.
    """

    name: str
    method: MergeMethod
    idempotent: bool = True
    symmetric: bool = True
    between: bool = True
    moves: bool = True
    graph: bool = True
    paper: str = ""


TABLE = [
    Row("linear", WeightedMean(), paper="Wortsman et al. 2022"),
    Row("slerp", Slerp(), moves=False, paper="Shoemake 1985"),
    Row("karcher", Karcher(), moves=False, graph=False, paper="Karcher 1977"),
    Row("geometric-median", GeometricMedian(), graph=False, paper="Vardi and Zhang 2000"),
    Row("model-stock", ModelStock(), between=False, paper="Jang et al. 2024"),
    Row("task-arithmetic", TaskArithmetic(), paper="Ilharco et al. 2023"),
    Row("ties", Ties(density=1.0), between=False, paper="Yadav et al. 2023"),
    Row("dare", Dare(), idempotent=False, symmetric=False, between=False, paper="Yu et al. 2024"),
    Row(
        "della", Della(), idempotent=False, symmetric=False, between=False, paper="Deep et al. 2024"
    ),
    Row("sce", Sce(), graph=False, paper="Wan et al. 2024"),
    Row("fisher", FisherMean(), paper="Matena and Raffel 2022"),
    Row("regmean", RegMean(), paper="Jin et al. 2023"),
    Row("gaussian", GaussianProduct(), between=False, graph=False, paper="this library"),
]
