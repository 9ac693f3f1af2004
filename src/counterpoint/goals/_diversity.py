"""Keep parts of a model apart: directions of heads, errors of heads, columns of features."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from counterpoint.errors import InputError, one_of
from counterpoint.goals._checks import as_floats, readable
from counterpoint.goals._rows import checked_weight, mean_of_rows

_OVER = ("stacked", "points")
_REDUCTIONS = ("mean", "sum")


def diversity(
    gradients: Shaped[Tensor, "..."],
    weight: Shaped[Tensor, "..."] | None = None,
    *,
    over: str = "stacked",
    reduction: str = "mean",
) -> Float[Tensor, ""]:
    r"""How alike the heads are: squared cosines of their input gradients, over pairs of heads.

    .. math:: \frac{2}{M (M - 1)} \sum_{i < j} \cos^2(g_i, g_j), \qquad
        \cos(g_i, g_j) = \frac{g_i^\top g_j}{|g_i| |g_j|}

    0 where all are orthogonal, 1 where all are collinear. It is to be *minimised*: heads that agree
    on the data and have different slopes there go different ways where there are no data. With
    ``over="stacked"`` :math:`g_i` joins head i's gradients at all rows, as in the paper; with
    ``over="points"`` it is the gradient at one row, and the values of the rows are averaged. One
    Gram matrix of unit vectors gives all pairs, and the smaller of the two there are is formed:

    .. math:: \sum_{i < j} \cos^2(g_i, g_j) = \frac{1}{2} \left( |U U^\top|_F^2 - M \right)
        = \frac{1}{2} \left( |U^\top U|_F^2 - M \right)

    A head whose gradient is zero (or below the smallest normal number) is like no other, and gets
    no gradient. The scale of the gradients does not matter. Slopes of a network with kinks (ReLU)
    cannot be trained from exact derivatives, which do not see the kinks move; see
    `counterpoint.derivatives`.

    Stacked values are statistics of a batch, not means over rows: micro-batches and ranks each
    hold their own.

    Source: Thakur et al., "Uncertainty-Aware (UNA) Bases for Bayesian Regression Using
    Multi-Headed Auxiliary Networks" (arXiv 2006.11695), where the sum over pairs is subtracted
    from the fit, which is maximised.

    Args:
        gradients: ``(batch, heads, inputs)``, as `counterpoint.derivatives.gradients` gives them,
            or derivatives along random directions in place of the inputs.
        weight: how much each row counts, ``(batch,)``, finite and not negative. Stacked, a weight
            of 2 is the row twice; over points, means are taken as in `Likelihood.nll`.
        over: ``"stacked"`` or ``"points"``.
        reduction: ``"mean"`` over pairs of heads or their ``"sum"``.

    Raises:
        InputError: another shape or type, one head alone, points with one input (where every
            squared cosine is 1), an unknown name, or a weight that cannot be used.

    >>> slopes = torch.tensor([[[1.0, 0.0], [0.0, 3.0], [2.0, 2.0]]])  # one row, heads at 0, 90, 45
    >>> diversity(slopes), diversity(slopes, reduction="sum")  # degrees: cos^2 of 0, 1/2, 1/2
    (tensor(0.3333), tensor(1.))
    """
    flat = _checked("diversity", gradients, ("batch", "heads", "inputs"))
    over = one_of("diversity: over", over, _OVER)
    scale = _scale("diversity", reduction, flat.shape[1])
    if over == "points":
        if flat.shape[2] == 1:
            raise InputError(
                "diversity: over='points' needs two inputs or more, found 1, with which every "
                "squared cosine is 1; use over='stacked'"
            )
        return scale * mean_of_rows(_squared_cosines(flat), weight)
    flat = _weighted(flat, weight)
    return scale * _squared_cosines(flat.transpose(0, 1).flatten(1))


def negative_correlation(
    predictions: Shaped[Tensor, "..."],
    weight: Shaped[Tensor, "..."] | None = None,
    *,
    reduction: str = "mean",
) -> Float[Tensor, ""]:
    r"""How heads stray from their mean together: negative correlation learning, over pairs.

    .. math:: \frac{2}{M (M - 1)} \sum_{i < j} (f_i - \bar f)(f_j - \bar f)
        = -\frac{1}{M (M - 1)} \sum_i (f_i - \bar f)^2

    averaged over rows. It is never positive, and to be minimised: then the errors of the heads
    cancel in their mean. Beside :math:`\frac{1}{2} \sum_i (f_i - y)^2` the ``"sum"`` times a factor
    up to 1 is bounded below, and at 1 they add up to :math:`\frac{M}{2} (\bar f - y)^2`: heads are
    free and only their mean is fitted. Beside the *mean* of the heads' half squared errors that
    factor is 1 / M for the sum, (M - 1) / 2 for the mean.

    Source: Liu and Yao, "Ensemble learning via negative correlation" (Neural Networks 12, 1999),
    section 2, where the penalties of all heads together count each pair twice.

    Args:
        predictions: ``(batch, heads)``, of one target, in its units.
        weight: how much each row counts, ``(batch,)``, as in `Likelihood.nll`.
        reduction: ``"mean"`` over pairs of heads or their ``"sum"``.

    Raises:
        InputError: another shape or type, one head alone, an unknown name, or a weight that cannot
            be used.

    >>> negative_correlation(torch.tensor([[1.0, 3.0]]))  # (1 - 2) * (3 - 2)
    tensor(-1.)
    """
    flat = _checked("negative_correlation", predictions, ("batch", "heads"))
    scale = _scale("negative_correlation", reduction, flat.shape[1])
    each = (flat - flat.mean(1, keepdim=True)).square().sum(1)
    return -0.5 * scale * mean_of_rows(each, weight)


def orthogonality(
    features: Shaped[Tensor, "..."],
    weight: Shaped[Tensor, "..."] | None = None,
    *,
    reduction: str = "mean",
) -> Float[Tensor, ""]:
    r"""How alike the features are: squared cosines of the columns, over pairs of columns.

    .. math:: \frac{2}{F (F - 1)} \sum_{a < b}
        \frac{(\sum_i w_i z_{ia} z_{ib})^2}{\sum_i w_i z_{ia}^2 \, \sum_i w_i z_{ib}^2}

    0 where the columns are orthogonal over the batch, 1 where they are multiples of each other.
    Columns are not centred: subtract their means first for squared correlations. A column of zeros
    is like no other. A statistic of a batch: micro-batches and ranks each hold their own.

    Source: the decorrelation of features of Cogswell et al., "Reducing Overfitting in Deep
    Networks by Decorrelating Representations" (2016), with cosines in place of covariances so that
    it cannot be lowered by shrinking the features.

    Args:
        features: ``(batch, features)``.
        weight: how much each row counts, ``(batch,)``, finite and not negative; 2 is the row twice.
        reduction: ``"mean"`` over pairs of columns or their ``"sum"``.

    Raises:
        InputError: another shape or type, one column alone, an unknown name, or a weight that
            cannot be used.

    >>> orthogonality(torch.tensor([[1.0, 1.0], [0.0, 1.0]]))  # at 45 degrees
    tensor(0.5000)
    """
    flat = _checked("orthogonality", features, ("batch", "features"))
    scale = _scale("orthogonality", reduction, flat.shape[1])
    return scale * _squared_cosines(_weighted(flat, weight).T)


def _squared_cosines(vectors: Float[Tensor, "*rows heads size"]) -> Float[Tensor, "*rows"]:
    """The sum over pairs of heads."""
    # Under autocast the products would be in half precision.
    with torch.autocast(vectors.device.type, enabled=False):
        # Scaled first: squares of 1e-25 are 0 in single precision, squares of 1e25 infinite.
        peak = torch.linalg.vector_norm(vectors.detach(), torch.inf, dim=-1, keepdim=True)
        scaled = vectors / peak.clamp_min(torch.finfo(vectors.dtype).tiny)
        squared = scaled.square().sum(-1, keepdim=True)  # at least 1, or the head is dead
        unit = scaled * squared.clamp_min(1.0).rsqrt()
        wide = vectors.shape[-2] <= vectors.shape[-1]
        gram = unit @ unit.mT if wide else unit.mT @ unit
        own = squared.detach().clamp_max(1.0).square()  # each head with itself: 1, dead: 0
        return 0.5 * (gram.square().sum((-2, -1)) - own.sum((-2, -1))).clamp_min(0.0)


def _weighted(
    values: Float[Tensor, "batch ..."], weight: Shaped[Tensor, "..."] | None
) -> Float[Tensor, "batch ..."]:
    """Every row times the root of its weight: products over rows then count it with its weight."""
    if weight is None:
        return values
    weight = checked_weight(weight, len(values), validate=readable(weight))
    root = weight.to(values.dtype).sqrt()
    return values * root.reshape(-1, *[1] * (values.ndim - 1))


def _checked(
    name: str, values: Shaped[Tensor, "..."], axes: tuple[str, ...]
) -> Float[Tensor, "..."]:
    if not values.is_floating_point():
        raise InputError(f"{name}: expected a floating point tensor, found {values.dtype}")
    if values.ndim != len(axes) or values.numel() == 0:
        raise InputError(
            f"{name}: expected shape ({', '.join(axes)}), none of them 0, "
            f"found {tuple(values.shape)}"
        )
    if values.shape[1] == 1:
        raise InputError(f"{name}: needs two {axes[1]} or more to form a pair, found 1")
    return as_floats(values)


def _scale(name: str, reduction: str, heads: int) -> float:
    """What the sum over pairs is multiplied by."""
    reduction = one_of(f"{name}: reduction", reduction, _REDUCTIONS)
    return 1.0 if reduction == "sum" else 2.0 / (heads * (heads - 1))
