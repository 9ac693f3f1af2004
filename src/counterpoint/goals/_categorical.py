"""One class out of several."""

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor
from torch.distributions import Categorical as CategoricalDistribution
from torch.distributions import Distribution, Independent

from counterpoint.errors import InputError, one_of
from counterpoint.goals._checks import (
    as_columns,
    as_floats,
    as_rows,
    check_output,
    check_range,
    readable,
)
from counterpoint.goals._class_layout import ClassLayout
from counterpoint.goals._likelihood import Likelihood
from counterpoint.goals._noise import uniforms
from counterpoint.goals._softmax import against_classes, against_rows, multinomial_root


class Categorical(Likelihood):
    r"""One class out of several: softmax cross-entropy, with class numbers or rows as targets.

    .. math:: \ell = -\sum_c t_c \log p_c, \qquad p = \mathrm{softmax}(f)

    where :math:`t` is 1 at the observed class, or a row of probabilities. Outputs that already are
    probabilities are taken as they are (``inputs="probabilities"``): logarithms of zero are
    infinite, and rows that do not sum to one are no distribution, so they draw a warning.

    Args:
        inputs: what the network puts out: ``"logits"`` (any real numbers) or ``"probabilities"``.
        weight: of each class, (classes,), at least 0: a row counts as often as its target's class
            says, :math:`w` in :math:`\ell = -\sum_c w_c t_c \log p_c`.
        ignore_index: the class number of rows that say nothing: loss and information are zero.
        label_smoothing: the share of :math:`t` that is spread evenly over all classes, 0 to 1.
        dim: the axis of the classes in outputs with several positions a row; none means the last of
            three, ``(batch, tokens, classes)``, and the first after the rows of more,
            ``(batch, classes, height, width)``.
        validate: see `Likelihood`.

    Positions are independent given the output, so a row's loss is the sum of theirs, and so is its
    Fisher information; targets are class numbers of the output's shape without the classes.

    Row losses are those of `torch.nn.CrossEntropyLoss` with the same arguments and
    ``reduction="none"``; its mean over the weights of a batch is ``nll(..., mean_weight="batch")``.

    Raises:
        InputError: an argument that breaks its rule.

    >>> Categorical().nll(torch.zeros(1, 4), torch.tensor([2]))  # log 4
    tensor(1.3863)
    """

    weight: Tensor | None

    def __init__(
        self,
        inputs: str = "logits",
        *,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        dim: int | None = None,
        validate: bool = True,
    ) -> None:
        super().__init__(validate=validate)
        self.dim = dim
        self.inputs = one_of("categorical likelihood: inputs", inputs, ("logits", "probabilities"))
        if not 0.0 <= label_smoothing <= 1.0:
            raise InputError(
                "categorical likelihood: label_smoothing must be from 0 to 1, found"
                f" {label_smoothing}"
            )
        self.ignore_index, self.label_smoothing = ignore_index, float(label_smoothing)
        # no part of any state: it is written in the code that made it
        self.register_buffer("weight", _class_weights(weight), persistent=False)

    @property
    def classes(self) -> bool:
        """Yes."""
        return True

    @property
    def weighs(self) -> bool:
        """Whether classes have weights."""
        return self.weight is not None

    @property
    def plain(self) -> "Categorical":
        """Without weights, smoothing, and rows that are left out."""
        return Categorical(self.inputs, dim=self.dim, validate=self.validate)

    @property
    def natural(self) -> bool:
        """Whether they are logits."""
        return self.inputs == "logits"

    def nll_each(
        self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]
    ) -> Float[Tensor, " batch"]:
        """Negative log likelihood of each row, in nats; see the class for the formula.

        Args:
            output: ``(batch, classes)``, logits or probabilities; or with positions, see `dim`.
            target: class numbers ``(batch,)``, integers from 0 to classes - 1 (or `ignore_index`),
                ``(batch, ...)`` of positions; or probabilities of the output's shape.

        Raises:
            InputError: another shape or type, a class out of range, a negative probability, or
                class weights for another number of classes.

        Warns:
            UserWarning: rows of probabilities (outputs or targets) that do not sum to one.
        """
        at = self._checked(output)
        output, soft = as_floats(output), target.is_floating_point()
        if soft:
            self._check_rows(output, target)
        else:
            self._check_classes(at, target)
        each = self._losses(at.rows(output), at.rows(target) if soft else target.reshape(-1))
        return as_rows(each.view(at.lead))

    def weight_of(self, target: Shaped[Tensor, "..."]) -> Float[Tensor, "batch ..."] | None:
        """What class weights, smoothed as the target is, make of it; 0 where it is ignored."""
        if target.is_floating_point():
            if self.weight is None or target.ndim < 2:
                return None
            at = ClassLayout.of(target.shape, self.dim)
            # other rows are no target of this likelihood's, as its loss will say
            known = at.classes == len(self.weight)
            return self._weights(at.rows(target)).view(at.lead) if known else None
        ignored = self._ignored(target)
        if self.weight is None or target.ndim == 0:
            return None if ignored is None else (~ignored).float()
        if self.validate and readable(target):
            self._check_numbers(target, len(self.weight))
        flat = target.reshape(-1)
        rows = self._rows(flat, self._ignored(flat), len(self.weight))
        return self._weights(rows).view(target.shape)

    def aligned(
        self, weight: Float[Tensor, "batch ..."], output: Float[Tensor, "batch ..."]
    ) -> Float[Tensor, "batch ..."]:
        """One weight for all classes of a row, or of a position."""
        if weight.ndim == 1:
            return super().aligned(weight, output)
        return weight.unsqueeze(self.layout(output).axis)

    def layout(self, output: Shaped[Tensor, "..."]) -> ClassLayout:
        """Where an output has its classes, and which positions.

        Args:
            output: of any rows; only its shape matters.
        """
        return ClassLayout.of(output.shape, self.dim)

    def blocks(self, output: Float[Tensor, "batch ..."]) -> Int64[Tensor, "blocks size"]:
        """The classes of each position."""
        at = ClassLayout.of(torch.Size((1, *output.shape[1:])), self.dim)
        return at.rows(torch.arange(at.shape.numel()).view(at.shape))

    def class_axis(self, output: Float[Tensor, "batch ..."]) -> int:
        """As `dim` says, from 1."""
        return self.layout(output).axis

    def used(self, output: Float[Tensor, "batch ..."]) -> Bool[Tensor, "..."]:
        """Of each position the same classes.

        Args:
            output: of any rows; only its shape and type matter.
        """
        at = self.layout(output)
        classes = super().used(output.new_zeros(1, at.classes))
        return at.back(classes.expand(at.lead.numel(), -1))[0]

    def _weights(self, rows: Float[Tensor, "rows classes"]) -> Float[Tensor, " rows"]:
        """How much rows of probabilities count by the weights of their classes."""
        return self._smoothed(rows.float()) @ torch.as_tensor(self.weight).to(rows.device).float()

    def _losses(
        self, output: Float[Tensor, "rows classes"], target: Shaped[Tensor, "rows ..."]
    ) -> Float[Tensor, " rows"]:
        """Losses of checked class numbers, or of rows of probabilities."""
        return self._loss(output, target, self._ignored(target))

    def _loss(self, output: Tensor, target: Tensor, ignored: Tensor | None) -> Tensor:
        """The same, given which class numbers say nothing."""
        if self.weight is not None and len(self.weight) != output.shape[1]:
            raise InputError(
                f"categorical likelihood: weight has {len(self.weight)} classes, the output"
                f" {output.shape[1]}"
            )
        if not target.is_floating_point() and not self.weighs and not self.label_smoothing:
            # a class that is there in place of none: the usual loss is one fused kernel
            kept = target if ignored is None else target.masked_fill(ignored, 0)
            each = against_classes(output, kept.long(), self.inputs)
            return each if ignored is None else each.masked_fill(ignored, 0.0)
        if not target.is_floating_point():
            target = self._rows(target, ignored, output.shape[1])
        target = self._smoothed(target.to(output.dtype))
        if self.weight is not None:
            target = target * self.weight.to(target)
        return against_rows(output, target, self.inputs)

    def _ignored(self, target: Tensor) -> Tensor | None:
        """Which class numbers say nothing; none where all say something."""
        if self.ignore_index is None or target.is_floating_point():
            return None
        return target == self.ignore_index

    def _rows(self, target: Tensor, ignored: Tensor | None, classes: int) -> Tensor:
        """Class numbers as rows with a 1 at the class, or with nothing at all."""
        kept = target.long() if ignored is None else target.long().masked_fill(ignored, 0)
        rows = torch.nn.functional.one_hot(kept, classes).float()
        return rows if ignored is None else rows.masked_fill(ignored[:, None], 0.0)

    def _smoothed(self, rows: Tensor) -> Tensor:
        if not self.label_smoothing:
            return rows
        # a share of the row's own sum, so that a row of nothing stays one
        spread = rows.sum(1, keepdim=True) * (self.label_smoothing / rows.shape[1])
        return rows * (1.0 - self.label_smoothing) + spread

    def distribution(self, output: Float[Tensor, "batch ..."]) -> Distribution:
        """A categorical distribution over the classes, one a row, of all its positions.

        Args:
            output: ``(batch, classes)``, or with positions; probabilities are divided by their sum.
        """
        at = self.layout(output)
        return _over_positions(self._distribution(output.movedim(at.axis, -1)))

    def _distribution(self, output: Float[Tensor, "... classes"]) -> CategoricalDistribution:
        """One for each row of outputs."""
        if self.inputs == "logits":
            return CategoricalDistribution(logits=output)
        return CategoricalDistribution(probs=output)

    def root(self, output: Shaped[Tensor, "..."]) -> Float[Tensor, "columns batch ..."]:
        r"""A root of the Fisher information :math:`\mathrm{diag}(p) - p p^\top` about the logits.

        Its Cholesky factor in closed form (Tanabe and Sagae 1992), one column less than classes:
        with :math:`t_k = \sum_{c \ge k} p_c`,

        .. math:: s_k = \sqrt{\frac{p_k t_{k+1}}{t_k}}
            \left( e_k - \frac{1}{t_{k+1}} \sum_{c > k} p_c e_c \right)

        With ``inputs="probabilities"`` the information about these, each taken as free:
        :math:`\mathrm{diag}(1 / p)`, a column a class, zero at a class of probability zero. Of
        several positions each has columns of its own.

        Args:
            output: ``(batch, classes)``, logits or probabilities; or with positions.

        Raises:
            InputError: another shape or type, or a negative probability.

        >>> Categorical().root(torch.zeros(1, 2))  # probabilities of 1/2
        tensor([[[ 0.5000, -0.5000]]])
        """
        at = self._checked(output)
        return at.apart(self._root(at.rows(as_floats(output))))

    def _root(self, output: Float[Tensor, "rows classes"]) -> Float[Tensor, "columns rows classes"]:
        """Of rows of classes."""
        if self.inputs == "logits":
            return multinomial_root(output)
        return as_columns(output.masked_fill(output == 0, torch.inf).rsqrt())

    def draw(
        self, output: Shaped[Tensor, "..."], generator: torch.Generator
    ) -> Int64[Tensor, "batch ..."]:
        """A class number a row, or a position, drawn at the output's probabilities.

        Args:
            output: ``(batch, classes)``, logits or probabilities; or with positions.
            generator: source of randomness, see `Likelihood.draw`.

        Raises:
            InputError: as `root`.
        """
        at = self._checked(output)
        return self._draw(at.rows(as_floats(output.detach())), generator).view(at.lead)

    def _draw(
        self, weights: Float[Tensor, "rows classes"], generator: torch.Generator
    ) -> Int64[Tensor, " rows"]:
        """Of rows of classes."""
        if self.inputs == "logits":
            weights = weights.softmax(1)
        # The first of exponential clocks that tick at the rates p is c with probability p_c;
        # torch.multinomial does the same, but stops an accelerator at a probability of NaN.
        clocks = -uniforms(weights, generator).log()
        return (clocks / weights).argmin(1)

    def extra_repr(self) -> str:
        """What `repr` shows: what the outputs are, and what targets are made of."""
        said = [f"inputs={self.inputs!r}", *self._options()]
        return ", ".join(said)

    def _options(self) -> list[str]:
        weight = None if self.weight is None else self.weight.tolist()
        found = {"weight": weight, "ignore_index": self.ignore_index, "dim": self.dim}
        said = [f"{name}={value}" for name, value in found.items() if value is not None]
        return [*said, f"label_smoothing={self.label_smoothing}"] if self.label_smoothing else said

    def _checked(self, output: Shaped[Tensor, "..."]) -> ClassLayout:
        """Where a fitting output has its classes."""
        check_output("categorical", output)
        if output.ndim < 2:
            raise InputError(
                "categorical likelihood: output must have shape (batch, classes), "
                f"found {tuple(output.shape)}"
            )
        at = self.layout(output)
        if self.validate and self.inputs == "probabilities" and readable(output):
            if (output < 0).any():
                raise InputError(
                    "categorical likelihood: probabilities must not be negative, found "
                    f"{output.min().item():g}; for logits use inputs='logits'"
                )
            _warn_unless_summing_to_one("output", output, at)
        return at

    def _check_rows(self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]) -> None:
        if target.shape != output.shape:
            raise InputError(
                "categorical likelihood: target rows must have the output's shape "
                f"{tuple(output.shape)}, found {tuple(target.shape)} of {target.dtype}; "
                "class numbers must be integers"
            )
        if self.validate and readable(target):
            check_range("categorical likelihood: target probability", target, low=0.0)
            _warn_unless_summing_to_one("target", target, self.layout(target))

    def _check_classes(self, at: ClassLayout, target: Shaped[Tensor, "..."]) -> None:
        if target.is_complex() or target.dtype == torch.bool:
            raise InputError(
                "categorical likelihood: target must be integers or floating-point rows, "
                f"found {target.dtype}"
            )
        if target.shape != at.lead:
            raise InputError(
                f"categorical likelihood: class numbers must have shape {tuple(at.lead)}, "
                f"found {tuple(target.shape)}{at.elsewhere(target.shape)}"
            )
        if self.validate and readable(target):
            self._check_numbers(target, at.classes)

    def _check_numbers(self, target: Tensor, classes: int) -> None:
        ignored = self._ignored(target)
        kept = target if ignored is None else target.masked_fill(ignored, 0)
        try:
            check_range("categorical likelihood: class number", kept, 0, classes - 1)
        except InputError as error:
            # -100 is what torch ignores unasked
            if self.ignore_index is None and bool((kept == -100).any()):
                raise InputError(
                    f"{error}; rows that say nothing: Categorical(ignore_index=-100)"
                ) from None
            raise


def _class_weights(weight: Tensor | Sequence[float] | None) -> Tensor | None:
    if weight is None:
        return None
    found = torch.as_tensor(weight, dtype=torch.get_default_dtype()).detach()
    if found.ndim != 1 or not bool((torch.isfinite(found) & (found >= 0)).all()):
        raise InputError(
            "categorical likelihood: weight must be one number a class, finite and at least 0,"
            f" found {found.tolist()}"
        )
    return found


def _over_positions(found: CategoricalDistribution) -> Distribution:
    """One distribution a row, of all its positions."""
    positions = len(found.batch_shape) - 1
    return Independent(found, positions) if positions > 0 else found


def _warn_unless_summing_to_one(what: str, rows: Shaped[Tensor, "..."], at: ClassLayout) -> None:
    sums = rows.sum(at.axis)
    tolerance = max(1e-4, 8 * torch.finfo(rows.dtype).eps)
    wrong = (sums - 1).abs() > tolerance
    if wrong.any():
        row = int(wrong.nonzero()[0, 0])
        warnings.warn(
            f"categorical likelihood: {what} rows must sum to 1, found"
            f" {sums[wrong][0].item():.4g} in row {row}; they are no distribution: divide by their"
            " sum, or use logits",
            stacklevel=4,
        )
