"""Numbers scattered normally around the output, with a variance that the network puts out, too."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions import Normal as NormalDistribution

from counterpoint.errors import InputError
from counterpoint.goals._checks import (
    as_columns,
    as_floats,
    as_rows,
    check_output,
    check_range,
    readable,
)
from counterpoint.goals._likelihood import Likelihood
from counterpoint.goals._noise import normals


class HeteroscedasticNormal(Likelihood):
    r"""A number that scatters normally, mean and logarithm of the variance put out by the network.

    .. math::
        \ell = \frac{1}{2} \sum_k \left( (y_k - \mu_k)^2 e^{-s_k} + s_k + \log 2\pi \right),
        \qquad f = (\mu_1, \ldots, \mu_K, s_1, \ldots, s_K)

    The first half of a row's outputs are means, the second half logarithms of variances. Where the
    output is normal, so that :math:`\mu_k` has the variance :math:`v` and :math:`s_k` the variance
    :math:`u`, the target's variance is :math:`v + e^{s_k + u / 2}`: knowledge and noise.

    Args:
        validate: see `Likelihood`.

    Source: Nix & Weigend, "Estimating the mean and variance of the target probability
    distribution" (1994), equation 4.

    >>> output = torch.tensor([[0.0, 0.0]])  # mean 0, variance 1
    >>> HeteroscedasticNormal().nll(output, torch.zeros(1))  # log(2 pi) / 2
    tensor(0.9189)
    """

    def nll_each(
        self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]
    ) -> Float[Tensor, " batch"]:
        """Negative log likelihood of each row, in nats; see the class for the formula.

        Args:
            output: means and logarithms of variances, ``(batch, 2 * targets)``.
            target: ``(batch, targets)``, or ``(batch,)`` for one; floating point, finite.

        Raises:
            InputError: another shape or type, or a target that is not finite.
        """
        mean, log_variance = self._halves(output)
        wanted = tuple(mean.shape)
        if tuple(target.shape) != wanted and (wanted[1] != 1 or target.shape != wanted[:1]):
            raise InputError(
                f"heteroscedastic normal likelihood: target must have the shape {wanted} of the "
                f"means, found {tuple(target.shape)}"
            )
        if not target.is_floating_point():
            raise InputError(
                "heteroscedastic normal likelihood: target must be floating point, found "
                f"{target.dtype}; convert it (for example .float())"
            )
        if self.validate and readable(target):
            check_range("heteroscedastic normal likelihood: target", target)
        residual = target.reshape(wanted).to(mean.dtype) - mean
        scaled = residual.square() * (-log_variance).exp()
        return as_rows(0.5 * (scaled + (log_variance + math.log(2 * math.pi))))

    def distribution(self, output: Float[Tensor, "batch ..."]) -> Distribution:
        """Independent normals, one event a row.

        Args:
            output: means and logarithms of variances, ``(batch, 2 * targets)``.

        Raises:
            InputError: an odd number of outputs.
        """
        mean, log_variance = self._halves(output)
        return Independent(NormalDistribution(mean, (0.5 * log_variance).exp()), 1)

    def marginal(
        self, mean: Float[Tensor, "rows outputs"], variance: Float[Tensor, "rows outputs"]
    ) -> tuple[
        Float[Tensor, "rows targets"], Float[Tensor, "rows targets"], Float[Tensor, "rows targets"]
    ]:
        """See `Likelihood`: exact, since the mean of a lognormal variance is known.

        Args:
            mean: of the output.
            variance: of the output.

        Raises:
            InputError: an odd number of outputs.
        """
        center, log_variance = self._halves(mean)
        spread, doubt = self._halves(variance)
        return center, (log_variance + doubt / 2).exp(), spread

    def root(self, output: Shaped[Tensor, "..."]) -> Float[Tensor, "columns batch ..."]:
        r"""A root of the Fisher information: :math:`e^{-s_k / 2}` and :math:`\sqrt{1/2}`.

        Mean and variance of a normal are orthogonal: their information is diagonal. The Hessian is
        not, and may be indefinite: the output is no natural parameter.

        Args:
            output: means and logarithms of variances, ``(batch, 2 * targets)``.

        Raises:
            InputError: an output that is not floating point, has no rows, or an odd number of
                outputs.
        """
        mean, log_variance = self._halves(output)
        # not expanded: about an output that is not finite nothing finite can be said
        steady = 0.5**0.5 + 0 * log_variance
        return as_columns(torch.cat([(-0.5 * log_variance).exp() + 0 * mean, steady], 1))

    def draw(
        self, output: Shaped[Tensor, "..."], generator: torch.Generator
    ) -> Float[Tensor, "batch ..."]:
        """Numbers ``(batch, targets)``, scattered around the means with the variances.

        Args:
            output: means and logarithms of variances, ``(batch, 2 * targets)``.
            generator: source of randomness, see `Likelihood.draw`.

        Raises:
            InputError: as `root`.
        """
        mean, log_variance = self._halves(output.detach())
        return mean + (0.5 * log_variance).exp() * normals(mean, generator)

    def _halves(
        self, output: Shaped[Tensor, "..."]
    ) -> tuple[Float[Tensor, "batch targets"], Float[Tensor, "batch targets"]]:
        """Means and logarithms of variances, in float32 or better."""
        check_output("heteroscedastic normal", output)
        if output.ndim != 2 or output.shape[1] == 0 or output.shape[1] % 2:
            raise InputError(
                "heteroscedastic normal likelihood: output must have the shape "
                "(batch, 2 * targets), means before logarithms of variances, "
                f"found {tuple(output.shape)}"
            )
        mean, log_variance = as_floats(output).chunk(2, dim=1)
        return mean, log_variance
