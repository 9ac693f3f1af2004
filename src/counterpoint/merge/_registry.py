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
    """

    scales: bool = False
    base: bool = False
    elementwise: bool = False
    surveys: bool = False
    evidence: str = ""


METHODS: dict[str, Facts] = {
    "linear": Facts(elementwise=True),
    "task-arithmetic": Facts(scales=True, base=True, elementwise=True),
}
"""Name -> what the method is like; the classes are in `counterpoint.merge.methods`."""


def facts(name: str) -> Facts:
    """The row of a method, in whatever case.

    Raises:
        InputError: no method has the name (says the nearest).
    """
    return METHODS[one_of("method", name, METHODS)]
