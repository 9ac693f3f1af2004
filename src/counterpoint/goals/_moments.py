"""Hold the statistics of a latent: its mean, variances and covariances over a batch."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from counterpoint.errors import InputError, one_of
from counterpoint.goals._checks import as_floats, check_range, readable
from counterpoint.goals._rows import checked_weight


def moments(
    latent: Shaped[Tensor, "..."],
    *,
    mean: float | int | Tensor | None = 0.0,
    variance: float | int | Tensor | None = 1.0,
    covariance: str | Tensor | None = None,
    weight: Shaped[Tensor, "..."] | None = None,
) -> Float[Tensor, ""]:
    r"""How far the statistics of a latent over the batch are from those it should have.

    .. math::
        \frac{1}{D} \left( |m - \mu|^2 + \sum_d (S_{dd} - v_d)^2
        + \sum_{d \ne e} (S_{de} - C_{de})^2 \right)

    with the weighted mean :math:`m = \sum_i p_i z_i` of the rows, :math:`p_i = w_i / \sum_j w_j`,
    and the unbiased covariance

    .. math:: S = \frac{\sum_i p_i (z_i - m)(z_i - m)^\top}{1 - \sum_i p_i^2}

    which without weights divides by :math:`B - 1`. A part that is None is left free. Divided by
    the dimensions as the covariance term of VICReg is (Bardes, Ponce and LeCun 2022, equation 4);
    its variance term is a hinge on the standard deviation, here variances are drawn to a value.

    This is a statistic of a batch, not a mean over rows: micro-batches and ranks each hold their
    own. And though :math:`S` is unbiased, its squared distance is not: on B independent normal
    rows that have variance v a variance's part is :math:`2 v^2 / (B - 1)` on average, not 0.

    Args:
        latent: ``(batch,)`` or ``(batch, ...)``; D numbers a row.
        mean: a number, or one value a dimension (the latent's shape without rows).
        variance: likewise, not negative.
        covariance: ``"diagonal"``: covariances are drawn to 0; a symmetric matrix ``(D, D)``:
            covariances and variances are drawn to it, and `variance` is left as it is.
        weight: how much each row counts, ``(batch,)``, finite and not negative; their scale does
            not matter.

    Raises:
        InputError: shapes or types do not fit, nothing is asked for, fewer than two rows count
            where a variance or covariance is, or a value cannot be used.

    >>> z = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    >>> moments(z), moments(z, covariance="diagonal")  # ((2 - 1)^2 + (2 - 1)^2) / 2, + (4 + 4) / 2
    (tensor(1.), tensor(5.))
    """
    flat = _flat(latent)
    centre = None if mean is None else _wanted("mean", mean, latent)
    target, held = _second(variance, covariance, latent)
    if centre is None and held is None:
        raise InputError(
            "moments: mean, variance and covariance are all None; at least one must be given"
        )
    shares = _shares(flat, weight, 1 if held is None else 2)
    # Under autocast products would be in half precision, sums of squares off in the third digit.
    with torch.autocast(flat.device.type, enabled=False):
        middle = shares @ flat
        parts: list[Tensor] = [] if centre is None else [(middle - centre).square().sum()]
        if held is not None:
            parts.append(_spread(flat - middle, shares, target, held))
        return torch.stack(parts).sum() / flat.shape[1]


def _spread(
    apart: Float[Tensor, "batch dimensions"],
    shares: Float[Tensor, " batch"],
    target: Float[Tensor, "..."],
    held: str,
) -> Float[Tensor, ""]:
    free = 1 - shares.square().sum()
    # Where only one row counts (seen only where weights may not be read) there is no spread: 0.
    scale = 1 / torch.where(free > 0, free, torch.ones_like(free))
    if held == "variance":
        return (scale * (shares @ apart.square()) - target).square().sum()
    difference = scale * (apart.T * shares) @ apart - target
    if held == "covariance alone":
        difference = difference - difference.diagonal().diag_embed()
    return difference.square().sum()


def _flat(latent: Shaped[Tensor, "..."]) -> Float[Tensor, "batch dimensions"]:
    if not latent.is_floating_point():
        raise InputError(f"moments: latent must be floating point, found {latent.dtype}")
    if latent.ndim == 0 or latent.numel() == 0:
        raise InputError(
            "moments: latent must have shape (batch,) or (batch, ...) and at least one row, "
            f"found {tuple(latent.shape)}"
        )
    return as_floats(latent).reshape(len(latent), -1)


def _wanted(
    name: str, value: float | int | Tensor, latent: Shaped[Tensor, "..."]
) -> Float[Tensor, " dimensions"]:
    """A value a dimension, in the type in which the statistics are computed."""
    given = torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float64)
    each = latent.shape[1:]
    if given.shape not in ((), each):
        raise InputError(
            f"moments: {name} must be a number or have the shape of a row {tuple(each)}, "
            f"found {tuple(given.shape)}"
        )
    if readable(given):
        check_range(f"moments: {name}", given.reshape(-1), -math.inf if name == "mean" else 0.0)
    kind = torch.promote_types(latent.dtype, torch.float32)
    return given.to(device=latent.device, dtype=kind).expand(each).reshape(-1)


def _second(
    variance: float | int | Tensor | None,
    covariance: str | Tensor | None,
    latent: Shaped[Tensor, "..."],
) -> tuple[Float[Tensor, "..."], str | None]:
    """What the second moments are drawn to, and which of them are held."""
    if isinstance(covariance, Tensor):
        if isinstance(variance, Tensor) or variance not in (None, 1.0):
            raise InputError(
                "moments: variance must be left out beside a covariance matrix, whose diagonal "
                "holds the variances"
            )
        return _matrix(covariance, latent), "covariance"
    if covariance is not None:
        one_of("moments: covariance (or None, or a matrix)", covariance, ("diagonal",))
    target = _wanted("variance", 1.0 if variance is None else variance, latent)
    if covariance is None:
        return target, None if variance is None else "variance"
    return target.diag_embed(), "covariance alone" if variance is None else "covariance"


def _matrix(
    covariance: Shaped[Tensor, "..."], latent: Shaped[Tensor, "..."]
) -> Float[Tensor, "dimensions dimensions"]:
    size = latent[0].numel()
    if covariance.shape != (size, size) or covariance.is_complex():
        raise InputError(
            f"moments: covariance must be a real matrix of shape ({size}, {size}), "
            f"found {tuple(covariance.shape)} of {covariance.dtype}"
        )
    kind = torch.promote_types(latent.dtype, torch.float32)
    matrix = covariance.to(device=latent.device, dtype=kind)
    if readable(covariance):
        check_range("moments: covariance", covariance)
        if (matrix - matrix.T).abs().max() > 1e-4 * matrix.abs().max():
            raise InputError("moments: covariance must be symmetric; pass (C + C.T) / 2")
    return matrix


def _shares(
    flat: Float[Tensor, "batch dimensions"], weight: Shaped[Tensor, "..."] | None, least: int
) -> Float[Tensor, " batch"]:
    """The share of each row, of which at least so many must count."""
    rows = len(flat)
    if weight is None:
        counting = rows
        shares = flat.new_full((rows,), 1 / rows)
    else:
        weight = checked_weight(weight, rows, validate=readable(weight))
        counting = int((weight > 0).sum()) if readable(weight) else rows
        mass = weight.to(flat.dtype)
        mass = mass / mass.amax().clamp_min(torch.finfo(flat.dtype).tiny)
        shares = mass / mass.sum().clamp_min(torch.finfo(flat.dtype).tiny)
    if counting < least:
        needs = "a variance needs two rows or more" if least == 2 else "a mean needs at least a row"
        raise InputError(f"moments: {needs} with weight, found {counting}")
    return shares
