"""Numbers scattered normally around the output."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions import Normal as NormalDistribution

from counterpoint.errors import InputError
from counterpoint.goals._checks import (
    as_columns,
    as_floats,
    as_rows,
    check_output,
    check_range,
    check_same_shape,
    readable,
)
from counterpoint.goals._likelihood import Likelihood
from counterpoint.goals._noise import normals


class Normal(Likelihood):
    r"""A number that scatters normally around the output, with known or learned noise.

    .. math::
        \ell = \frac{1}{2} \sum_k
        \left( \frac{(y_k - f_k)^2}{\sigma_k^2} + \log 2\pi\sigma_k^2 \right)

    With :math:`\sigma^2 = 1` this is half the squared error plus a constant; see the page *MSE and
    log likelihood*. A learned noise is stored as its logarithm, one an output, and starts at 1:
    its maximum-likelihood value is the mean squared error.

    Args:
        noise: the noise variance :math:`\sigma^2` (not the standard deviation), in squared units
            of the target: a number, a tensor with one value an output, or ``"learned"``.
        outputs: how many learned noises: 1 (shared by all outputs) or the number of outputs.
        validate: see `Likelihood`.

    Raises:
        InputError: a noise that is not positive and finite, or `outputs` below 1.

    >>> Normal(noise=0.21).nll(torch.zeros(1), torch.zeros(1))  # log(2 pi 0.21) / 2
    tensor(0.1386)
    """

    def __init__(
        self,
        noise: float | int | Tensor | Literal["learned"] = 1.0,
        outputs: int = 1,
        *,
        validate: bool = True,
    ) -> None:
        super().__init__(validate=validate)
        if outputs < 1:
            raise InputError(f"normal likelihood: outputs must be at least 1, found {outputs}")
        self.learned = isinstance(noise, str)
        if isinstance(noise, str):
            if noise != "learned":
                raise InputError(
                    f"normal likelihood: noise must be a variance or 'learned', found {noise!r}"
                )
            self.log_noise = nn.Parameter(torch.zeros(outputs))
        elif isinstance(noise, Tensor) and noise.ndim > 0:
            self.register_buffer("log_noise", _log_variance(noise))
        else:
            # One number is a setting, not state: kept in float64, and as a scalar on the CPU it
            # combines with tensors of any type on any device.
            self.log_noise = _log_variance(torch.as_tensor(noise, dtype=torch.float64)).cpu()

    @property
    def natural(self) -> bool:
        """Yes: the mean, at a fixed variance."""
        return True

    @property
    def noise(self) -> Float[Tensor, "..."]:
        """The noise variance, one an output or one for all."""
        return self.log_noise.exp()

    def nll_each(
        self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]
    ) -> Float[Tensor, " batch"]:
        """Negative log likelihood of each row, in nats; see the class for the formula.

        Args:
            output: means, ``(batch,)`` or ``(batch, outputs)``, in the target's units.
            target: the output's shape, floating point, finite.

        Raises:
            InputError: another shape or type, or a target that is not finite.
        """
        check_output("normal", output)
        target = check_same_shape("normal", output, target)
        if not target.is_floating_point():
            raise InputError(
                f"normal likelihood: target must be floating point, found {target.dtype}; "
                "convert it (for example .float())"
            )
        if self.validate and readable(target):
            check_range("normal likelihood: target", target)
        log_noise = self._log_noise_for(output)
        # Half precision would lose small residuals; the loss is computed in float32 or better.
        dtype = torch.promote_types(output.dtype, torch.float32)
        residual = target.to(dtype) - output.to(dtype)
        log_noise = log_noise.to(dtype)
        each = residual.square() * (-log_noise).exp() + (log_noise + math.log(2 * math.pi))
        return as_rows(0.5 * each)

    def distribution(self, output: Float[Tensor, "batch ..."]) -> Distribution:
        """Independent normals around the output, one event a row.

        Args:
            output: means, ``(batch,)`` or ``(batch, outputs)``.

        Raises:
            InputError: the number of outputs is not that of the noises.
        """
        deviation = (0.5 * self._log_noise_for(output)).exp()
        return Independent(NormalDistribution(output, deviation.expand_as(output)), output.ndim - 1)

    def root(self, output: Shaped[Tensor, "..."]) -> Float[Tensor, "columns batch ..."]:
        r"""A root of the Fisher information, :math:`1 / \sigma_k`, one column an output.

        Args:
            output: means, ``(batch,)`` or ``(batch, outputs)``; only their shape matters.

        Raises:
            InputError: an output that is not floating point or has no rows, or another number of
                outputs than of noises.

        >>> Normal(noise=0.25).root(torch.zeros(1))
        tensor([[2.]])
        """
        check_output("normal", output)
        output = as_floats(output)
        inverse = (-0.5 * self._log_noise_for(output)).exp().to(output.dtype)
        # Not expanded: about an output that is not finite nothing finite can be said.
        return as_columns(inverse + 0 * output)

    def draw(
        self, output: Shaped[Tensor, "..."], generator: torch.Generator
    ) -> Float[Tensor, "batch ..."]:
        """Numbers in the output's shape, scattered around it with the noise variance.

        Args:
            output: means, ``(batch,)`` or ``(batch, outputs)``.
            generator: source of randomness, see `Likelihood.draw`.

        Raises:
            InputError: as `root`.
        """
        check_output("normal", output)
        output = as_floats(output.detach())
        deviation = (0.5 * self._log_noise_for(output).detach()).exp().to(output.dtype)
        return output + deviation * normals(output, generator)

    def extra_repr(self) -> str:
        """What `repr` shows: the noise, rounded."""
        if self.learned:
            return f"noise='learned', outputs={self.log_noise.numel()}"
        return f"noise={self.noise.tolist()}"

    def _log_noise_for(self, output: Shaped[Tensor, "..."]) -> Float[Tensor, "..."]:
        noises = self.log_noise.numel()
        if noises == 1:
            return self.log_noise.reshape(())
        if output.ndim < 2 or output.shape[-1] != noises:
            raise InputError(
                f"normal likelihood: output must have {noises} columns, one a noise, "
                f"found shape {tuple(output.shape)}"
            )
        return self.log_noise


def _log_variance(variance: Shaped[Tensor, "..."]) -> Float[Tensor, "..."]:
    if variance.ndim > 1 or variance.numel() == 0:
        raise InputError(
            "normal likelihood: noise must be one variance or one an output, "
            f"found shape {tuple(variance.shape)}"
        )
    check_range("normal likelihood: noise", variance.reshape(-1))
    if (variance <= 0).any():
        raise InputError(
            f"normal likelihood: noise must be positive, found {variance.min().item():g}"
        )
    return variance.log()
