"""Methods of merging: from one tensor of several models to one.

In go the tensors, one number for each (shares that sum to one, or scales of what each has learnt),
and what a method needs beside them; out comes one tensor. `Facts` say what a method is like, so
that a plan, a stream of pieces or a command need not ask which one it is.

>>> import torch
>>> method_of("linear").merge([torch.zeros(1), torch.ones(1)], (0.25, 0.75), MergedTensor("w"))
tensor([0.7500])
"""

from counterpoint.errors import InputError, one_of
from counterpoint.merge._registry import METHODS, Facts, facts
from counterpoint.merge.methods._linear import WeightedMean
from counterpoint.merge.methods._method import (
    Evidence,
    MergedTensor,
    MergeInputs,
    MergeMethod,
    evidence_of,
)
from counterpoint.merge.methods._task_arithmetic import TaskArithmetic

__all__ = [
    "METHODS",
    "Evidence",
    "Facts",
    "MergeInputs",
    "MergeMethod",
    "MergedTensor",
    "TaskArithmetic",
    "WeightedMean",
    "evidence_of",
    "facts",
    "method_of",
]

_CLASSES: dict[str, type[MergeMethod]] = {
    "linear": WeightedMean,
    "task-arithmetic": TaskArithmetic,
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
