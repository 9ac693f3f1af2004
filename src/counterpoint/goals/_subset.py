"""One class out of those that compete: the softmax of some outputs, the others left alone."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.distributions import Categorical as CategoricalDistribution
from torch.distributions import Distribution

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
        validate: see `Likelihood`.

    Raises:
        InputError: fewer than two, negative places, or one twice.

    >>> likelihood = SubsetCategorical((2, 3))
    >>> likelihood.nll(torch.tensor([[9.0, 9.0, 0.0, 0.0]]), torch.tensor([2]))  # log 2
    tensor(0.6931)
    """

    chosen: Tensor

    def __init__(self, outputs: Sequence[int], *, validate: bool = True) -> None:
        super().__init__(validate=validate)
        self.outputs = tuple(int(place) for place in outputs)
        if len(set(self.outputs)) != len(self.outputs) or len(self.outputs) < 2:
            raise InputError(
                f"subset likelihood: expected two outputs or more, none twice, found {self.outputs}"
            )
        if min(self.outputs) < 0:
            raise InputError(
                f"subset likelihood: outputs are places from 0, found {min(self.outputs)}"
            )
        # no part of any state: it is written in the code that made it
        self.register_buffer("chosen", torch.tensor(self.outputs), persistent=False)

    def nll_each(
        self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]
    ) -> Float[Tensor, " batch"]:
        """Negative log likelihood of each row, in nats.

        Args:
            output: ``(batch, classes)``, logits of all outputs.
            target: class numbers ``(batch,)`` among all outputs, or rows of probabilities.

        Raises:
            InputError: as `Categorical`; or a class that does not compete (names it).
        """
        some = self._some(output)
        if target.is_floating_point():
            self._check_rows(output, target)
            # a soft target's share on outputs that do not compete is left out of the sum
            return super().nll_each(some, target[:, self.chosen.to(target.device)])
        self._check_classes(output, target)
        places = target.new_full((output.shape[1],), -1, dtype=torch.long)
        places[self.chosen.to(places.device)] = torch.arange(
            len(self.outputs), device=places.device
        )
        local = places[target.long()]
        if self.validate and readable(target) and bool((local < 0).any()):
            raise InputError(
                f"subset likelihood: class number {int(target[local < 0][0])} does not compete;"
                f" those that do: {self._listed()}"
            )
        return super().nll_each(some, local)

    def distribution(self, output: Float[Tensor, "batch classes"]) -> Distribution:
        """A categorical distribution over all outputs, zero where they do not compete.

        Args:
            output: ``(batch, classes)``, logits of all outputs.
        """
        return CategoricalDistribution(logits=self.logits(output))

    def logits(self, output: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """The outputs, minus infinity where they do not compete.

        Args:
            output: ``(batch, classes)``.
        """
        others = torch.ones(output.shape[1], dtype=torch.bool, device=output.device)
        others[self.chosen.to(output.device)] = False
        return output.masked_fill(others, -torch.inf)

    def root(self, output: Shaped[Tensor, "..."]) -> Float[Tensor, "columns batch classes"]:
        """A root of the Fisher information about the logits, zero where they do not compete.

        One column less than outputs that compete, so that two of a hundred cost one.

        Args:
            output: ``(batch, classes)``, logits of all outputs.

        Raises:
            InputError: another shape or type.
        """
        some = super().root(self._some(output))
        # zeros: no information about an output that the likelihood never looks at
        whole = some.new_zeros(*some.shape[:2], output.shape[1])
        return whole.index_copy(2, self.chosen.to(whole.device), some)

    def draw(
        self, output: Shaped[Tensor, "..."], generator: torch.Generator
    ) -> Int64[Tensor, " batch"]:
        """A class number a row, of those that compete.

        Args:
            output: ``(batch, classes)``, logits of all outputs.
            generator: source of randomness.

        Raises:
            InputError: as `root`.
        """
        some = self._some(output)
        return self.chosen.to(some.device)[super().draw(some, generator)]

    def extra_repr(self) -> str:
        """What `repr` shows: the outputs."""
        return f"outputs={self.outputs}"

    def _some(self, output: Shaped[Tensor, "..."]) -> Shaped[Tensor, "batch some"]:
        self._check_output(output)
        if output.shape[1] <= max(self.outputs):
            raise InputError(
                f"subset likelihood: outputs {self._listed()} compete, found an output of"
                f" {output.shape[1]} columns"
            )
        return output[:, self.chosen.to(output.device)]

    def _listed(self) -> str:
        return ", ".join(map(str, self.outputs))
