"""Yes or no."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.distributions import Bernoulli as BernoulliDistribution
from torch.distributions import Distribution, Independent

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
from counterpoint.goals._noise import uniforms


class Bernoulli(Likelihood):
    r"""Yes or no, one or several a row, each independent given the output.

    .. math:: \ell = -\sum_k \left( y_k \log s(f_k) + (1 - y_k) \log(1 - s(f_k)) \right)

    with the logistic function :math:`s`, computed from the logit so that it neither overflows nor
    loses digits.

    Args:
        validate: see `Likelihood`.

    >>> Bernoulli().nll(torch.zeros(3), torch.tensor([0.0, 1.0, 1.0]))  # log 2
    tensor(0.6931)
    """

    @property
    def classes(self) -> bool:
        """Yes."""
        return True

    @property
    def natural(self) -> bool:
        """Yes: the logit."""
        return True

    def nll_each(
        self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]
    ) -> Float[Tensor, " batch"]:
        """Negative log likelihood of each row, in nats; see the class for the formula.

        Args:
            output: logits, ``(batch,)`` or ``(batch, outputs)``.
            target: the output's shape: 0 or 1 of any real type, or a probability between.

        Raises:
            InputError: another shape or type, or a target outside [0, 1].
        """
        check_output("bernoulli", output)
        target = check_same_shape("bernoulli", output, target)
        if target.is_complex():
            raise InputError(
                f"bernoulli likelihood: target must be a real number, found {target.dtype}"
            )
        if self.validate and readable(target):
            check_range("bernoulli likelihood: target", target, 0.0, 1.0)
        output = as_floats(output)
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            output, target.to(output.dtype), reduction="none"
        )
        return as_rows(each)

    def distribution(self, output: Float[Tensor, "batch ..."]) -> Distribution:
        """Independent Bernoullis, one event a row.

        Args:
            output: logits, ``(batch,)`` or ``(batch, outputs)``.
        """
        return Independent(BernoulliDistribution(logits=output), output.ndim - 1)

    def root(self, output: Shaped[Tensor, "..."]) -> Float[Tensor, "columns batch ..."]:
        r"""A root of the Fisher information, :math:`\sqrt{s(f_k) s(-f_k)}`, one column an output.

        Args:
            output: logits, ``(batch,)`` or ``(batch, outputs)``.

        Raises:
            InputError: an output that is not floating point or has no rows.

        >>> Bernoulli().root(torch.zeros(1))  # sqrt(1/2 * 1/2)
        tensor([[0.5000]])
        """
        check_output("bernoulli", output)
        output = as_floats(output)
        # Not the root of p (1 - p): 1 - p is 0 long before its logarithm is infinite.
        logs = torch.nn.functional.logsigmoid(output) + torch.nn.functional.logsigmoid(-output)
        return as_columns((0.5 * logs).exp())

    def draw(
        self, output: Shaped[Tensor, "..."], generator: torch.Generator
    ) -> Float[Tensor, "batch ..."]:
        """Zeros and ones in the output's shape, drawn at the output's probabilities.

        Args:
            output: logits, ``(batch,)`` or ``(batch, outputs)``.
            generator: source of randomness, see `Likelihood.draw`.

        Raises:
            InputError: an output that is not floating point or has no rows.
        """
        check_output("bernoulli", output)
        output = as_floats(output.detach())
        # A comparison, since torch.bernoulli stops an accelerator at a probability that is NaN.
        return (uniforms(output, generator) < output.sigmoid()).to(output.dtype)
