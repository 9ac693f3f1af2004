"""What a linear-Gaussian model needs to know of the data: sums that add, subtract and stream."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.goals import checked_weight
from counterpoint.posterior._rows import BLOCK, blocks, checked_targets, design, in_float64

_RESOLUTION = 1e-10
"""Relative size below which a difference of sums is taken for rounding."""


@dataclass(frozen=True)
class Statistics:
    r"""Sufficient statistics of a linear-Gaussian model: ``Φ'WΦ``, ``Φ'WY``, ``Y'WY`` (diagonal).

    ``Φ`` is the features with a column of ones appended last (the bias), ``W`` the row weights.
    A weight is a repetition: a row of weight 2 counts as the row twice, a row of weight 0 as
    absent, so the number of observations is the sum of the weights. Weights in other units
    (survey weights, say) are brought to mean one with ``scaled(count / weight)``.

    Sums are float64 on the CPU, whatever the type and device of the features. They are exact to
    rounding relative to the largest feature, so features of like scale and standardised targets
    keep every digit.

    Attributes:
        gram: ``Φ'WΦ``.
        cross: ``Φ'WY``.
        square: ``Σ w y²`` for each target.
        weight: ``Σ w``, the effective number of observations.
        count: rows with positive weight.

    >>> a = Statistics.of(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [5.0]]))
    >>> a.gram  # [Σx², Σx; Σx, n]
    tensor([[5., 3.], [3., 2.]], dtype=torch.float64)
    >>> (a + a - a).cross.squeeze()  # [Σxy, Σy]
    tensor([13.,  8.], dtype=torch.float64)
    """

    gram: Float64[Tensor, "width width"]
    cross: Float64[Tensor, "width targets"]
    square: Float64[Tensor, " targets"]
    weight: float
    count: int

    @classmethod
    def zeros(cls, features: int, targets: int) -> "Statistics":
        """The statistics of no rows, the neutral element of ``+``."""
        width = features + 1
        return cls(
            gram=torch.zeros(width, width, dtype=torch.float64),
            cross=torch.zeros(width, targets, dtype=torch.float64),
            square=torch.zeros(targets, dtype=torch.float64),
            weight=0.0,
            count=0,
        )

    @classmethod
    def of(
        cls,
        features: Float[Tensor, "rows features"],
        targets: Float[Tensor, "..."],
        weight: Float[Tensor, "..."] | None = None,
        *,
        block: int = BLOCK,
    ) -> "Statistics":
        """The statistics of rows, a block at a time.

        Args:
            features: rows x F, of any floating type, without a bias column.
            targets: rows x K, or rows for one target.
            weight: rows, at least 0; none means one each.
            block: rows turned to float64 at a time.

        Raises:
            InputError: features, targets or weights that are not finite (names the row), weights
                below zero, numbers of rows that differ, or sums beyond the range of float64.
        """
        targets = checked_targets(targets, features.shape[0])
        weights = None if weight is None else in_float64(checked_weight(weight, len(features)))
        total = cls.zeros(features.shape[1], targets.shape[1])
        for rows in blocks(features.shape[0], block):
            part = None if weights is None else weights[rows]
            total = total + cls._of_block(design(features[rows], rows.start), targets[rows], part)
        if not bool(torch.isfinite(total.gram).all() & torch.isfinite(total.square).all()):
            raise InputError("features and targets: their squares must add up within float64")
        return total

    @classmethod
    def _of_block(
        cls,
        phi: Float64[Tensor, "rows width"],
        targets: Float[Tensor, "rows targets"],
        weight: Float64[Tensor, " rows"] | None,
    ) -> "Statistics":
        y = targets.to(phi.device, torch.float64)
        w = None if weight is None else weight.to(phi.device)[:, None]
        weighted_phi, weighted_y = (phi, y) if w is None else (phi * w, y * w)
        gram = phi.T @ weighted_phi
        return cls(
            # symmetric to the bit, which a product need not be: eigh reads one triangle
            gram=((gram + gram.T) / 2).cpu(),
            cross=(phi.T @ weighted_y).cpu(),
            square=(y * weighted_y).sum(0).cpu(),
            weight=float(phi.shape[0] if w is None else w.sum()),
            count=int(phi.shape[0] if w is None else (w > 0).sum()),
        )

    @property
    def features(self) -> int:
        """F, the bias column not counted."""
        return self.gram.shape[0] - 1

    @property
    def targets(self) -> int:
        """K."""
        return self.cross.shape[1]

    def __add__(self, other: "Statistics") -> "Statistics":
        """The statistics of both sets of rows.

        Raises:
            InputError: other numbers of features or targets.
        """
        self._refuse_other(other)
        return type(self)(
            gram=self.gram + other.gram,
            cross=self.cross + other.cross,
            square=self.square + other.square,
            weight=self.weight + other.weight,
            count=self.count + other.count,
        )

    def __sub__(self, other: "Statistics") -> "Statistics":
        """The statistics with rows removed.

        Raises:
            InputError: other numbers of features or targets, or no set of rows has the difference
                as its statistics: the rows to remove were not all there.
        """
        self._refuse_other(other)
        rest = type(self)(
            gram=self.gram - other.gram,
            cross=self.cross - other.cross,
            square=self.square - other.square,
            weight=self.weight - other.weight,
            count=self.count - other.count,
        )
        reason = _impossible(rest, self)
        if reason:
            raise InputError(f"rows to remove: must all be among those added, found {reason}")
        # no rows left: what remains of the sums is rounding
        return self.zeros(self.features, self.targets) if rest.count == 0 else rest

    def mean_square(self, weights: Float64[Tensor, "width targets"]) -> Float64[Tensor, " targets"]:
        """Mean squared residual of the rows: ``Σ w (y - φ'v)² / Σ w`` by any weights ``v``.

        Args:
            weights: bias last.
        """
        cross = (weights * self.cross).sum(0)
        # Σ w (y - φ'v)² = y'Wy - 2 v'Φ'Wy + v'Φ'WΦ v
        bent = (weights * (self.gram @ weights)).sum(0)
        return ((self.square - 2 * cross + bent) / self.weight).clamp_min(0)

    def scaled(self, factor: float) -> "Statistics":
        """Every row's weight times `factor`: forgetting (below one), or weights brought to mean 1.

        Raises:
            InputError: the factor is not a positive finite number.
        """
        if not 0 < factor < float("inf"):
            raise InputError(f"factor: must be positive and finite, found {factor}")
        return type(self)(
            self.gram * factor,
            self.cross * factor,
            self.square * factor,
            self.weight * factor,
            self.count,
        )

    def state(self) -> dict[str, Tensor]:
        """The statistics as named tensors, for storage; `from_state` takes them back."""
        return {
            "gram": self.gram,
            "cross": self.cross,
            "square": self.square,
            "weight": torch.tensor(self.weight, dtype=torch.float64),
            "count": torch.tensor(self.count),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "Statistics":
        """The statistics that `state` wrote.

        Raises:
            InputError: a tensor is missing, of another shape or type, or holds impossible sums.
        """
        expected = cls.zeros(0, 0).state()
        missing = sorted(expected.keys() - state.keys())
        if missing:
            raise InputError(f"statistics: the state must hold {missing[0]!r}, found none")
        _refuse_shapes(state)
        result = cls(
            gram=state["gram"].clone(),
            cross=state["cross"].clone(),
            square=state["square"].clone(),
            weight=float(state["weight"]),
            count=int(state["count"]),
        )
        reason = _impossible(result, result)
        if reason:
            raise InputError(f"statistics: must be those of some rows, found {reason}")
        return result

    def _refuse_other(self, other: "Statistics") -> None:
        if self.cross.shape != other.cross.shape:
            raise InputError(
                f"statistics: both must have {self.features} features and {self.targets} targets, "
                f"found {other.features} and {other.targets}"
            )


def _refuse_shapes(state: Mapping[str, Tensor]) -> None:
    """Refuse tensors of other shapes or types than `Statistics.state` writes."""
    shape = state["cross"].shape
    width, targets = (int(shape[0]), int(shape[1])) if len(shape) == 2 else (0, 0)
    shapes = {
        "gram": (width, width),
        "cross": (width, targets),
        "square": (targets,),
        "weight": (),
        "count": (),
    }
    for name, wanted in shapes.items():
        tensor = state[name]
        kind = torch.int64 if name == "count" else torch.float64
        if width < 1 or tuple(tensor.shape) != wanted or tensor.dtype != kind:
            raise InputError(
                f"statistics: {name!r} must be {kind} of shape {wanted}, "
                f"found {tensor.dtype} of shape {tuple(tensor.shape)}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"statistics: {name!r} must be finite, found a value that is not")


def _impossible(rest: Statistics, total: Statistics) -> str:
    """Why no rows have these statistics, judged on the scale of `total`; empty if some have."""
    # scaled to a unit diagonal of `total`, [[Φ'WΦ, Φ'Wy], [y'WΦ, y'Wy]] must be positive
    # semidefinite for every target and of a rank not above the number of rows
    if rest.count < 0 or rest.weight < -_RESOLUTION * total.weight:
        return f"{-rest.count} row(s) and a weight of {-rest.weight:.6g} too many"
    scale = total.gram.diagonal().clamp_min(torch.finfo(torch.float64).tiny).sqrt()
    height = total.square.clamp_min(torch.finfo(torch.float64).tiny).sqrt()
    values, vectors = torch.linalg.eigh(rest.gram / torch.outer(scale, scale))
    if float(values[0]) < -_RESOLUTION * len(scale):
        return f"a negative eigenvalue ({float(values[0]):.3g} of 1) in what would remain"
    rank = int((values > _RESOLUTION * len(scale)).sum())
    if rank > rest.count:
        return f"{rest.count} row(s) remaining for {rank} independent direction(s)"
    # y'Wy - b'G⁻¹b with b = Φ'Wy: the Schur complement, which is at least 0 for real rows
    projected = vectors.T @ (rest.cross / torch.outer(scale, height))
    explained = (projected**2 / (values.clamp_min(0) + _RESOLUTION)[:, None]).sum(0)
    residual = rest.square / height**2 - explained
    if bool((residual < -_RESOLUTION * 100).any()):
        target = int(residual.argmin())
        return f"target {target} with a negative sum of squares in what would remain"
    return ""
