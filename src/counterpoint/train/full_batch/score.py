"""The one number that is minimised: the mean of the goals, each times its factor."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from counterpoint.errors import InputError, nearest
from counterpoint.goals import Goals
from counterpoint.train.source import Batch
from counterpoint.train.step import names_of

__all__ = ["Score"]


class Score:
    """Goals of one model and one batch, and their mean.

    Args:
        model: at whatever weights it has when asked.
        goals: as in `fit`.
        batch: all rows.
        factors: goal -> factor; 1 for those not named.
    """

    def __init__(
        self, model: nn.Module, goals: Goals, batch: Batch, factors: Mapping[str, float] | None
    ) -> None:
        self._model, self._goals, self._batch = model, goals, batch
        self._named = factors
        self._names: tuple[str, ...] = ()
        self._factors: Tensor | None = None

    def losses(self) -> dict[str, Tensor]:
        """Every goal as a float64 scalar.

        Raises:
            InputError: they are not named scalars, not those of before, or lack a named factor.
        """
        found = self._goals(self._model, self._batch)
        names = names_of(found, graph=False)
        if not self._names:
            self._factors = self._factors_of(names)
            self._names = names
        if names != self._names:
            raise InputError(f"goals: expected {self._names} at every evaluation, found {names}")
        return {name: found[name].double() for name in names}

    def mean(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The mean of goals times factors.

        Raises:
            InputError: no goal depends on a parameter that asks for a gradient.
        """
        stacked = torch.stack(list(losses.values()))
        if self._factors is not None:
            stacked = stacked * self._factors.to(stacked.device)
        if not stacked.requires_grad:
            raise InputError(
                f"goals: none of {', '.join(losses)} depends on the parameters chosen; choose"
                " others, or look for .detach()"
            )
        return stacked.mean()

    def _factors_of(self, names: tuple[str, ...]) -> Tensor | None:
        if self._named is None:
            return None
        for name, factor in self._named.items():
            if name not in names:
                raise InputError(f"weights: no goal {name!r}{nearest(name, names)}")
            if not math.isfinite(factor):
                raise InputError(f"weights: {name!r} must be finite, found {factor}")
        return torch.tensor([self._named.get(name, 1.0) for name in names], dtype=torch.float64)
