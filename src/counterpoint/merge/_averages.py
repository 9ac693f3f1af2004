"""Averages along a training run, kept while it runs."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.merge._merge import like_model
from counterpoint.merge._state import Model, NamedState

_Model = TypeVar("_Model", bound=Model)


class RunningAverage:
    r"""The mean of a model's weights along its training, or an exponential moving average.

    Without a decay :math:`\bar\theta_n = \bar\theta_{n-1} + (\theta_n - \bar\theta_{n-1}) / n`
    (Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization");
    with one :math:`\bar\theta_n = d \bar\theta_{n-1} + (1 - d) \theta_n`, from the first model on.
    Kept in float32 or better; integers and masks are the latest. Statistics of a normalisation are
    averaged along, and `refit` measures them again.

    Args:
        decay: d, from 0 to below 1; none for the plain mean.

    Raises:
        InputError: the decay is outside that range.

    >>> average = RunningAverage()
    >>> for value in (1.0, 3.0):
    ...     average.update({"w": torch.tensor([value])})
    >>> average.tensors()
    {'w': tensor([2.])}
    """

    def __init__(self, decay: float | None = None) -> None:
        if decay is not None and not 0 <= decay < 1:
            raise InputError(f"running average: decay is from 0 to below 1, found {decay}")
        self.decay = decay
        self.count = 0
        self._sums: dict[str, Tensor] = {}
        self._types: dict[str, torch.dtype] = {}

    @torch.no_grad()
    def update(self, model: Model) -> None:
        """Take in the model as it is now.

        Raises:
            InputError: it has other tensors than those before.
        """
        state = NamedState.of(model)
        if self.count and state.tensors.keys() != self._sums.keys():
            odd = sorted(state.tensors.keys() ^ self._sums.keys())
            raise InputError(f"running average: the model has changed; found {', '.join(odd[:3])}")
        self.count += 1
        keep = (self.count - 1) / self.count if self.decay is None else self.decay
        share = 1.0 if self.count == 1 else 1 - keep
        for name, tensor in state.tensors.items():
            self._types[name] = tensor.dtype
            if not tensor.is_floating_point():
                self._sums[name] = tensor.clone()
            # wide from the first on: a share of 1/n is lost in half precision after some hundreds
            elif self.count == 1:
                wide = torch.promote_types(tensor.dtype, torch.float32)
                self._sums[name] = tensor.to(wide, copy=True)
            else:
                self._sums[name].lerp_(tensor.to(self._sums[name]), share)

    def tensors(self) -> dict[str, Tensor]:
        """The average by name, in the model's types.

        Raises:
            InputError: no model was taken in yet.
        """
        if not self.count:
            raise InputError("running average: update(model) first")
        return {name: value.to(self._types[name]) for name, value in self._sums.items()}

    def model(self, like: _Model) -> _Model:
        """A copy of a model (or the state dict) with the average in it."""
        return like_model(like, NamedState.of(like), self.tensors())

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on, as `torch.save` and our folders hold it."""
        types = {name: str(dtype).removeprefix("torch.") for name, dtype in self._types.items()}
        return {"count": self.count, "decay": self.decay, "types": types, "sums": self._sums}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            InputError: it is of an average with another decay.
        """
        if state["decay"] != self.decay:
            raise InputError(
                f"running average: decay is {self.decay} here and {state['decay']} in the state"
            )
        self.count = int(state["count"])
        self._types = {name: getattr(torch, dtype) for name, dtype in state["types"].items()}
        self._sums = {n: v.clone() for n, v in cast(dict[str, Tensor], state["sums"]).items()}
