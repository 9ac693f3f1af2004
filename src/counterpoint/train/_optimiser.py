"""torch's optimisers, told of groups and phases."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.errors import InputError
from counterpoint.parameters import named
from counterpoint.recipe import Training
from counterpoint.train._groups import Group, Groups
from counterpoint.train._schedule import Phase


class Optimiser:
    """An optimiser of torch, built from groups; `advance` sets the rates of the coming step.

    Adam and AdamW run fused (one kernel for all parameters), SGD by `foreach`. SGD's weight decay
    is decoupled here: torch's own would pass through the momentum.
    """

    def __init__(self, model: nn.Module, split: Groups, training: Training) -> None:
        parameters = named(model)
        self.rate = 0.0
        self.names: list[str] = []
        sets = [self._set(group, parameters, training) for group in split.groups]
        self.parameters = [value for made in sets for value in made["params"]]
        self.torch = _build(sets, self.parameters, training)
        self._decays = training.optimiser == "sgd" and any(made["decay"] > 0 for made in sets)
        self._phase: Phase | None = None

    def _set(
        self, group: Group, parameters: Mapping[str, nn.Parameter], training: Training
    ) -> dict[str, Any]:
        missing = [name for name in group.names if name not in parameters]
        if missing:
            raise InputError(f"groups: the model has no parameter {missing[0]!r}")
        self.names += group.names
        rate = training.rate if group.rate is None else group.rate
        decay = training.weight_decay if group.weight_decay is None else group.weight_decay
        return {
            "params": [parameters[name] for name in group.names],
            "lr": rate,
            "peak": rate,
            "decay": decay,
            # torch adds it to the gradient of SGD; here it is `decay`
            "weight_decay": 0.0 if training.optimiser == "sgd" else decay,
        }

    def advance(self, phase: Phase) -> None:
        """Set every group's rate and momentum for the coming step."""
        if phase == self._phase:
            return
        self._phase = phase
        self.rate = 0.0
        for group in self.torch.param_groups:
            group["lr"] = group["peak"] * phase.share
            self.rate = max(self.rate, group["lr"])
            if "betas" in group:
                group["betas"] = (phase.momentum, group["betas"][1])
            else:
                group["momentum"] = phase.momentum

    def decay(self) -> None:
        """Shrink the weights by SGD's decoupled decay; call it just before the step."""
        if not self._decays:
            return
        with torch.no_grad():
            for group in self.torch.param_groups:
                for parameter in group["params"]:
                    parameter.mul_(1.0 - group["lr"] * group["decay"])

    def state(self) -> dict[str, Tensor]:
        """The moments as named tensors, ``parameter/moment``."""
        return {
            f"{name}/{key}": value
            for name, parameter in zip(self.names, self.parameters, strict=True)
            for key, value in self.torch.state.get(parameter, {}).items()
            if isinstance(value, Tensor)
        }

    def take_over(self, moments: Mapping[str, Tensor]) -> None:
        """Begin with the moments that an earlier run left of weights that this one trains, too."""
        # copies: torch would change those of the earlier run in place
        self.restore(
            {
                key: value.clone()
                for key, value in moments.items()
                if key.rpartition("/")[0] in self.names
            }
        )

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put the moments of `state` back."""
        places = {name: place for place, name in enumerate(self.names)}
        packed: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            name, _, moment = key.rpartition("/")
            packed.setdefault(places[name], {})[moment] = value
        groups = self.torch.state_dict()["param_groups"]
        # torch casts moments to the type and device of their parameters
        self.torch.load_state_dict({"state": packed, "param_groups": groups})
        # load_state_dict has put the stored rates in place
        self._phase = None


def _build(
    sets: list[dict[str, Any]], parameters: list[nn.Parameter], training: Training
) -> torch.optim.Optimizer:
    # torch has fused kernels for real numbers, and on these devices
    fused = all(value.is_floating_point() for value in parameters) and all(
        value.device.type in ("cpu", "cuda") for value in parameters
    )
    way = {"fused": True} if fused else {"foreach": True}
    if training.optimiser == "sgd":
        return torch.optim.SGD(sets, momentum=training.momentum, foreach=True)
    kind = torch.optim.Adam if training.optimiser == "adam" else torch.optim.AdamW
    return kind(sets, betas=(training.momentum, 0.999), **way)
