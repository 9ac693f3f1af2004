"""What a step that does not measure uses: the weights of the last one that did."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from counterpoint.balance.gram import Gram

__all__ = ["Kept"]


class Kept:
    """Weights, norms and cosines of the last measurement that saw all goals of its step.

    Attributes:
        names: those goals; empty: nothing is kept, so the next step measures.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self._weights = torch.zeros(0)
        self._gram = Gram(torch.zeros(0), torch.zeros(0, 0))

    def keep(self, names: tuple[str, ...], weights: Tensor, gram: Gram, *, filled: bool) -> None:
        """Keep a measurement.

        Args:
            names: its goals.
            weights: the rule's.
            gram: what was measured.
            filled: whether weights that are not finite are replaced by those before (or by 1),
                for a step that a GradScaler skips.
        """
        if filled:
            old = self._weights.to(weights.device) if self.names == names else 1.0
            weights = torch.where(torch.isfinite(weights).all(), weights, old)
        self.names, self._weights, self._gram = names, weights, gram

    def drop(self) -> None:
        """Keep nothing: a goal took no part, so the next step measures."""
        self.names = ()

    def weights(self, places: Sequence[int], device: torch.device) -> Tensor:
        """The weights of the goals at some places, 0 elsewhere."""
        weights = self._weights.to(device)
        if len(places) == len(weights):
            return weights
        some = torch.zeros_like(weights)
        some[list(places)] = weights[list(places)]
        return some

    def gram(self, device: torch.device) -> Gram:
        """What was measured."""
        return Gram(self._gram.norms.to(device), self._gram.cosines.to(device))

    def state(self) -> dict[str, Tensor]:
        """The tensors; the names are kept apart."""
        return {
            "weights": self._weights,
            "norms": self._gram.norms,
            "cosines": self._gram.cosines,
        }

    def restore(self, names: Sequence[str], state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.names, self._weights = tuple(names), state["weights"]
        self._gram = Gram(state["norms"], state["cosines"])
