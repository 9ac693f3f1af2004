"""The predictive distribution of any likelihood: what it says at each draw of the outputs."""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from counterpoint.goals import Likelihood


@dataclass(frozen=True)
class MixturePredictive:
    """The average over draws of the outputs of what a likelihood says at each.

    Attributes:
        likelihood: of the target given the output.
        outputs: the draws.

    >>> from counterpoint.goals import Poisson
    >>> rates = torch.tensor([[[1.0]], [[3.0]]]).double()
    >>> two = MixturePredictive(Poisson(), rates.log())
    >>> torch.stack([two.mean, two.noise, two.knowledge]).flatten()
    tensor([2.0000, 2.0000, 1.0000], dtype=torch.float64)
    """

    likelihood: Likelihood = field(repr=False)
    outputs: Float64[Tensor, "draws rows ..."] = field(repr=False)

    @property
    def mean(self) -> Float64[Tensor, "rows ..."]:
        """The average of the means at the draws."""
        return self._at_draws("mean").mean(0)

    @property
    def noise(self) -> Float64[Tensor, "rows ..."]:
        """The average of the variances at the draws."""
        return self._at_draws("variance").mean(0)

    @property
    def knowledge(self) -> Float64[Tensor, "rows ..."]:
        """The variance of the means at the draws."""
        return self._at_draws("mean").var(0, correction=0)

    def log_prob(self, target: Shaped[Tensor, "..."]) -> Float64[Tensor, " rows"]:
        """Log density or probability of each row's target, in nats.

        Raises:
            InputError: what the likelihood refuses.
        """
        draws = len(self.outputs)
        repeated = target.to(self.outputs.device).repeat(draws, *[1] * (target.ndim - 1))
        with torch.no_grad():
            each = -self.likelihood.nll_each(self.outputs.flatten(0, 1), repeated)
        # of the average density, not the average of its logarithm
        return each.double().view(draws, -1).logsumexp(0) - math.log(draws)

    def sample(
        self, generator: torch.Generator | None = None, draws: int = 1
    ) -> Shaped[Tensor, "draws rows ..."]:
        """Draws of the target, each at an output of its own.

        Args:
            generator: source of randomness, on the CPU; none means torch's global one.
            draws: how many.
        """
        source = torch.default_generator if generator is None else generator
        rows = self.outputs.shape[1]
        which = torch.randint(len(self.outputs), (draws, rows), generator=source)
        chosen = self.outputs[which.to(self.outputs.device), torch.arange(rows)]
        return self.likelihood.draw(chosen.flatten(0, 1), source).unflatten(0, (draws, rows))

    def _at_draws(self, moment: str) -> Float64[Tensor, "draws rows ..."]:
        with torch.no_grad():
            found = getattr(self.likelihood.distribution(self.outputs.flatten(0, 1)), moment)
        return found.double().unflatten(0, self.outputs.shape[:2])
