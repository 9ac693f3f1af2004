"""Every output that a task's likelihood looks at counts alike: those of other tasks not at all."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.distributions import Distribution

from counterpoint.goals import Likelihood


class Identity(Likelihood):
    """A likelihood whose Fisher information is 1 for each output that another looks at.

    The Fisher information of a model under it is ``Σ J'J`` over these outputs, in as many columns.
    """

    def __init__(self, inner: Likelihood) -> None:
        super().__init__(validate=inner.validate)
        self.inner = inner

    @property
    def classes(self) -> bool:
        """The inner one's; it is natural in nothing, and has no noise of its own."""
        return self.inner.classes

    @property
    def weighs(self) -> bool:
        """The inner one's."""
        return self.inner.weighs

    @property
    def plain(self) -> "Identity":
        """Around the inner one's."""
        return Identity(self.inner.plain)

    def weight_of(self, target: Shaped[Tensor, "..."]) -> Float[Tensor, "batch ..."] | None:
        """The inner one's."""
        return self.inner.weight_of(target)

    def aligned(
        self, weight: Float[Tensor, "batch ..."], output: Float[Tensor, "batch ..."]
    ) -> Float[Tensor, "batch ..."]:
        """The inner one's."""
        return self.inner.aligned(weight, output)

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
        mask = self.inner.used(output)
        # Σ_k s_k s_k' is the identity over the outputs that are looked at
        columns = torch.eye(mask.numel(), dtype=output.dtype, device=output.device)
        columns = columns[mask.flatten()].view(-1, 1, *mask.shape)
        return columns.expand(-1, *output.shape)

    def draw(
        self, output: Shaped[Tensor, "..."], generator: torch.Generator
    ) -> Shaped[Tensor, "batch ..."]:
        """The inner one's."""
        return self.inner.draw(output, generator)
