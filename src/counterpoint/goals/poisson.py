"""Counts."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions import Poisson as PoissonDistribution

from counterpoint.errors import InputError
from counterpoint.goals.checks import (
    as_rows,
    check_output,
    check_range,
    check_same_shape,
    readable,
)
from counterpoint.goals.likelihood import Likelihood

__all__ = ["Poisson"]


class Poisson(Likelihood):
    r"""Counts, one or several a row, with the logarithm of the rate as output.

    .. math:: \ell = \sum_k \left( e^{f_k} - y_k f_k + \log \Gamma(y_k + 1) \right)

    A count divided by an exposure, with the exposure as row weight, is allowed: targets need not
    be whole (`distribution` is over whole numbers).

    Args:
        validate: see `Likelihood`.

    >>> Poisson().nll(torch.zeros(2), torch.tensor([0, 1]))  # rate 1
    tensor(1.)
    """

    def nll_each(
        self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]
    ) -> Float[Tensor, " batch"]:
        """Negative log likelihood of each row, in nats; see the class for the formula.

        Args:
            output: logarithms of the rates, ``(batch,)`` or ``(batch, outputs)``.
            target: the output's shape: counts, at least 0, of any real type but bool.

        Raises:
            InputError: another shape or type, or a target that is negative or not finite.
        """
        check_output("poisson", output)
        target = check_same_shape("poisson", output, target)
        if target.is_complex() or target.dtype == torch.bool:
            raise InputError(f"poisson likelihood: target must be a count, found {target.dtype}")
        if self.validate and readable(target):
            check_range("poisson likelihood: target", target, low=0.0)
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        target = target.to(output.dtype)
        return as_rows(output.exp() - target * output + torch.lgamma(target + 1))

    def distribution(self, output: Float[Tensor, "batch ..."]) -> Distribution:
        """Independent Poissons, one event a row.

        Args:
            output: logarithms of the rates, ``(batch,)`` or ``(batch, outputs)``.
        """
        return Independent(PoissonDistribution(output.exp()), output.ndim - 1)
