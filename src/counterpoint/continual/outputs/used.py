"""Which outputs a task's likelihood looks at: those of other tasks are none of its business."""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.distributions import Distribution

from counterpoint.goals import Categorical, Likelihood, Normal, Poisson

__all__ = ["Identity", "has_logits", "used"]


def has_logits(likelihood: Likelihood) -> bool:
    """Whether outputs are of a choice, on the scale on which zeros say nothing."""
    if isinstance(likelihood, Categorical):
        return likelihood.inputs == "logits"
    return not isinstance(likelihood, Normal | Poisson)


def used(likelihood: Likelihood, output: Float[Tensor, "batch ..."]) -> Bool[Tensor, "..."]:
    """Which outputs of a row a likelihood knows anything of, at outputs of zero; or all."""
    # probabilities of zero have no root; all of them are looked at anyway
    if isinstance(likelihood, Categorical) and not has_logits(likelihood):
        return torch.ones_like(output[0], dtype=torch.bool)
    with torch.no_grad():
        # at zeros every class that competes has information; certainty elsewhere would hide some
        found = (likelihood.root(torch.zeros_like(output[:1])) != 0).any(0)[0]
    return found if bool(found.any()) else torch.ones_like(found)


class Identity(Likelihood):
    """A likelihood whose Fisher information is 1 for each output that another looks at.

    The Fisher information of a model under it is ``Σ J'J`` over these outputs, in as many columns.
    """

    def __init__(self, inner: Likelihood) -> None:
        super().__init__(validate=inner.validate)
        self.inner = inner

    def nll_each(
        self, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]
    ) -> Float[Tensor, " batch"]:
        """The inner one's."""
        return self.inner.nll_each(output, target)

    def distribution(self, output: Float[Tensor, "batch ..."]) -> Distribution:
        """The inner one's."""
        return self.inner.distribution(output)

    def root(self, output: Shaped[Tensor, "..."]) -> Float[Tensor, "columns batch ..."]:
        """A unit vector for each output that is looked at."""
        mask = used(self.inner, output)
        # Σ_k s_k s_k' is the identity over the outputs that are looked at
        columns = torch.eye(mask.numel(), dtype=output.dtype, device=output.device)
        columns = columns[mask.flatten()].view(-1, 1, *mask.shape)
        return columns.expand(-1, *output.shape)

    def draw(
        self, output: Shaped[Tensor, "..."], generator: torch.Generator
    ) -> Shaped[Tensor, "batch ..."]:
        """The inner one's."""
        return self.inner.draw(output, generator)
