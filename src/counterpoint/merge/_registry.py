"""The methods by name, with what a plan must know of each; read without torch."""

from dataclasses import dataclass

from counterpoint.errors import one_of


@dataclass(frozen=True)
class Facts:
    """What a method is like, before any tensor is read.

    Attributes:
        scales: its weights scale each model's part; else they are shares, which sum to one.
        base: it merges what models learnt since a common start, and needs that.
        elementwise: an entry of the result depends on no other entry: pieces of a tensor do.
        surveys: it must see all tensors once before it merges one.
        evidence: what it is told of each model beside the weights, in words; empty if nothing.
        models: how many it takes; 0 for any number.
    """

    scales: bool = False
    base: bool = False
    elementwise: bool = False
    surveys: bool = False
    evidence: str = ""
    models: int = 0


_TASKS = Facts(scales=True, base=True)

METHODS: dict[str, Facts] = {
    "linear": Facts(elementwise=True),
    "slerp": Facts(models=2),
    "karcher": Facts(),
    "geometric-median": Facts(),
    "model-stock": Facts(base=True),
    "task-arithmetic": Facts(scales=True, base=True, elementwise=True),
    "ties": Facts(scales=True, base=True, surveys=True),
    "dare": _TASKS,
    "della": _TASKS,
    "sce": _TASKS,
    "fisher": Facts(elementwise=True, surveys=True, evidence="a Fisher diagonal by weight name"),
    "regmean": Facts(evidence="the Gram matrix of a layer's inputs by the name of its weight"),
    "gaussian": Facts(scales=True, surveys=True, evidence="a Gaussian over named weights"),
}
"""Name -> what the method is like; the classes are in `counterpoint.merge.methods`."""


def facts(name: str) -> Facts:
    """The row of a method, in whatever case.

    Raises:
        InputError: no method has the name (says the nearest).
    """
    return METHODS[one_of("method", name, METHODS)]
