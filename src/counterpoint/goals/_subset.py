"""One class out of those that compete: the softmax of some outputs, the others left alone."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor
from torch.distributions import Categorical as CategoricalDistribution

from counterpoint.errors import InputError
from counterpoint.goals._categorical import Categorical
from counterpoint.goals._checks import readable


class SubsetCategorical(Categorical):
    r"""Softmax cross-entropy over some of the outputs, as if the others did not exist.

    .. math:: \ell = -\log \frac{\exp f_y}{\sum_{c \in S} \exp f_c}, \qquad y \in S

    The "labels trick" of class-incremental training, and the head of its own of a
    task-incremental one. The other outputs get no gradient and no Fisher information; they are not
    pushed down for classes that cannot occur in this task. Everything in this package that takes a
    likelihood takes this one, so that loss, curvature, distillation and replay agree on it.

    Args:
        outputs: those that compete, by place; at least two, none twice.
        weight: of each class, of all outputs; see `Categorical`, likewise
        ignore_index: the class number of rows that say nothing,
        dim: the axis of the classes where a row has several positions, and
        label_smoothing: the share of the target that is spread over those that compete.
        validate: see `Likelihood`.

    Raises:
        InputError: fewer than two, negative places, or one twice.

    >>> likelihood = SubsetCategorical((2, 3))
    >>> likelihood.nll(torch.tensor([[9.0, 9.0, 0.0, 0.0]]), torch.tensor([2]))  # log 2
    tensor(0.6931)
    """

    chosen: Tensor
    _inner: Categorical

    def __init__(
        self,
        outputs: Sequence[int],
        *,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        dim: int | None = None,
        validate: bool = True,
    ) -> None:
        super().__init__(
            weight=weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            dim=dim,
            validate=validate,
        )
        self.outputs = tuple(int(place) for place in outputs)
        if len(set(self.outputs)) != len(self.outputs) or len(self.outputs) < 2:
            raise InputError(
                f"subset likelihood: expected two outputs or more, none twice, found {self.outputs}"
            )
        if min(self.outputs) < 0:
            raise InputError(
                f"subset likelihood: outputs are places from 0, found {min(self.outputs)}"
            )
        if self.weight is not None and len(self.weight) <= max(self.outputs):
            raise InputError(
                "subset likelihood: weight must be of all classes,"
                f" {max(self.outputs) + 1} or more, found {len(self.weight)}"
            )
        # what it is among those that compete: no part of the module, whose settings say it all
        inner = Categorical(
            weight=None if self.weight is None else self.weight[list(self.outputs)],
            label_smoothing=label_smoothing,
            validate=validate,
        )
        object.__setattr__(self, "_inner", inner)
        # no part of any state: it is written in the code that made it
        self.register_buffer("chosen", torch.tensor(self.outputs), persistent=False)

    def used(self, output: Float[Tensor, "batch ..."]) -> Bool[Tensor, "..."]:
        """Those that compete.

        Args:
            output: of any rows; only its shape matters.
        """
        at = self.layout(output)
        competing = self._competing(at.classes).to(output.device)
        return at.back(competing.expand(at.lead.numel(), -1))[0]

    def _losses(
        self, output: Float[Tensor, "rows classes"], target: Shaped[Tensor, "rows ..."]
    ) -> Float[Tensor, " rows"]:
        some = self._some(output)
        if target.is_floating_point():
            # a soft target's share on outputs that do not compete is left out of the sum
            return self._inner._losses(some, target[:, self.chosen.to(target.device)])
        matches, ignored = self._matches(target), self._ignored(target)
        if self.validate and readable(target):
            known = matches.any(1) if ignored is None else matches.any(1) | ignored
            if not bool(known.all()):
                raise InputError(
                    f"subset likelihood: class number {int(target[~known][0])} does not compete;"
                    f" those that do: {self._listed()}"
                )
        return self._inner._loss(some, matches.to(torch.uint8).argmax(1), ignored)

    def _weights(self, rows: Float[Tensor, "rows classes"]) -> Float[Tensor, " rows"]:
        return self._inner._weights(rows[:, self.chosen.to(rows.device)])

    @property
    def plain(self) -> "SubsetCategorical":
        """Without weights, smoothing, and rows that are left out."""
        return SubsetCategorical(self.outputs, dim=self.dim, validate=self.validate)

    def _distribution(self, output: Float[Tensor, "... classes"]) -> CategoricalDistribution:
        """Over all outputs, zero where they do not compete."""
        competing = self._competing(output.shape[-1]).to(output.device)
        return CategoricalDistribution(logits=output.masked_fill(~competing, -torch.inf))

    def logits(self, output: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The outputs, minus infinity where they do not compete.

        Args:
            output: ``(batch, classes)``, or with positions.
        """
        return output.masked_fill(~self.used(output), -torch.inf)

    def _root(self, output: Float[Tensor, "rows classes"]) -> Float[Tensor, "columns rows classes"]:
        """One column less than outputs that compete, so that two of a hundred cost one."""
        some = super()._root(self._some(output))
        # zeros: no information about an output that the likelihood never looks at
        whole = some.new_zeros(*some.shape[:2], output.shape[1])
        return whole.index_copy(2, self.chosen.to(whole.device), some)

    def _draw(
        self, weights: Float[Tensor, "rows classes"], generator: torch.Generator
    ) -> Int64[Tensor, " rows"]:
        some = self._some(weights)
        return self.chosen.to(some.device)[super()._draw(some, generator)]

    def extra_repr(self) -> str:
        """What `repr` shows: the outputs."""
        return ", ".join([f"outputs={self.outputs}", *self._options()])

    def _some(self, output: Shaped[Tensor, "rows classes"]) -> Shaped[Tensor, "rows some"]:
        self._competing(output.shape[1])
        return output[:, self.chosen.to(output.device)]

    def _competing(self, classes: int) -> Bool[Tensor, " classes"]:
        """Which classes compete."""
        if classes <= max(self.outputs):
            raise InputError(
                f"subset likelihood: outputs {self._listed()} compete, found an output of"
                f" {classes} columns"
            )
        found = torch.zeros(classes, dtype=torch.bool)
        found[list(self.outputs)] = True
        return found

    def _matches(self, target: Tensor) -> Tensor:
        """Which of the outputs that compete each class number is."""
        return target[:, None] == self.chosen.to(target.device)

    def _listed(self) -> str:
        return ", ".join(map(str, self.outputs))
