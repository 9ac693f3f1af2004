"""Are stated probabilities true? Coverage, PIT values, reliability and proper scores, weighted.

Plain errors (RMSE, accuracy, log loss) are `sklearn.metrics` with ``sample_weight``. Weights here
are relative: only their proportions matter.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.posterior.categorical import labels_within
from counterpoint.posterior.predictive import Predictive
from counterpoint.posterior.rows import checked_weight

__all__ = ["Reliability", "brier", "coverage", "ece", "nll", "pit", "reliability", "top_label"]


def pit(predictive: Predictive, target: Float[Tensor, "..."]) -> Float64[Tensor, "rows targets"]:
    """Probability integral transform: the predictive distribution function at the target.

    Uniform on 0 to 1 for a calibrated forecast (Dawid 1984): humps in the middle of its histogram
    mean intervals too wide, at the ends too narrow, a slope a biased mean.

    >>> zero, half = torch.zeros(1, 1).double(), torch.full((1, 1), 0.5).double()
    >>> pit(Predictive(zero, half, half), zero)
    tensor([[0.5000]], dtype=torch.float64)
    """
    return predictive.cdf(target)


def coverage(
    pit_values: Float[Tensor, "rows targets"],
    levels: Float[Tensor, " levels"],
    weight: Float[Tensor, "..."] | None = None,
) -> Float64[Tensor, "levels targets"]:
    """Share of targets inside the central interval of each level; equal to it when calibrated.

    A target lies in the central interval of level c when ``|2 PIT − 1| ≤ c``.

    Args:
        pit_values: from `pit`.
        levels: nominal probabilities, from 0 to 1.
        weight: of each row.

    Raises:
        InputError: no rows, or weights that are negative or all zero.

    >>> coverage(torch.tensor([[0.1], [0.5], [0.6], [0.97]]), torch.tensor([0.5, 0.9])).squeeze()
    tensor([0.5000, 0.7500], dtype=torch.float64)
    """
    shares = _shares(weight, pit_values.shape[0])
    distance = (2 * pit_values.double() - 1).abs()
    inside = distance[None] <= levels.double()[:, None, None]
    return torch.einsum("lnk,n->lk", inside.double(), shares)


def nll(
    log_prob: Float[Tensor, "rows ..."], weight: Float[Tensor, "..."] | None = None
) -> Float64[Tensor, "..."]:
    """Negative mean log predictive density or probability, in nats a row (the log score).

    Args:
        log_prob: from a predictive distribution's `log_prob`; rows, or rows x targets.
        weight: of each row.

    Raises:
        InputError: no rows, or weights that are negative or all zero.

    >>> nll(torch.tensor([-1.0, -2.0]), weight=torch.tensor([3.0, 1.0]))
    tensor(1.2500, dtype=torch.float64)
    """
    shares = _shares(weight, log_prob.shape[0])
    return -torch.tensordot(shares, log_prob.double(), dims=1)


def brier(
    probabilities: Float[Tensor, "rows classes"],
    labels: Int64[Tensor, " labels"],
    weight: Float[Tensor, "..."] | None = None,
) -> float:
    """Mean of ``Σ_c (p_c − 1[label = c])²`` (Brier 1950), from 0 to 2.

    For two classes this is twice the one-class score of `sklearn.metrics.brier_score_loss`.

    Raises:
        InputError: no rows, labels that are no classes, or weights negative or all zero.

    >>> brier(torch.tensor([[0.75, 0.25], [0.5, 0.5]]), torch.tensor([0, 1]))
    0.3125
    """
    labels = labels_within(labels, *probabilities.shape)
    shares = _shares(weight, len(labels))
    error = probabilities.double().clone()
    error[torch.arange(len(labels)), labels] -= 1
    return float(shares @ error.square().sum(1))


@dataclass(frozen=True)
class Reliability:
    """Stated confidence against the share that came true, in bins of confidence.

    Attributes:
        edges: of the bins, from 0 to 1.
        confidence: mean stated probability in each bin; NaN in an empty one.
        accuracy: share that came true in each bin; NaN in an empty one.
        share: of all weight in each bin; sums to one.
    """

    edges: Float64[Tensor, " edges"]
    confidence: Float64[Tensor, " bins"]
    accuracy: Float64[Tensor, " bins"]
    share: Float64[Tensor, " bins"]

    @property
    def ece(self) -> float:
        """Expected calibration error ``Σ share |accuracy − confidence|`` (Naeini et al. 2015)."""
        return float((self.share * (self.accuracy - self.confidence).abs()).nansum())


def reliability(
    confidence: Float[Tensor, " rows"],
    correct: Bool[Tensor, " outcomes"],
    weight: Float[Tensor, "..."] | None = None,
    *,
    bins: int = 15,
) -> Reliability:
    """The points of a reliability diagram, in bins of equal width.

    Args:
        confidence: stated probability of an event, row by row: that the most probable class is
            right (`top_label`), or that a class is the label.
        correct: whether it came true.
        weight: of each row.
        bins: how many.

    Raises:
        InputError: no rows, another number of outcomes, probabilities outside 0 to 1, fewer than
            one bin, or weights negative or all zero.

    >>> bins = reliability(torch.tensor([0.9, 0.9, 0.2]), torch.tensor([True, False, False]))
    >>> round(bins.ece, 4)  # (2 |0.5 − 0.9| + |0 − 0.2|) / 3
    0.3333
    """
    rows = len(confidence)
    if len(correct) != rows or bins < 1:
        raise InputError(
            f"reliability: expected {rows} outcomes in at least 1 bin, "
            f"found {len(correct)} in {bins}"
        )
    if not bool(((confidence >= 0) & (confidence <= 1)).all()):
        raise InputError("confidence: must be from 0 to 1, found a value that is not")
    shares, stated = _shares(weight, rows), confidence.double()
    place = (stated * bins).long().clamp_max(bins - 1)

    def total(values: Float64[Tensor, " rows"]) -> Float64[Tensor, " bins"]:
        return torch.zeros(bins, dtype=torch.float64).index_add(0, place, values)

    share = total(shares)
    return Reliability(
        edges=torch.linspace(0, 1, bins + 1, dtype=torch.float64),
        confidence=total(shares * stated) / share,
        accuracy=total(shares * correct.double()) / share,
        share=share,
    )


def top_label(
    probabilities: Float[Tensor, "rows classes"], labels: Int64[Tensor, " labels"]
) -> tuple[Float64[Tensor, " rows"], Bool[Tensor, " rows"]]:
    """The confidence in the most probable class, and whether that class is the label.

    >>> top_label(torch.tensor([[0.75, 0.25]]), torch.tensor([1]))
    (tensor([0.7500], dtype=torch.float64), tensor([False]))
    """
    labels = labels_within(labels, *probabilities.shape)
    confidence, chosen = probabilities.double().max(1)
    return confidence, chosen == labels


def ece(
    probabilities: Float[Tensor, "rows classes"],
    labels: Int64[Tensor, " labels"],
    weight: Float[Tensor, "..."] | None = None,
    *,
    bins: int = 15,
) -> float:
    """Expected calibration error of the most probable class (see `Reliability.ece`).

    >>> ece(torch.tensor([[0.75, 0.25]]), torch.tensor([0]))
    0.25
    """
    return reliability(*top_label(probabilities, labels), weight, bins=bins).ece


def _shares(weight: Float[Tensor, "..."] | None, rows: int) -> Float64[Tensor, " rows"]:
    """Weights that sum to one."""
    weights = (
        torch.ones(rows, dtype=torch.float64) if weight is None else checked_weight(weight, rows)
    )
    total = float(weights.sum())
    if total <= 0:
        raise InputError(f"rows: at least one of positive weight is needed, found {rows} row(s)")
    return weights.cpu() / total
