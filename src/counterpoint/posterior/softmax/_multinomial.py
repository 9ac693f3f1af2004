r"""The multinomial logistic likelihood of a linear last layer, in float64.

Class logits have one direction too many: adding the same number to all leaves the probabilities
as they are. Weights are therefore held in ``C − 1`` orthonormal contrasts between classes,
``W = V B'`` with ``B'B = I`` and ``B'1 = 0``. A prior ``N(0, I/α)`` on ``V`` gives the same
optimum as on ``W``, every direction that is left can be learned, and two classes need one vector.

With ``p = softmax(φ'V B')`` and ``Λ = diag(p) − p p'`` the curvature is
``H = Σ w (B'ΛB) ⊗ φφ'``: for a linear layer the generalised Gauss-Newton matrix, the Fisher
matrix and the Hessian are one. As a precision it is of one weight, contrasts by width.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from counterpoint.gaussian import Dense, Factors, Kronecker, LayerJacobian
from counterpoint.posterior._rows import blocks
from counterpoint.seeding import generator

WEIGHT = "weight"
"""The name of the weights in contrasts, ``V'``, as a precision knows them."""


def contrasts(classes: int) -> Float64[Tensor, "classes contrasts"]:
    """Orthonormal contrasts between classes (Helmert): ``B'B = I``, ``B'1 = 0``.

    >>> (contrasts(2).squeeze() * 2**0.5).round()
    tensor([ 1., -1.], dtype=torch.float64)
    """
    result = torch.zeros(classes, classes - 1, dtype=torch.float64)
    for j in range(1, classes):
        result[:j, j - 1] = (j * (j + 1)) ** -0.5
        result[j, j - 1] = -((j / (j + 1)) ** 0.5)
    return result


def jacobian(design: Float64[Tensor, "rows width"], classes: int) -> list[LayerJacobian]:
    """Of the logits of all classes by the weights in contrasts: ``B ⊗ φ'`` for each row."""
    deltas = contrasts(classes)[:, None, None].expand(design.shape[0], -1, 1, 1, -1)
    return [LayerJacobian(WEIGHT, None, design[:, None, None], deltas)]


@dataclass(frozen=True)
class Multinomial:
    """Rows of a categorical target, and their log likelihood with its derivatives.

    Attributes:
        design: features with a column of ones appended.
        labels: class of each row, from 0.
        weight: of each row, as repetition.
        basis: `contrasts`.
    """

    design: Float64[Tensor, "rows width"]
    labels: Int64[Tensor, " rows"]
    weight: Float64[Tensor, " rows"]
    basis: Float64[Tensor, "classes contrasts"]

    def logits(
        self, weights: Float64[Tensor, "width contrasts"]
    ) -> Float64[Tensor, "rows classes"]:
        """``Φ V B'``, which sum to zero over the classes."""
        return (self.design @ weights) @ self.basis.T

    def log_likelihood(self, logits: Float64[Tensor, "rows classes"]) -> float:
        """``Σ w log softmax(logits)[label]``."""
        chosen = logits.gather(1, self.labels[:, None]).squeeze(1) - logits.logsumexp(1)
        return float(self.weight @ chosen)

    def gradient(
        self, probabilities: Float64[Tensor, "rows classes"]
    ) -> Float64[Tensor, "width contrasts"]:
        """``Φ' W (onehot(labels) − p) B``."""
        residual = -probabilities
        # onehot(label) - p without the onehot
        residual.scatter_add_(1, self.labels[:, None], torch.ones_like(residual[:, :1]))
        # contrasts first: a column less to multiply, and of two classes a vector
        return self.design.T @ ((residual * self.weight[:, None]) @ self.basis)

    def product(
        self,
        probabilities: Float64[Tensor, "rows classes"],
        direction: Float64[Tensor, "width contrasts"],
    ) -> Float64[Tensor, "width contrasts"]:
        """``H direction``, by two products with the rows."""
        moved = probabilities * self.logits(direction)
        # Λ v = p∘v - p (p'v): never a matrix a row
        moved -= probabilities * moved.sum(1, keepdim=True)
        return self.design.T @ ((moved * self.weight[:, None]) @ self.basis)

    def curvature(
        self, probabilities: Float64[Tensor, "rows classes"]
    ) -> Float64[Tensor, "total total"]:
        """``H`` as a matrix over ``vec(V')``: contrast by contrast, ``total = (C − 1) width``."""
        count, width = self.basis.shape[1], self.design.shape[1]
        result = self.design.new_zeros(count, width, count, width)
        for rows in blocks(len(self.labels)):
            phi = self.design[rows]
            local = self._local(probabilities[rows], rows)
            for first in range(count):
                scaled = local[:, first, : first + 1, None] * phi[:, None, :]
                block = phi.T @ scaled.reshape(len(phi), -1)
                result[first, :, : first + 1] += block.view(width, first + 1, width)
        # symmetric in the contrasts: half of the blocks are transposes of the others
        for first in range(count):
            for second in range(first):
                result[second, :, first] = result[first, :, second].T
        total = result.reshape(count * width, count * width)
        return (total + total.T) / 2

    def factors(
        self, probabilities: Float64[Tensor, "rows classes"]
    ) -> tuple[Float64[Tensor, "contrasts contrasts"], Float64[Tensor, "width width"]]:
        """Factors ``A = Σ w B'ΛB``, ``G = Σ w tr(Λ) φφ'`` of ``H tr A`` and its trace."""
        # the trace of Λ: rows count by what they can teach
        taught = self.weight * (1 - probabilities.square().sum(1))
        weighted = probabilities * self.weight[:, None]
        spread = weighted.sum(0).diag() - probabilities.T @ weighted
        gram = self.design.T @ (self.design * taught[:, None])
        return self.basis.T @ spread @ self.basis, (gram + gram.T) / 2

    def dense(self, probabilities: Float64[Tensor, "rows classes"]) -> Dense:
        """`curvature` as a precision."""
        return Dense(self.curvature(probabilities), {WEIGHT: self._shape})

    def kronecker(self, probabilities: Float64[Tensor, "rows classes"]) -> Kronecker:
        """`factors` as a precision (Martens & Grosse 2015), rows weighted by the trace of ``Λ``."""
        # exact while all rows have the same probabilities
        left, right = self.factors(probabilities)
        # what the rows teach in all, ``Σ w tr Λ``, is their count: sums over old and new rows add
        taught = right[-1, -1].clamp_min(torch.finfo(torch.float64).tiny)
        return Kronecker(Factors(WEIGHT, None, self._shape, left[None], right[None], taught))

    @property
    def _shape(self) -> torch.Size:
        return torch.Size([self.basis.shape[1], self.design.shape[1]])

    def sampled(
        self, probabilities: Float64[Tensor, "rows classes"], draws: int
    ) -> tuple["Multinomial", Float64[Tensor, "part classes"]]:
        """Some rows, drawn by what they can teach, whose curvature is ``H`` on average.

        Returns:
            The rows, weighted by how often and against what odds they were drawn, and their
            class probabilities. The same rows each time: the draws have a generator of their own.
        """
        taught = self.weight * (1 - probabilities.square().sum(1))
        odds = taught.clamp_min(torch.finfo(torch.float64).tiny).cumsum(0)
        # by what they can teach, and reweighted by one over it: importance sampling, unbiased
        uniform = torch.rand(draws, generator=generator(0), dtype=torch.float64) * odds[-1]
        drawn = torch.searchsorted(odds, uniform).clamp_max(len(odds) - 1)
        rows, counts = drawn.unique(return_counts=True)
        scale = counts * odds[-1] / draws / taught[rows].clamp_min(torch.finfo(torch.float64).tiny)
        part = Multinomial(
            self.design[rows], self.labels[rows], self.weight[rows] * scale, self.basis
        )
        return part, probabilities[rows]

    def _local(
        self, probabilities: Float64[Tensor, "part classes"], rows: slice
    ) -> Float64[Tensor, "part contrasts contrasts"]:
        """``w B'ΛB`` for some rows."""
        projected = probabilities @ self.basis
        spread = torch.einsum("nc,ca,cb->nab", probabilities, self.basis, self.basis)
        spread -= projected[:, :, None] * projected[:, None, :]
        return spread * self.weight[rows, None, None]
