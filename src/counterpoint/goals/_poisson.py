"""Counts."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions import Poisson as PoissonDistribution

from counterpoint.goals._checks import (
    as_columns,
    as_floats,
    as_rows,
    check_output,
    checked_counts,
)
from counterpoint.goals._likelihood import Likelihood
from counterpoint.goals._noise import normals

# torch counts draws in 32 bits on an accelerator; from here on a Poisson is a normal to 3e-5
_LARGE = 1e9


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

    @property
    def natural(self) -> bool:
        """Yes: the logarithm of the rate."""
        return True

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
        target = checked_counts("poisson", output, target, validate=self.validate)
        output = as_floats(output)
        target = target.to(output.dtype)
        return as_rows(output.exp() - target * output + torch.lgamma(target + 1))

    def distribution(self, output: Float[Tensor, "batch ..."]) -> Distribution:
        """Independent Poissons, one event a row.

        Args:
            output: logarithms of the rates, ``(batch,)`` or ``(batch, outputs)``.
        """
        return Independent(PoissonDistribution(output.exp()), output.ndim - 1)

    def root(self, output: Shaped[Tensor, "..."]) -> Float[Tensor, "columns batch ..."]:
        r"""A root of the Fisher information, :math:`e^{f_k / 2}`, one column an output.

        Args:
            output: logarithms of the rates, ``(batch,)`` or ``(batch, outputs)``.

        Raises:
            InputError: an output that is not floating point or has no rows.

        >>> Poisson().root(torch.tensor([9.0]).log())  # the root of the rate
        tensor([[3.]])
        """
        check_output("poisson", output)
        return as_columns((0.5 * as_floats(output)).exp())

    def draw(
        self, output: Shaped[Tensor, "..."], generator: torch.Generator
    ) -> Float[Tensor, "batch ..."]:
        """Counts in the output's shape; above a rate of 1e9 rounded normal numbers.

        Args:
            output: logarithms of the rates, ``(batch,)`` or ``(batch, outputs)``.
            generator: source of randomness, see `Likelihood.draw`.

        Raises:
            InputError: an output that is not floating point or has no rows.
        """
        check_output("poisson", output)
        rate = as_floats(output.detach()).exp()
        usual = rate < _LARGE
        rates = torch.where(usual, rate, 1.0).to(generator.device)
        counts = torch.poisson(rates, generator=generator).to(rate.device)
        large = (rate + rate.sqrt() * normals(rate, generator)).round()
        return torch.where(usual, counts, large)
