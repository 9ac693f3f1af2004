"""How far a distribution that a network puts out is from a prior: Kullback-Leibler terms."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.goals._checks import as_floats, as_rows, check_range, readable
from counterpoint.goals._rows import mean_of_rows


def kl_normal(
    mean: Shaped[Tensor, "..."],
    log_variance: Shaped[Tensor, "..."],
    prior_mean: float | int | Tensor = 0.0,
    prior_log_variance: float | int | Tensor = 0.0,
    weight: Shaped[Tensor, "..."] | None = None,
    *,
    mean_weight: float | int | str = 1.0,
) -> Float[Tensor, ""]:
    r"""The divergence of a diagonal normal from another, by default the standard normal.

    .. math::
        \mathrm{KL} \left( \mathcal N(\mu, \sigma^2) \,\|\, \mathcal N(m, s^2) \right)
        = \frac{1}{2} \sum_d \left(
        \frac{(\mu_d - m_d)^2}{s_d^2} + \frac{\sigma_d^2}{s_d^2} - 1
        - \log \frac{\sigma_d^2}{s_d^2} \right)

    in nats, summed over the latent dimensions of a row and averaged over the rows (Kingma and
    Welling 2014, "Auto-Encoding Variational Bayes", appendix B).

    Args:
        mean: :math:`\mu`, ``(batch, ...)``.
        log_variance: :math:`\log \sigma^2`, the mean's shape.
        prior_mean: :math:`m`: a number, one value a dimension (the mean's shape without rows), or
            the mean's shape.
        prior_log_variance: :math:`\log s^2`, likewise.
        weight: how much each row counts, ``(batch,)``.
        mean_weight: mean weight of the whole data set, or ``"batch"``; see `Likelihood.nll`.

    Raises:
        InputError: shapes or types do not fit, or a weight cannot be used.

    >>> kl_normal(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))  # 1 / 2
    tensor(0.5000)
    """
    _check_floats("kl_normal: mean", mean)
    _check_floats("kl_normal: log_variance", log_variance)
    if log_variance.shape != mean.shape:
        raise InputError(
            f"kl_normal: log_variance must have the mean's shape {tuple(mean.shape)}, "
            f"found {tuple(log_variance.shape)}"
        )
    centre = _prior("prior_mean", prior_mean, mean)
    spread = _prior("prior_log_variance", prior_log_variance, mean)
    ratio = as_floats(log_variance) - spread
    # exp(r) - 1 - r is about r^2 / 2 near the minimum, where the plain difference would be noise.
    distance = (as_floats(mean) - centre).square() * torch.exp(-spread)
    each = 0.5 * (distance + torch.expm1(ratio) - ratio)
    return mean_of_rows(as_rows(each), weight, mean_weight)


def kl_categorical(
    logits: Shaped[Tensor, "..."],
    prior: Shaped[Tensor, "..."] | None = None,
    weight: Shaped[Tensor, "..."] | None = None,
    *,
    mean_weight: float | int | str = 1.0,
) -> Float[Tensor, ""]:
    r"""The divergence of a categorical from another, by default from equal probabilities.

    .. math:: \mathrm{KL}(q \,\|\, p) = \sum_c q_c \log \frac{q_c}{p_c},
        \qquad q = \mathrm{softmax}(f)

    in nats, summed over the variables of a row and averaged over the rows (Kullback and Leibler
    1951, equation 2.4). Infinite where the prior rules out a class that has probability.

    Args:
        logits: :math:`f`, ``(batch, classes)`` or ``(batch, ..., classes)``; minus infinity for a
            class that cannot be.
        prior: probabilities :math:`p`, ``(classes,)``, the logits' shape without rows, or the
            logits' shape.
        weight: how much each row counts, ``(batch,)``.
        mean_weight: mean weight of the whole data set, or ``"batch"``; see `Likelihood.nll`.

    Raises:
        InputError: shapes or types do not fit, a prior is no distribution, or a weight cannot be
            used.

    >>> kl_categorical(torch.tensor([[0.0, -torch.inf]]))  # log 2
    tensor(0.6931)
    """
    _check_floats("kl_categorical: logits", logits)
    if logits.ndim < 2 or logits.shape[-1] == 0:
        raise InputError(
            f"kl_categorical: logits must have shape (batch, classes), found {tuple(logits.shape)}"
        )
    logs = as_floats(logits).log_softmax(-1)
    known = torch.full_like(logs, 1 / logits.shape[-1]) if prior is None else _checked(prior, logs)
    shares = logs.exp()
    # A class without probability contributes 0, whatever the prior says of it: 0 log 0 = 0.
    ratio = torch.where(shares == 0, 0.0, logs - known.to(logs.dtype).log())
    return mean_of_rows(as_rows((shares * ratio).sum(-1)), weight, mean_weight)


def _check_floats(what: str, values: Shaped[Tensor, "..."]) -> None:
    if not values.is_floating_point():
        raise InputError(f"{what} must be floating point, found {values.dtype}")
    if values.ndim == 0 or values.shape[0] == 0:
        raise InputError(f"{what} must have at least one row, found shape {tuple(values.shape)}")


def _prior(
    name: str, value: float | int | Tensor, mean: Shaped[Tensor, "..."]
) -> Float[Tensor, "..."]:
    given = torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float64)
    if given.shape not in ((), mean.shape[1:], mean.shape):
        raise InputError(
            f"kl_normal: {name} must be a number, or have shape {tuple(mean.shape[1:])} or "
            f"{tuple(mean.shape)}, found {tuple(given.shape)}"
        )
    if readable(given):
        check_range(f"kl_normal: {name}", given.reshape(-1))
    return given.to(device=mean.device, dtype=torch.promote_types(mean.dtype, torch.float32))


def _checked(
    prior: Shaped[Tensor, "..."], logs: Float[Tensor, "batch ..."]
) -> Float[Tensor, "..."]:
    shapes = (logs.shape[-1:], logs.shape[1:], logs.shape)
    if prior.shape not in shapes or not prior.is_floating_point():
        wanted = " or ".join(dict.fromkeys(str(tuple(shape)) for shape in shapes))
        raise InputError(
            f"kl_categorical: prior must be probabilities of shape {wanted}, "
            f"found {tuple(prior.shape)} of {prior.dtype}"
        )
    if readable(prior):
        check_range("kl_categorical: prior probability", prior, low=0.0)
        sums = prior.sum(-1)
        tolerance = max(1e-4, 8 * torch.finfo(prior.dtype).eps)
        worst = (sums - 1).abs().max().item()
        if worst > tolerance:
            raise InputError(
                f"kl_categorical: prior must sum to 1, found a sum that is {worst:.3g} away; "
                "divide it by its sum, or pass prior.softmax(-1)"
            )
    return prior
