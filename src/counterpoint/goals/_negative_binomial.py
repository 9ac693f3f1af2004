"""Counts that scatter more than a Poisson's."""

from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions import NegativeBinomial as NegativeBinomialDistribution

from counterpoint.errors import InputError
from counterpoint.goals._checks import (
    as_columns,
    as_floats,
    as_rows,
    check_output,
    checked_counts,
)
from counterpoint.goals._likelihood import Likelihood
from counterpoint.goals._noise import gammas
from counterpoint.goals._poisson import Poisson

_LEAST, _MOST = 1e-8, 1e8


class NegativeBinomial(Likelihood):
    r"""Counts, one or several a row, with the logarithm of the mean as output, and overdispersed.

    .. math::
        \ell = \sum_k \log \frac{\Gamma(r) \, y_k!}{\Gamma(y_k + r)}
        + (y_k + r) \log(1 + \alpha m_k) - y_k \log(\alpha m_k),
        \qquad m_k = e^{f_k}, \quad r = 1 / \alpha

    The variance is :math:`m + \alpha m^2` (the form NB2); as :math:`\alpha` goes to 0 this is
    `Poisson`, of which it is the mixture over rates that follow a gamma distribution.

    Args:
        dispersion: :math:`\alpha`, from 1e-8 to 1e8, or ``"learned"``: stored as its logarithm, it
            starts at 1 and is trained with the network.
        validate: see `Likelihood`.

    Raises:
        InputError: a dispersion out of its range.

    Source: Hilbe, "Negative Binomial Regression" (2011), section 8.2.

    >>> NegativeBinomial(1.0).nll(torch.zeros(1), torch.tensor([0]))  # geometric: -log(1 / 2)
    tensor(0.6931)
    """

    def __init__(
        self, dispersion: float | int | Literal["learned"] = "learned", *, validate: bool = True
    ) -> None:
        super().__init__(validate=validate)
        self.learned = isinstance(dispersion, str)
        if isinstance(dispersion, str):
            if dispersion != "learned":
                raise InputError(
                    "negative binomial likelihood: dispersion must be a number or 'learned', "
                    f"found {dispersion!r}"
                )
            self.log_dispersion = nn.Parameter(torch.zeros(()))
        else:
            if not _LEAST <= dispersion <= _MOST:
                raise InputError(
                    f"negative binomial likelihood: dispersion must be from {_LEAST:g} to "
                    f"{_MOST:g}, found {dispersion:g}; without any, use Poisson"
                )
            # as in Normal: a setting, combining as a scalar with tensors of any type and device
            self.log_dispersion = torch.tensor(float(dispersion), dtype=torch.float64).log()

    @property
    def dispersion(self) -> Float[Tensor, ""]:
        """Alpha, of the variance ``mean + alpha * mean**2``."""
        return self.log_dispersion.exp()

    def nll_each(
        self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]
    ) -> Float[Tensor, " batch"]:
        """Negative log likelihood of each row, in nats; see the class for the formula.

        Args:
            output: logarithms of the means, ``(batch,)`` or ``(batch, outputs)``.
            target: the output's shape: counts, at least 0, of any real type but bool.

        Raises:
            InputError: another shape or type, or a target that is negative or not finite.
        """
        target = checked_counts("negative binomial", output, target, validate=self.validate)
        output = as_floats(output)
        # differences of log gammas of nearly equal, large numbers: float32 would lose all digits
        wide, count = output.double(), target.double()
        log_alpha = self.log_dispersion.double()
        number = (-log_alpha).exp()
        ways = torch.lgamma(number) + torch.lgamma(count + 1) - torch.lgamma(count + number)
        scaled = wide + log_alpha
        each = ways + (count + number) * nn.functional.softplus(scaled) - count * scaled
        return as_rows(each.to(output.dtype))

    def distribution(self, output: Float[Tensor, "batch ..."]) -> Distribution:
        """Independent negative binomials, one event a row.

        Args:
            output: logarithms of the means, ``(batch,)`` or ``(batch, outputs)``.
        """
        output = as_floats(output)
        log_alpha = self.log_dispersion.to(output.dtype)
        number = (-log_alpha).exp().expand_as(output)
        family = NegativeBinomialDistribution(number, logits=output + log_alpha)
        return Independent(family, output.ndim - 1)

    def root(self, output: Shaped[Tensor, "..."]) -> Float[Tensor, "columns batch ..."]:
        r"""A root of the Fisher information, :math:`m_k / (1 + \alpha m_k)`, one column an output.

        Args:
            output: logarithms of the means, ``(batch,)`` or ``(batch, outputs)``.

        Raises:
            InputError: an output that is not floating point or has no rows.
        """
        check_output("negative binomial", output)
        output = as_floats(output)
        log_alpha = self.log_dispersion.to(output.dtype)
        return as_columns((0.5 * (output - nn.functional.softplus(output + log_alpha))).exp())

    def draw(
        self, output: Shaped[Tensor, "..."], generator: torch.Generator
    ) -> Float[Tensor, "batch ..."]:
        """Counts in the output's shape: Poisson, of rates drawn from a gamma distribution.

        Args:
            output: logarithms of the means, ``(batch,)`` or ``(batch, outputs)``.
            generator: source of randomness, see `Likelihood.draw`.

        Raises:
            InputError: an output that is not floating point or has no rows.
        """
        check_output("negative binomial", output)
        output = as_floats(output.detach())
        log_alpha = self.log_dispersion.detach().to(output.dtype)
        rate = gammas(output, float((-log_alpha).exp()), generator).to(output.dtype)
        return Poisson().draw(rate.log() + output + log_alpha, generator)

    def extra_repr(self) -> str:
        """What `repr` shows: the dispersion."""
        return f"dispersion={'learned' if self.learned else float(self.dispersion)!r}"
