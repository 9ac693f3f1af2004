"""One model of several: layer by layer, by a method, or by what each model knows of its weights.

In go two or more models of one architecture (modules or state dicts) and weights: a number, one a
layer, or rules that choose layers by name. Out comes one model. A layer is the path of a module
that owns tensors; its weight, bias and statistics have their shares in common. λ is the share of
the second model, ``(1 - λ) A + λ B``; ``first=`` says it the other way round.

`layers` numbers the layers of anything, `MergePlan` says what a merge would do and which rule
decides what, `counterpoint.merge.methods` has the methods. What is answered from names and shapes
alone (the table, selectors, schedules, plans) is imported without torch. The room can be called:
``cp.merge([a, b], 0.5)`` is ``merge.merge([a, b], 0.5)``.

>>> import torch
>>> import counterpoint as cp
>>> a, b = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
>>> both = cp.merge([a, b], 0.25)
>>> torch.equal(both.bias, a.bias.lerp(b.bias, 0.25))
True
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from counterpoint.merge._entries import Policy, TensorEntry
from counterpoint.merge._layers import Layer, Layers, tabulate
from counterpoint.merge._plan import Covered, MergePlan, Weights
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge._schedules import Jump, Knots, Ramp, WeightSchedule, read_weight
from counterpoint.merge._table import layers

if TYPE_CHECKING:
    from counterpoint.merge._averages import RunningAverage
    from counterpoint.merge._evidence import input_grams
    from counterpoint.merge._lora import lora_factors, lora_products
    from counterpoint.merge._merge import MergeWarning, merge
    from counterpoint.merge._path import MergePath, ModelScore, path, score_by
    from counterpoint.merge._refit import refit
    from counterpoint.merge._search import MergeSearch, search
    from counterpoint.merge._soup import Soup, greedy_soup
    from counterpoint.merge.alignment import Alignment, Units, align

__all__ = [
    "METHODS",
    "Alignment",
    "Covered",
    "Facts",
    "Jump",
    "Knots",
    "Layer",
    "Layers",
    "MergePath",
    "MergePlan",
    "MergeSearch",
    "MergeWarning",
    "ModelScore",
    "Policy",
    "Ramp",
    "RunningAverage",
    "Soup",
    "TensorEntry",
    "Units",
    "WeightSchedule",
    "Weights",
    "align",
    "greedy_soup",
    "input_grams",
    "layers",
    "lora_factors",
    "lora_products",
    "merge",
    "path",
    "read_weight",
    "refit",
    "score_by",
    "search",
    "tabulate",
]

_HOMES = {
    "Alignment": "alignment",
    "MergePath": "_path",
    "MergeSearch": "_search",
    "MergeWarning": "_merge",
    "ModelScore": "_path",
    "RunningAverage": "_averages",
    "Soup": "_soup",
    "Units": "alignment",
    "align": "alignment",
    "greedy_soup": "_soup",
    "input_grams": "_evidence",
    "lora_factors": "_lora",
    "lora_products": "_lora",
    "merge": "_merge",
    "path": "_path",
    "refit": "_refit",
    "score_by": "_path",
    "search": "_search",
}
"""What needs torch, and is imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.merge(*arguments, **options)


# `cp.merge` is this module once it is imported, and the verb that people look for: it is both
sys.modules[__name__].__class__ = _Callable
