"""What posteriors of number and of category targets have in common."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor


@runtime_checkable
class Distribution(Protocol):
    """A predictive distribution, in the shape of the model's output or a column a class.

    Variance of the target, or of each class's indicator, is ``noise + knowledge``.
    """

    @property
    def mean(self) -> Float64[Tensor, "rows ..."]:
        """Expected target, or class probabilities."""
        ...

    @property
    def noise(self) -> Float64[Tensor, "rows ..."]:
        """Variance that more rows would not remove."""
        ...

    @property
    def knowledge(self) -> Float64[Tensor, "rows ..."]:
        """Posterior variance of the mean."""
        ...

    def log_prob(self, target: Tensor) -> Float64[Tensor, "..."]:
        """Log density of numbers (rows x targets), or log probability of labels (rows)."""
        ...

    def sample(
        self, generator: torch.Generator | None = None, draws: int = 1
    ) -> Shaped[Tensor, "draws ..."]:
        """Draws of the target."""
        ...


@runtime_checkable
class Posterior(Protocol):
    """A fitted last layer: `LastLayer` or `Softmax`."""

    def predict(self, features: Float[Tensor, "rows features"]) -> Distribution:
        """The predictive distribution of rows."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Named tensors, for storage."""
        ...
