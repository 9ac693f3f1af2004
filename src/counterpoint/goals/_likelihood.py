"""What a likelihood is: row losses, a distribution, and one weighted mean for all of them."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn
from torch.distributions import Distribution

from counterpoint.goals._checks import as_rows, readable
from counterpoint.goals._rows import mean_of_rows


class Likelihood(nn.Module, ABC):
    r"""How targets scatter around a network's outputs: the interface of every likelihood.

    A likelihood gives :math:`\ell_i = -\log p(y_i \mid f_i)` for each row and the distribution
    itself; the weighted mean is the same for all and is written here once. It is a module because
    it may own parameters (a learned noise), which are trained with the network's.

    Shapes, types and, on the CPU, values of targets and weights are checked at every call. Values
    on an accelerator are not read, since that would stall it, nor while torch.compile traces.
    Outputs that are not finite give a loss that is not finite: that is for the loop to judge.

    Args:
        validate: False to skip every look at values (inside ``torch.func.vmap``, say).
    """

    def __init__(self, *, validate: bool = True) -> None:
        super().__init__()
        self.validate = validate

    @property
    def classes(self) -> bool:
        """Whether targets are classes (or yes and no), rather than quantities."""
        return False

    @property
    def natural(self) -> bool:
        """Whether the output is the natural parameter of an exponential family.

        Then the Fisher information is the Hessian in the output (Martens 2020, section 9), and the
        canonical link leads to the mean. A mean of normal noise counts, its variance being fixed.
        """
        return False

    @property
    def noise(self) -> Float[Tensor, "..."] | None:
        """The variance of normal noise around the output, one an output or one for all, or none.

        None where targets scatter otherwise: what is told here may be scaled by the evidence.
        """
        return None

    @property
    def weighs(self) -> bool:
        """Whether what was observed decides how much a row counts, so that targets are needed."""
        return False

    @property
    def plain(self) -> "Likelihood":
        """The likelihood of one target, without what weighs, leaves out or smooths targets."""
        return self

    def weight_of(self, target: Shaped[Tensor, "..."]) -> Float[Tensor, "batch ..."] | None:
        """How much each row counts by what was observed in it, as repetition; none means once.

        `nll_each` has it as a factor. A row of 0 says nothing, and is not looked at. Where a row
        has several positions each has its own, ``(batch, ...)``.

        Args:
            target: what was observed.
        """
        del target

    def aligned(
        self, weight: Float[Tensor, "batch ..."], output: Float[Tensor, "batch ..."]
    ) -> Float[Tensor, "batch ..."]:
        """What `weight_of` gave, in dimensions that multiply the output.

        Args:
            weight: one a row, or one a position.
            output: of these rows.
        """
        return weight.view(-1, *[1] * (output.ndim - 1))

    def blocks(self, output: Float[Tensor, "batch ..."]) -> Int64[Tensor, "blocks size"]:
        """Which outputs of a row, by their flat places, a target is about together.

        Args:
            output: of any rows; only its shape matters.

        >>> from counterpoint.goals import Categorical
        >>> Categorical().blocks(torch.zeros(1, 2, 3)).tolist()  # two tokens of three classes
        [[0, 1, 2], [3, 4, 5]]
        """
        return torch.arange(output.shape[1:].numel())[None]

    def class_axis(self, output: Float[Tensor, "batch ..."]) -> int:
        """The axis of an output along which classes stand, where targets are classes.

        Args:
            output: of any rows; only its shape matters.
        """
        del output
        return 1

    @property
    def has_logits(self) -> bool:
        """Whether outputs are of a choice, on the scale on which zeros say nothing."""
        return self.classes and self.natural

    def used(self, output: Float[Tensor, "batch ..."]) -> Bool[Tensor, "..."]:
        """Which outputs of a row the likelihood knows anything of; or all.

        Args:
            output: of any rows; only its shape and type matter.

        >>> from counterpoint.goals import Normal
        >>> Normal().used(torch.zeros(2, 3))
        tensor([True, True, True])
        """
        if self.classes and not self.natural:
            # probabilities of zero have no finite information
            return torch.ones_like(output[0], dtype=torch.bool)
        with torch.no_grad():
            # every class that competes has information at zeros; certainty would hide some
            found = (self.root(torch.zeros_like(output[:1])) != 0).any(0)[0]
        return found if bool(found.any()) else torch.ones_like(found)

    @abstractmethod
    def nll_each(
        self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]
    ) -> Float[Tensor, " batch"]:
        """Negative log likelihood of each row, in nats, summed over the outputs of a row.

        Args:
            output: what the network put out, ``(batch, ...)``; each likelihood says on what scale.
            target: what was observed.

        Raises:
            InputError: shapes or types do not fit, or values are outside the likelihood's support.
        """

    @abstractmethod
    def distribution(self, output: Float[Tensor, "batch ..."]) -> Distribution:
        """The predictive distribution, one a row: ``-distribution(f).log_prob(y)`` is `nll_each`.

        Args:
            output: what the network put out, ``(batch, ...)``.
        """

    @abstractmethod
    def root(self, output: Shaped[Tensor, "..."]) -> Float[Tensor, "columns batch ..."]:
        r"""A root of each row's Fisher information about its output, column by column.

        .. math:: \sum_k s_k s_k^\top
            = \operatorname{E}_{y \mid f} \left[ \nabla \ell \, \nabla \ell^\top \right]

        with the gradient in the output :math:`f` and the target drawn from the likelihood itself.
        Where the output is a natural parameter (logits, logarithm of a rate, mean) this is the
        Hessian of :math:`\ell` too, so that pulling the columns back through a network gives the
        generalised Gauss-Newton matrix (Martens 2020, section 9). Parameters of the likelihood
        (a learned noise) are held fixed. Computed in float32 or better, with a graph.

        Args:
            output: what the network put out, ``(batch, ...)``.

        Returns:
            ``(columns, *output.shape)``: fewest columns that do, one for outputs ``(batch,)``.

        Raises:
            InputError: an output of another shape or type.
        """

    @abstractmethod
    def draw(
        self, output: Shaped[Tensor, "..."], generator: torch.Generator
    ) -> Shaped[Tensor, "batch ..."]:
        """One target a row, drawn from the likelihood at this output; it carries no graph.

        Args:
            output: what the network put out, ``(batch, ...)``.
            generator: source of randomness; on another device than the output it costs a transfer,
                and gives the same draws whatever the output's device.

        Returns:
            What `nll_each` takes as target, on the output's device.

        Raises:
            InputError: an output of another shape or type.
        """

    def marginal(
        self, mean: Float[Tensor, "rows ..."], variance: Float[Tensor, "rows ..."]
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """Mean, noise and knowledge of a target that is about normal, where the output is normal.

        None, as here, where that has no closed form, or follows from `noise` or a canonical link.

        Args:
            mean: of the output.
            variance: of the output.
        """
        del mean, variance
        return None

    def nll(
        self,
        output: Shaped[Tensor, "..."],
        target: Shaped[Tensor, "..."],
        weight: Shaped[Tensor, "..."] | None = None,
        *,
        mean_weight: float | int | Literal["batch"] = 1.0,
    ) -> Float[Tensor, ""]:
        r"""The scalar to minimise: the mean negative log likelihood, in nats a row.

        Without weights the plain mean. With weights, for a batch of :math:`B` rows,

        .. math:: \frac{1}{B \bar w} \sum_{i=1}^{B} w_i \ell_i

        where :math:`\bar w` is the mean weight of the *whole* data set. This is unbiased for the
        data set's :math:`\sum w \ell / \sum w` whatever the batch size, and linear in the rows:
        micro-batches and ranks combine by their share of rows, with no synchronisation.
        ``mean_weight="batch"`` divides by the batch's own :math:`\sum w_i` instead, as
        ``torch.nn.functional.cross_entropy`` does with class weights; it does not depend on the
        scale of the weights, but is biased (with one row a batch it ignores them). Of several
        positions a row it is the mean over those that count.

        Args:
            output: what the network put out, ``(batch, ...)``.
            target: what was observed.
            weight: how much each row counts, ``(batch,)``, finite and not negative.
            mean_weight: mean weight of the whole data set, or ``"batch"``. Not used without
                `weight`.

        Raises:
            InputError: as `nll_each`, or a weight that cannot be used.

        >>> from counterpoint.goals import Poisson
        >>> output, target = torch.zeros(4), torch.tensor([0.0, 1.0, 0.0, 1.0])
        >>> weight = torch.tensor([1.0, 0.0, 2.0, 1.0])
        >>> Poisson().nll(output, target, weight, mean_weight=0.5)
        tensor(2.)
        >>> Poisson().nll(output, target, weight, mean_weight="batch")
        tensor(1.)
        """
        each = self._where_counted(output, target, weight)
        counts = self.weight_of(target) if mean_weight == "batch" else None
        if counts is not None:
            # the losses have the weights of their targets already: divided by all that weighs them
            counts = as_rows(counts)
            total = each.sum() if weight is None else (weight.to(each) * each).sum()
            mass = (counts if weight is None else weight.to(counts) * counts).sum().to(each)
            return total / torch.where(mass == 0, torch.ones_like(mass), mass)
        mean = mean_of_rows(each, weight, mean_weight, validate=self.validate)
        # what the batch counts is its positions, whether or not some of them say nothing
        return mean / len(self.blocks(output)) if mean_weight == "batch" else mean

    def _where_counted(
        self, output: Tensor, target: Tensor, weight: Tensor | None
    ) -> Float[Tensor, " batch"]:
        """Row losses, 0 for rows of weight 0, which are not looked at where looking is free."""
        rows = output.shape[:1]
        if weight is None or weight.shape != rows or target.shape[:1] != rows:
            return self.nll_each(output, target)
        if not (self.validate and readable(weight)) or bool((weight != 0).all()):
            return self.nll_each(output, target)
        counted = weight.nonzero()[:, 0]
        if not len(counted):
            return output[:0].sum() + output.new_zeros(rows)  # zero, with a graph
        some = self.nll_each(output[counted], target[counted])
        return some.new_zeros(rows).index_copy(0, counted, some)
