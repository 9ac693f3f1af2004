"""Curvature of a softmax last layer in its eigenbasis: dense, or a Kronecker product.

Both answer the same questions for any prior precision ``α`` without a new decomposition:
``(H + αI)⁻¹ v``, ``log det(H + αI)``, covariances of logits, and draws of weights. They order
weights as ``vec(V')``, contrast by contrast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float64
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.posterior.multinomial import Multinomial

__all__ = ["Dense", "Kronecker", "Structure", "structure_from"]


@dataclass(frozen=True)
class Dense:
    """``H = U diag(d) U'`` in full.

    Attributes:
        values: ``d``.
        vectors: ``U``, rows contrast by contrast.
        width: features + 1.
    """

    values: Float64[Tensor, " total"]
    vectors: Float64[Tensor, "total total"]
    width: int

    @classmethod
    def of(cls, rows: Multinomial, probabilities: Float64[Tensor, "rows classes"]) -> "Dense":
        """The exact curvature at class probabilities."""
        values, vectors = torch.linalg.eigh(rows.curvature(probabilities))
        return cls(values.clamp_min(0), vectors, rows.design.shape[1])

    @property
    def name(self) -> str:
        """``"dense"``."""
        return "dense"

    @property
    def eigenvalues(self) -> Float64[Tensor, " total"]:
        """``d``."""
        return self.values

    def solve(
        self, vector: Float64[Tensor, "width contrasts"], prior: float
    ) -> Float64[Tensor, "width contrasts"]:
        """``(H + αI)⁻¹ vector``."""
        flat = self.vectors.T @ vector.T.reshape(-1)
        solved = self.vectors @ (flat / (self.values + prior))
        return solved.view(-1, self.width).T

    def covariance(
        self, design: Float64[Tensor, "rows width"], prior: float
    ) -> Float64[Tensor, "rows contrasts contrasts"]:
        """``φ' S_ab φ`` for each pair of contrasts, ``S`` the posterior covariance.

        Formed from a square root, so it is positive semidefinite to rounding.
        """
        count = self.vectors.shape[0] // self.width
        root = (self.vectors / (self.values + prior).sqrt()).view(count, self.width, -1)
        if count == 1:
            return (design @ root[0]).square().sum(1)[:, None, None]
        full = torch.einsum("aik,bjk->abij", root, root)
        result = design.new_empty(design.shape[0], count, count)
        for first in range(count):
            for second in range(first + 1):
                entry = ((design @ full[first, second]) * design).sum(1)
                result[:, first, second] = result[:, second, first] = entry
        return result

    def draws(
        self, unit: Float64[Tensor, "draws width contrasts"], prior: float
    ) -> Float64[Tensor, "draws width contrasts"]:
        """``U (d + α)^(-1/2) unit``."""
        flat = unit.reshape(unit.shape[0], -1) / (self.values + prior).sqrt()
        return (flat @ self.vectors.T).view(unit.shape[0], -1, self.width).transpose(1, 2)

    def state(self) -> dict[str, Tensor]:
        """Eigenvalues and eigenvectors."""
        return {"values": self.values, "vectors": self.vectors}


@dataclass(frozen=True)
class Kronecker:
    """``H ≈ A ⊗ G``, factors and trace as in `Multinomial.factors`.

    The factorisation of Martens & Grosse (2015), rows weighted by the trace of their ``Λ``; exact
    while all rows have the same probabilities.

    Attributes:
        class_values: eigenvalues of ``A``.
        class_vectors: eigenvectors of ``A``.
        feature_values: eigenvalues of ``G``.
        feature_vectors: eigenvectors of ``G``.
    """

    class_values: Float64[Tensor, " contrasts"]
    class_vectors: Float64[Tensor, "contrasts contrasts"]
    feature_values: Float64[Tensor, " width"]
    feature_vectors: Float64[Tensor, "width width"]

    @classmethod
    def of(cls, rows: Multinomial, probabilities: Float64[Tensor, "rows classes"]) -> "Kronecker":
        """The factors at class probabilities."""
        (a, u), (g, v) = (torch.linalg.eigh(factor) for factor in rows.factors(probabilities))
        return cls(a.clamp_min(0), u, g.clamp_min(0), v)

    @property
    def name(self) -> str:
        """``"kronecker"``."""
        return "kronecker"

    @property
    def eigenvalues(self) -> Float64[Tensor, " total"]:
        """All products of the factors' eigenvalues."""
        return torch.outer(self.feature_values, self.class_values).reshape(-1)

    def solve(
        self, vector: Float64[Tensor, "width contrasts"], prior: float
    ) -> Float64[Tensor, "width contrasts"]:
        """``(H + αI)⁻¹ vector``."""
        turned = self.feature_vectors.T @ vector @ self.class_vectors
        solved = turned / (self._table() + prior)
        return self.feature_vectors @ solved @ self.class_vectors.T

    def covariance(
        self, design: Float64[Tensor, "rows width"], prior: float
    ) -> Float64[Tensor, "rows contrasts contrasts"]:
        """``Q diag(v) Q'`` with ``v_c = Σ_i (φ'u_i)²/(g_i a_c + α)``."""
        spread = (design @ self.feature_vectors).square() @ (1 / (self._table() + prior))
        turned = self.class_vectors * spread[:, None, :]
        return turned @ self.class_vectors.T

    def draws(
        self, unit: Float64[Tensor, "draws width contrasts"], prior: float
    ) -> Float64[Tensor, "draws width contrasts"]:
        """``U_G unit (g a' + α)^(-1/2) U_A'``."""
        scaled = unit / (self._table() + prior).sqrt()
        return self.feature_vectors @ scaled @ self.class_vectors.T

    def state(self) -> dict[str, Tensor]:
        """Eigenvalues and eigenvectors of both factors."""
        return {
            "class_values": self.class_values,
            "class_vectors": self.class_vectors,
            "feature_values": self.feature_values,
            "feature_vectors": self.feature_vectors,
        }

    def _table(self) -> Float64[Tensor, "width contrasts"]:
        return torch.outer(self.feature_values, self.class_values)


Structure: TypeAlias = Dense | Kronecker
"""Either; code above asks only what both answer."""


def structure_from(state: Mapping[str, Tensor], width: int, count: int) -> Structure:
    """The structure that its own `state` wrote.

    Args:
        state: its tensors, other names are passed over.
        width: features + 1.
        count: classes - 1.

    Raises:
        InputError: tensors are missing, of other shapes, not finite, or eigenvalues negative.
    """
    total = width * count
    if "vectors" in state:
        shapes = {"values": (total,), "vectors": (total, total)}
    else:
        shapes = {
            "class_values": (count,),
            "class_vectors": (count, count),
            "feature_values": (width,),
            "feature_vectors": (width, width),
        }
    tensors: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        tensors[name] = _checked(state, name, shape)
    return Dense(**tensors, width=width) if "vectors" in tensors else Kronecker(**tensors)


def _checked(state: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    if name not in state or state[name].dtype != torch.float64 or state[name].shape != shape:
        found = f"{state[name].dtype} {tuple(state[name].shape)}" if name in state else "none"
        raise InputError(f"softmax: {name!r} must be float64 of shape {shape}, found {found}")
    tensor = state[name]
    if not bool(torch.isfinite(tensor).all()) or ("values" in name and bool((tensor < 0).any())):
        raise InputError(f"softmax: {name!r} must be finite, eigenvalues at least 0")
    return tensor.clone()
