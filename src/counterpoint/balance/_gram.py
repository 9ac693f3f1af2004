"""The Gram matrix of the goals' gradients, kept as norms and cosines."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_SMALL = 1e-24  # squares above lose no digits in float32, whose least normal number is 1e-38


@dataclass(frozen=True)
class Gram:
    """G = J J' of K gradients (the rows of J), as ``norms_k norms_l cosines_kl``.

    Kept apart because gradients of one model may differ by fifty orders of magnitude: squares of
    float32 numbers would be lost, norms and cosines are not.

    Attributes:
        norms: ``|g_k|``, float64 (K,).
        cosines: float64 (K, K), symmetric; 1 on the diagonal, and all 0 in the row and column of
            a gradient that is exactly zero.

    >>> Gram.of(torch.tensor([[3.0, 4.0], [0.0, 1e-30]])).norms.tolist()
    [5.0, 1.0000000031710769e-30]
    """

    norms: Float[Tensor, " goals"]
    cosines: Float[Tensor, "goals goals"]

    @classmethod
    def of(cls, rows: Float[Tensor, "goals weights"]) -> "Gram":
        """From the gradients themselves; one that is not finite gives NaN in its row and column."""
        return cls.from_matrix(products(rows))

    @classmethod
    def from_matrix(cls, matrix: Float[Tensor, "goals goals"]) -> "Gram":
        """From G."""
        matrix = matrix.double()
        norms = matrix.diagonal().clamp_min(0.0).sqrt()
        # a gradient that is exactly zero has no direction: its cosines are 0, not NaN
        inverse = torch.where(norms > 0, 1.0 / norms, norms)
        cosines = inverse[:, None] * matrix * inverse
        cosines = (cosines + cosines.T) / 2  # symmetric to the bit, as eigh takes it to be
        cosines.diagonal().copy_((norms > 0) + 0.0 * norms)  # 1, 0, or NaN
        return cls(norms, cosines)

    @property
    def matrix(self) -> Float[Tensor, "goals goals"]:
        """G itself."""
        return self.norms[:, None] * self.cosines * self.norms


def products(
    gradients: Float[Tensor, "..."],
    product: Callable[[Tensor], Tensor] | None = None,
    axis: int = 0,
) -> Float[Tensor, "goals goals"]:
    """G of gradients, float64 (K, K); `product` is quadratic, rows times rows if None."""
    # summed in the gradients' own type: in float32 relative errors of about 1e-7
    if gradients.dtype in (torch.float16, torch.bfloat16):
        gradients = gradients.float()
    times = product or _product
    if _may_look(gradients):
        matrix = times(gradients)
        squares = matrix.diagonal()
        if bool(((squares > _SMALL) & (squares < 1 / _SMALL)).all()):
            return matrix.double()
    # squares that float32 may not hold: scaled by the largest entries first
    others = [other for other in range(gradients.ndim) if other != axis]
    wide = gradients.abs().amax(others, keepdim=True) if gradients.numel() else gradients
    unit = times(gradients / torch.where(wide > 0, wide, 1.0)).double()
    scale = wide.flatten().double()
    return scale[:, None] * unit * scale


def _may_look(tensor: Tensor) -> bool:
    """Whether reading a value costs nothing: an accelerator would have to be waited for."""
    return tensor.device.type == "cpu"


def _product(rows: Tensor) -> Tensor:
    return rows @ rows.T
