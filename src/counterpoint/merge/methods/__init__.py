"""Methods of merging: from one tensor of several models to one.

In go the tensors, one number for each (shares that sum to one, or scales of what each has learnt),
and what a method needs beside them; out comes one tensor. `Facts` say what a method is like, so
that a plan, a stream of pieces or a command need not ask which one it is.

>>> import torch
>>> method_of("linear").merge([torch.zeros(1), torch.ones(1)], (0.25, 0.75), MergedTensor("w"))
tensor([0.7500])
"""

from counterpoint.errors import InputError, one_of
from counterpoint.merge._registry import METHODS
from counterpoint.merge.methods._dare import Dare
from counterpoint.merge.methods._della import Della
from counterpoint.merge.methods._fisher import FisherMean
from counterpoint.merge.methods._gaussian import GaussianProduct, product
from counterpoint.merge.methods._geometric_median import GeometricMedian
from counterpoint.merge.methods._karcher import Karcher
from counterpoint.merge.methods._linear import WeightedMean
from counterpoint.merge.methods._method import (
    Evidence,
    MergedTensor,
    MergeInputs,
    MergeMethod,
    evidence_of,
)
from counterpoint.merge.methods._model_stock import ModelStock
from counterpoint.merge.methods._regmean import RegMean
from counterpoint.merge.methods._sce import Sce
from counterpoint.merge.methods._slerp import Slerp
from counterpoint.merge.methods._task_arithmetic import TaskArithmetic
from counterpoint.merge.methods._ties import Ties

__all__ = [
    "Dare",
    "Della",
    "Evidence",
    "FisherMean",
    "GaussianProduct",
    "GeometricMedian",
    "Karcher",
    "MergeInputs",
    "MergeMethod",
    "MergedTensor",
    "ModelStock",
    "RegMean",
    "Sce",
    "Slerp",
    "TaskArithmetic",
    "Ties",
    "WeightedMean",
    "evidence_of",
    "method_of",
    "product",
]

_CLASSES: dict[str, type[MergeMethod]] = {
    "linear": WeightedMean,
    "slerp": Slerp,
    "karcher": Karcher,
    "geometric-median": GeometricMedian,
    "model-stock": ModelStock,
    "task-arithmetic": TaskArithmetic,
    "ties": Ties,
    "dare": Dare,
    "della": Della,
    "sce": Sce,
    "fisher": FisherMean,
    "regmean": RegMean,
    "gaussian": GaussianProduct,
}


def method_of(chosen: str | MergeMethod) -> MergeMethod:
    """The method of a name, with its defaults; a method itself passes through.

    Raises:
        InputError: no method has this name (says the nearest).
    """
    if isinstance(chosen, MergeMethod):
        return chosen
    if not isinstance(chosen, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"method: expected a name such as 'linear', or a method, found {chosen!r}")
    return _CLASSES[one_of("method", chosen, METHODS)]()
