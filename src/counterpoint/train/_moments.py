"""The update rules written out on named tensors, for the step that is compiled whole.

They are torch's own rules (`torch.optim.Adam`, `AdamW`, `SGD`) and keep their moments in the
optimiser of torch, under its names.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from counterpoint.recipe import Training
from counterpoint.train._optimiser import Optimiser

Moments: TypeAlias = dict[str, dict[str, Tensor]]
"""Name of a weight -> its moments; Adam's count of steps is one tensor for all."""

Knobs: TypeAlias = tuple[Tensor, Tensor]
"""Share of the highest rate, and momentum: scalars that change without compiling again."""

UpdateRule: TypeAlias = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Moments, Knobs], None]
"""Changes weights and moments in place, from gradients."""

_BETA2, _EPSILON = 0.999, 1e-8


def moments_of(optimiser: Optimiser, weights: Mapping[str, Tensor]) -> Moments:
    """The moments of every weight, made where torch's optimiser has none yet."""
    # one for all: torch counts for each parameter, which the graph would read one by one
    count = torch.zeros((), device=optimiser.parameters[0].device)
    found: Moments = {}
    adam = "betas" in optimiser.torch.defaults
    heavy = optimiser.torch.defaults.get("momentum", 0.0) > 0
    for name, parameter in zip(weights, optimiser.parameters, strict=True):
        state = optimiser.torch.state[parameter]
        if adam:
            count = state.setdefault("step", count)
            state.setdefault("exp_avg", torch.zeros_like(parameter))
            state.setdefault("exp_avg_sq", torch.zeros_like(parameter))
        elif heavy and state.get("momentum_buffer") is None:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        found[name] = {key: value.detach() for key, value in state.items() if value is not None}
    if adam:
        _share_count(optimiser, found)
    return found


def update_rule(optimiser: Optimiser, training: Training) -> UpdateRule:
    """The rule of the optimiser that a `Training` names."""
    rates, decays = _constants(optimiser)
    if training.optimiser == "sgd":
        return _sgd(rates, decays)
    return _adam(rates, decays, decoupled=training.optimiser == "adamw")


def _share_count(optimiser: Optimiser, found: Moments) -> None:
    count = next(iter(found.values()))["step"]
    for moments, parameter in zip(found.values(), optimiser.parameters, strict=True):
        moments.pop("step")
        optimiser.torch.state[parameter]["step"] = count
    # no parameter can be called so
    found[""] = {"step": count}


def _constants(optimiser: Optimiser) -> tuple[list[float], list[float]]:
    rates: list[float] = []
    decays: list[float] = []
    for group in optimiser.torch.param_groups:
        rates += [group["peak"]] * len(group["params"])
        decays += [group["decay"]] * len(group["params"])
    return rates, decays


def _adam(rates: list[float], decays: list[float], *, decoupled: bool) -> UpdateRule:
    def update(
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        moments: Moments,
        knobs: Knobs,
    ) -> None:
        share, beta = knobs
        count = moments[""]["step"]
        count.add_(1.0)
        steps = count.double()  # 0.999 ** steps is too coarse in float32
        first, second = 1.0 - beta**steps, (1.0 - _BETA2**steps).sqrt()
        for (name, weight), peak, decay in zip(weights.items(), rates, decays, strict=True):
            gradient, rate = gradients[name], share * peak
            if decay and decoupled:
                # before the step, as torch has it (Loshchilov & Hutter 2019, algorithm 2)
                weight.mul_(1.0 - rate * decay)
            elif decay:
                gradient = gradient + decay * weight
            mean, square = moments[name]["exp_avg"], moments[name]["exp_avg_sq"]
            mean.mul_(beta).add_(gradient * (1.0 - beta))
            square.mul_(_BETA2).add_(gradient.square() * (1.0 - _BETA2))
            # Kingma & Ba 2015, algorithm 1, epsilon outside the root as torch has it
            weight.sub_((rate / first) * mean / (square.sqrt() / second + _EPSILON))

    return update


def _sgd(rates: list[float], decays: list[float]) -> UpdateRule:
    def update(
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        moments: Moments,
        knobs: Knobs,
    ) -> None:
        share, momentum = knobs
        for (name, weight), peak, decay in zip(weights.items(), rates, decays, strict=True):
            gradient, rate = gradients[name], share * peak
            if decay:
                weight.mul_(1.0 - rate * decay)
            if moments[name]:
                gradient = moments[name]["momentum_buffer"].mul_(momentum).add_(gradient)
            weight.sub_(rate * gradient)

    return update
