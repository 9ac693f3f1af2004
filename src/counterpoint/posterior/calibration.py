"""Are stated probabilities true? Coverage, PIT values, reliability and proper scores, weighted.

`Conformal` makes intervals hold what they say, whatever the model, all in all or group by group.
And does a model know where it does not know: `auroc` of its knowledge variance. Plain errors (RMSE,
accuracy, log loss) are `sklearn.metrics` with ``sample_weight``. Weights here are relative: only
their proportions matter.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.goals import checked_weight
from counterpoint.posterior._conformal import Conformal, conformal_by, density_ratio
from counterpoint.posterior._rows import in_float64, refuse_rows
from counterpoint.posterior.predictive._categorical import labels_within
from counterpoint.posterior.predictive._predictive import Predictive

__all__ = [
    "Conformal",
    "Reliability",
    "auroc",
    "brier",
    "conformal_by",
    "coverage",
    "debiased_ece",
    "density_ratio",
    "ece",
    "nll",
    "pit",
    "reliability",
    "top_label",
]


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
    labels = labels_within(labels, probabilities.shape[:1], probabilities.shape[1])
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
        squared: unbiased estimate of the squared difference of accuracy and confidence in each
            bin, so it can be negative; NaN with less than two rows. See `squared_error`.
    """

    edges: Float64[Tensor, " edges"]
    confidence: Float64[Tensor, " bins"]
    accuracy: Float64[Tensor, " bins"]
    share: Float64[Tensor, " bins"]
    squared: Float64[Tensor, " bins"]

    @property
    def ece(self) -> float:
        """Expected calibration error ``Σ share |accuracy − confidence|`` (Naeini et al. 2015).

        Chance alone makes it positive: 200 rows of a perfectly calibrated model with confidence
        from a half to one show 0.06 in bins of 1/15, on average. See `debiased_ece`.
        """
        return float((self.share * (self.accuracy - self.confidence).abs()).nansum())

    @property
    def squared_error(self) -> float:
        r"""Unbiased estimate of the squared calibration error; where that is 0 often negative.

        With residuals :math:`r_i = 1[\text{came true}] - \text{confidence}` and weights
        :math:`u_i` that sum to one in the bin, a bin's part is the mean of :math:`r_i r_j` over
        pairs of different rows,

        .. math:: \frac{(\sum u_i r_i)^2 - \sum u_i^2 r_i^2}{1 - \sum u_i^2}

        The first term is the plug-in square, which chance inflates by each residual's own square,
        the second term. What is left averages exactly 0 when every stated probability is true,
        for any number of rows, spread of confidence in a bin, or weights. Bins with less than two
        rows say nothing about it and are left out; NaN if all do.

        It is the debiased estimator of Bröcker (2012) and Ferro and Fricker (2012), which Kumar,
        Liang and Ma (2019, section 5) show to need far fewer rows than the plug-in, with residuals
        in place of outcomes as in T-Cal (Lee et al. 2023). With outcomes,
        :math:`\bar y (1 - \bar y) / (n - 1)` is subtracted, which is the same only where
        confidence is constant in a bin. Weights say how much a row counts, not how often it was
        seen: a row that is there twice is taken for two witnesses.
        """
        judged = ~self.squared.isnan()
        return float((self.share * self.squared)[judged].sum() / self.share[judged].sum())

    @property
    def debiased_ece(self) -> float:
        """Root mean square difference of accuracy and confidence, the part of chance taken out.

        The root of `squared_error`, 0 where that is negative. In the units of `ece` and equal to
        it where all bins are wrong by the same amount, else larger, since it is the l2 error.
        That norm because only its square has an unbiased estimate: subtracting a resampled bias
        from the l1 error (``normal_debiased_ce`` in Kumar's library) leaves more than half of the
        bias where calibration is perfect. The root keeps little more than a third there, since it
        cannot be negative, and next to nothing where the error is larger than chance makes it.
        """
        # max() of a NaN would be 0: an error that cannot be estimated must not look perfect.
        square = self.squared_error
        return 0.0 if square <= 0 else square**0.5


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
    residual = correct.double() - stated
    # Of two rows or more: the weights' effective number, 1 / own, must be above 1.
    own = total(shares.square()) / share.square()
    pairs = (total(shares * residual) / share).square()
    pairs -= total((shares * residual).square()) / share.square()
    return Reliability(
        edges=torch.linspace(0, 1, bins + 1, dtype=torch.float64),
        confidence=total(shares * stated) / share,
        accuracy=total(shares * correct.double()) / share,
        share=share,
        squared=torch.where(own < 1 - 1e-9, pairs / (1 - own), torch.nan),
    )


def top_label(
    probabilities: Float[Tensor, "rows classes"], labels: Int64[Tensor, " labels"]
) -> tuple[Float64[Tensor, " rows"], Bool[Tensor, " rows"]]:
    """The confidence in the most probable class, and whether that class is the label.

    >>> top_label(torch.tensor([[0.75, 0.25]]), torch.tensor([1]))
    (tensor([0.7500], dtype=torch.float64), tensor([False]))
    """
    labels = labels_within(labels, probabilities.shape[:1], probabilities.shape[1])
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

    With few rows a bin it is far above 0 even for a perfect model: see `debiased_ece`.

    >>> ece(torch.tensor([[0.75, 0.25]]), torch.tensor([0]))
    0.25
    """
    return reliability(*top_label(probabilities, labels), weight, bins=bins).ece


def debiased_ece(
    probabilities: Float[Tensor, "rows classes"],
    labels: Int64[Tensor, " labels"],
    weight: Float[Tensor, "..."] | None = None,
    *,
    bins: int = 15,
) -> float:
    """Calibration error of the most probable class without what chance adds to it.

    A root mean square over the bins, see `Reliability.debiased_ece`; for its square, which is
    unbiased and so can be averaged over data sets, see `Reliability.squared_error`.

    Returns:
        At least 0; NaN when no bin has two rows.

    >>> p, labels = torch.tensor([[0.75, 0.25]]).expand(8, 2), torch.tensor([0, 0, 0, 1] * 2)
    >>> debiased_ece(p, labels)  # three of four come true, as stated
    0.0
    >>> round(debiased_ece(p, 1 - labels), 3)  # (0.25 − 0.75)² less 0.25 · 0.75 / 7, rooted
    0.472
    """
    return reliability(*top_label(probabilities, labels), weight, bins=bins).debiased_ece


def auroc(
    inside: Float[Tensor, " inside"],
    outside: Float[Tensor, " outside"],
    inside_weight: Float[Tensor, "..."] | None = None,
    outside_weight: Float[Tensor, "..."] | None = None,
) -> float:
    """How well a score tells rows out of the training distribution from rows in it.

    The probability that an outside row scores higher than an inside row, ties counting half (the
    area under the receiver operating characteristic): 1 when every outside row scores higher, 0.5
    when the score knows nothing, below when it is surer outside than inside.

    Args:
        inside: the score of rows from the training distribution, larger where less is known: the
            knowledge variance of a prediction, say, or the entropy of a class probability.
        outside: the same score of rows from elsewhere.
        inside_weight: of each inside row; relative, so that how many rows each side has, or how
            heavy they are, does not matter.
        outside_weight: of each outside row.

    Raises:
        InputError: no rows, a score that is not finite, or weights negative or all zero.

    >>> auroc(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.3, 0.9]))  # (2 · 3 − 1/2) / 6
    0.9166666666666666
    """
    # Here, since importing it takes longer than all else in this room.
    from sklearn.metrics import roc_auc_score

    scores = torch.cat([_scores("inside", inside), _scores("outside", outside)])
    shares = [_shares(inside_weight, len(inside)), _shares(outside_weight, len(outside))]
    side = torch.cat([torch.full_like(share, place) for place, share in enumerate(shares)])
    weight = torch.cat(shares).numpy()
    return float(roc_auc_score(side.numpy(), scores.numpy(), sample_weight=weight))


def _scores(name: str, scores: Float[Tensor, "..."]) -> Float64[Tensor, " rows"]:
    """Scores of one side, checked, in float64 on the CPU."""
    if scores.ndim != 1 or len(scores) == 0:
        raise InputError(
            f"{name}: expected a score for each of at least 1 row, "
            f"found shape {tuple(scores.shape)}; of several targets pick one or add them up"
        )
    refuse_rows(~scores.isfinite()[:, None], name, "finite", scores[:, None])
    return scores.detach().cpu().double()


def _shares(weight: Float[Tensor, "..."] | None, rows: int) -> Float64[Tensor, " rows"]:
    """Weights that sum to one."""
    given = torch.ones(rows) if weight is None else checked_weight(weight, rows)
    weights = in_float64(given)
    total = float(weights.sum())
    if total <= 0:
        raise InputError(f"rows: at least one of positive weight is needed, found {rows} row(s)")
    return weights.cpu() / total
