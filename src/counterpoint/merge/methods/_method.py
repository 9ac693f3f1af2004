"""What every method of merging answers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.gaussian import Gaussian, Precision
from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import Facts

Evidence: TypeAlias = Mapping[str, Tensor] | Precision | Gaussian
"""What is known of a model beside its weights: tensors by its weights' names, or a Gaussian."""


@dataclass(frozen=True)
class MergedTensor:
    """Which tensor is merged, and what is known of it beside the inputs.

    Attributes:
        name: its full name: what is random is drawn by it, so that order does not matter.
        base: the common start, of the inputs' shape; none where there is none.
        evidence: one tensor an input, for methods that are told more than the weights; none where
            nothing is known of this tensor.
    """

    name: str
    base: Tensor | None = None
    evidence: Sequence[Tensor] | None = None


@runtime_checkable
class MergeInputs(Protocol):
    """All tensors that are merged, read when they are asked for."""

    def names(self) -> Sequence[str]:
        """Of the tensors that the method merges, in the table's order."""
        ...

    def tensors(self, name: str) -> Sequence[Tensor]:
        """One an input."""
        ...

    def base(self, name: str) -> Tensor | None:
        """The common start."""
        ...

    def coefficients(self) -> Mapping[str, tuple[Coefficient, ...]]:
        """By name, one number an input."""
        ...

    def evidence(self) -> Sequence[Evidence]:
        """One an input, for methods that are told more than the weights."""
        ...


class MergeMethod(ABC):
    """A pure function of the inputs' tensors; a frozen dataclass whose fields are its settings."""

    facts: ClassVar[Facts]

    def read(self, evidence: Sequence[Evidence]) -> Sequence[Evidence]:
        """What is known of each model, in the form in which `merge` is told of it."""
        return evidence

    def surveyed(self, inputs: MergeInputs) -> "MergeMethod":  # noqa: ARG002
        """The method that has seen all tensors once, where it must (`Facts.surveys`)."""
        return self

    @abstractmethod
    def merge(
        self, tensors: Sequence[Tensor], coefficients: Sequence[Coefficient], about: MergedTensor
    ) -> Tensor:
        """One tensor of all inputs', of their shape; of a piece where the method is elementwise.

        Args:
            tensors: one an input, of one shape; any floating types.
            coefficients: one number an input, or tensors that broadcast.
            about: which tensor it is.

        Returns:
            In the type in which it was computed (`compute_type`), with the inputs' graph.
        """


def compute_type(tensors: Sequence[Tensor]) -> torch.dtype:
    """The widest of the tensors' types, and float32 at least: half precision only at rest."""
    widest = tensors[0].dtype
    for tensor in tensors[1:]:
        widest = torch.promote_types(widest, tensor.dtype)
    return torch.promote_types(widest, torch.float32)


def task_vectors(tensors: Sequence[Tensor], about: MergedTensor) -> tuple[Tensor, list[Tensor]]:
    """The common start, and what each input has learnt since, in the type of the computation."""
    if about.base is None:
        # the merge has refused this before, with the method's name
        raise ValueError(about.name)
    wide = compute_type([*tensors, about.base])
    base = about.base.to(wide)
    return base, [tensor.to(wide) - base for tensor in tensors]


def sign_agreed(
    vectors: Sequence[Tensor], coefficients: Sequence[Coefficient]
) -> tuple[list[Tensor], Tensor]:
    """Scaled vectors without the entries that oppose their sum, and how many agree, at least 1.

    Where entries balance exactly there is no sign, and nothing is left (Yadav et al. 2023,
    section 3, step 2).
    """
    pairs = zip(vectors, coefficients, strict=True)
    scaled = [vector * scale for vector, scale in pairs]
    total = torch.stack(scaled).sum(0)
    agreed = [vector * total > 0 for vector in scaled]
    kept = [
        torch.where(keep, v, torch.zeros_like(v)) for v, keep in zip(scaled, agreed, strict=True)
    ]
    return kept, torch.stack(agreed).sum(0).clamp_min(1)


def evidence_of(name: str, told: Sequence[Evidence]) -> list[Tensor] | None:
    """One tensor an input; none where nobody knows anything of this one.

    Raises:
        InputError: some inputs know it and some do not.
    """
    maps = [each for each in told if isinstance(each, Mapping)]
    found = [each[name] for each in maps if name in each]
    if found and len(found) < len(told):
        place = next(i for i, each in enumerate(maps, 1) if name not in each)
        raise InputError(f"evidence {place} says nothing of {name!r}, and another one does")
    return found or None
