"""One class out of several."""

import warnings

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.distributions import Categorical as CategoricalDistribution
from torch.distributions import Distribution

from counterpoint.errors import InputError, one_of
from counterpoint.goals._checks import as_columns, as_floats, check_output, check_range, readable
from counterpoint.goals._likelihood import Likelihood
from counterpoint.goals._noise import uniforms


class Categorical(Likelihood):
    r"""One class out of several: softmax cross-entropy, with class numbers or rows as targets.

    .. math:: \ell = -\sum_c t_c \log p_c, \qquad p = \mathrm{softmax}(f)

    where :math:`t` is 1 at the observed class, or a row of probabilities. Outputs that already are
    probabilities are taken as they are (``inputs="probabilities"``): logarithms of zero are
    infinite, and rows that do not sum to one are no distribution, so they draw a warning.

    Args:
        inputs: what the network puts out: ``"logits"`` (any real numbers) or ``"probabilities"``.
        validate: see `Likelihood`.

    Raises:
        InputError: `inputs` is something else.

    >>> Categorical().nll(torch.zeros(1, 4), torch.tensor([2]))  # log 4
    tensor(1.3863)
    """

    def __init__(
        self,
        inputs: str = "logits",
        *,
        validate: bool = True,
    ) -> None:
        super().__init__(validate=validate)
        self.inputs = one_of("categorical likelihood: inputs", inputs, ("logits", "probabilities"))

    @property
    def classes(self) -> bool:
        """Yes."""
        return True

    @property
    def natural(self) -> bool:
        """Whether they are logits."""
        return self.inputs == "logits"

    def nll_each(
        self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]
    ) -> Float[Tensor, " batch"]:
        """Negative log likelihood of each row, in nats; see the class for the formula.

        Args:
            output: ``(batch, classes)``, logits or probabilities.
            target: class numbers ``(batch,)``, integers from 0 to classes - 1, or rows of
                probabilities ``(batch, classes)``, floating point.

        Raises:
            InputError: another shape or type, a class out of range, a negative probability.

        Warns:
            UserWarning: rows of probabilities (outputs or targets) that do not sum to one.
        """
        self._check_output(output)
        output = as_floats(output)
        if target.is_floating_point():
            self._check_rows(output, target)
            return _against_rows(output, target.to(output.dtype), self.inputs)
        self._check_classes(output, target)
        return _against_classes(output, target.long(), self.inputs)

    def distribution(self, output: Float[Tensor, "batch classes"]) -> Distribution:
        """A categorical distribution over the classes, one a row.

        Args:
            output: ``(batch, classes)``; rows of probabilities are divided by their sum.
        """
        if self.inputs == "logits":
            return CategoricalDistribution(logits=output)
        return CategoricalDistribution(probs=output)

    def root(self, output: Shaped[Tensor, "..."]) -> Float[Tensor, "columns batch classes"]:
        r"""A root of the Fisher information :math:`\mathrm{diag}(p) - p p^\top` about the logits.

        Its Cholesky factor in closed form (Tanabe and Sagae 1992), one column less than classes:
        with :math:`t_k = \sum_{c \ge k} p_c`,

        .. math:: s_k = \sqrt{\frac{p_k t_{k+1}}{t_k}}
            \left( e_k - \frac{1}{t_{k+1}} \sum_{c > k} p_c e_c \right)

        With ``inputs="probabilities"`` the information about these, each taken as free:
        :math:`\mathrm{diag}(1 / p)`, a column a class, zero at a class of probability zero.

        Args:
            output: ``(batch, classes)``, logits or probabilities.

        Raises:
            InputError: another shape or type, or a negative probability.

        >>> Categorical().root(torch.zeros(1, 2))  # probabilities of 1/2
        tensor([[[ 0.5000, -0.5000]]])
        """
        self._check_output(output)
        output = as_floats(output)
        if self.inputs == "logits":
            return _multinomial_root(output)
        return as_columns(output.masked_fill(output == 0, torch.inf).rsqrt())

    def draw(
        self, output: Shaped[Tensor, "..."], generator: torch.Generator
    ) -> Int64[Tensor, " batch"]:
        """A class number a row, drawn at the output's probabilities.

        Args:
            output: ``(batch, classes)``, logits or probabilities.
            generator: source of randomness, see `Likelihood.draw`.

        Raises:
            InputError: as `root`.
        """
        self._check_output(output)
        weights = as_floats(output.detach())
        if self.inputs == "logits":
            weights = weights.softmax(1)
        # The first of exponential clocks that tick at the rates p is c with probability p_c;
        # torch.multinomial does the same, but stops an accelerator at a probability of NaN.
        clocks = -uniforms(weights, generator).log()
        return (clocks / weights).argmin(1)

    def extra_repr(self) -> str:
        """What `repr` shows: what the outputs are."""
        return f"inputs={self.inputs!r}"

    def _check_output(self, output: Shaped[Tensor, "..."]) -> None:
        check_output("categorical", output)
        if output.ndim != 2:
            raise InputError(
                "categorical likelihood: output must have shape (batch, classes), "
                f"found {tuple(output.shape)}"
            )
        if self.validate and self.inputs == "probabilities" and readable(output):
            if (output < 0).any():
                raise InputError(
                    "categorical likelihood: probabilities must not be negative, found "
                    f"{output.min().item():g}; for logits use inputs='logits'"
                )
            _warn_unless_summing_to_one("output", output)

    def _check_rows(self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]) -> None:
        if target.shape != output.shape:
            raise InputError(
                "categorical likelihood: target rows must have the output's shape "
                f"{tuple(output.shape)}, found {tuple(target.shape)} of {target.dtype}; "
                "class numbers must be integers"
            )
        if self.validate and readable(target):
            check_range("categorical likelihood: target probability", target, low=0.0)
            _warn_unless_summing_to_one("target", target)

    def _check_classes(self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]) -> None:
        if target.is_complex() or target.dtype == torch.bool:
            raise InputError(
                "categorical likelihood: target must be integers or floating-point rows, "
                f"found {target.dtype}"
            )
        rows, classes = output.shape
        if target.shape != (rows,):
            raise InputError(
                f"categorical likelihood: class numbers must have shape ({rows},), "
                f"found {tuple(target.shape)}"
            )
        if self.validate and readable(target):
            check_range("categorical likelihood: class number", target, 0, classes - 1)


def _multinomial_root(output: Float[Tensor, "batch classes"]) -> Float[Tensor, "columns batch _"]:
    # In logarithms, which stay finite where probabilities and their sums are 0; the floor is for
    # logits of minus infinity (masked classes).
    logs = output.log_softmax(1).clamp_min(torch.finfo(output.dtype).min / 8)
    tails = logs.flip(1).logcumsumexp(1).flip(1)
    shared = 0.5 * (logs - tails)[:, :-1, None]
    later = 0.5 * tails[:, 1:, None]
    place = torch.arange(output.shape[1], device=output.device)
    below = place > place[:-1, None]
    exponents = torch.where(below, shared - later + logs[:, None, :], shared + later)
    # Masked before the exponential, which could overflow above the diagonal.
    values = exponents.masked_fill(place < place[:-1, None], -torch.inf).exp()
    return torch.where(below, -values, values).movedim(1, 0)


def _against_classes(
    output: Float[Tensor, "batch classes"], target: Shaped[Tensor, " batch"], inputs: str
) -> Float[Tensor, " batch"]:
    if inputs == "logits":
        return torch.nn.functional.cross_entropy(output, target, reduction="none")
    return -output.gather(1, target.unsqueeze(1)).squeeze(1).log()


def _against_rows(
    output: Float[Tensor, "batch classes"], target: Float[Tensor, "batch classes"], inputs: str
) -> Float[Tensor, " batch"]:
    # A class of target probability 0 contributes 0 even where its own probability is 0; masking
    # before the logarithm (not after) also keeps the gradient free of 0 * inf.
    unseen = target == 0
    if inputs == "logits":
        logs = output.log_softmax(1).masked_fill(unseen, 0.0)
    else:
        logs = output.masked_fill(unseen, 1.0).log()
    return -(target * logs).sum(1)


def _warn_unless_summing_to_one(what: str, rows: Shaped[Tensor, "batch classes"]) -> None:
    sums = rows.sum(1)
    tolerance = max(1e-4, 8 * torch.finfo(rows.dtype).eps)
    wrong = (sums - 1).abs() > tolerance
    if wrong.any():
        row = int(wrong.nonzero()[0].item())
        warnings.warn(
            f"categorical likelihood: {what} rows must sum to 1, found {sums[row].item():.4g} in "
            f"row {row}; they are no distribution: divide by their sum, or use logits",
            stacklevel=4,
        )
