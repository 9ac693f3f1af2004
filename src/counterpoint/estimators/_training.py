"""What a trunk is trained for, on which rows, and where the noise of its last layer comes from."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from counterpoint.errors import one_of
from counterpoint.estimators._checks import number
from counterpoint.goals import Goals
from counterpoint.posterior import LastLayer, Predictive, UnseenRows, held_out_noise
from counterpoint.posterior.calibration import Conformal

# all but the first have slopes that change smoothly
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
}

_EDGE = 1e-9
_PARTS = 5
_ENOUGH = 200
"""Rows left out that settle the noise within a tenth: its relative error is √(2 / rows)."""


def parts_left_out(rows: int, stream: torch.Generator) -> list[Tensor]:
    """Places of rows to leave out: a fifth at a time, until they are enough or all were."""
    # a fifth: a trunk of fewer rows errs more, and smaller parts take more trunks to be enough
    parts = torch.randperm(rows, generator=stream).tensor_split(min(_PARTS, rows))
    return list(parts[: -(-_ENOUGH // len(parts[0]))])


def noise_of(setting: object) -> str | float:
    """Where the noise comes from, or the noise itself."""
    if isinstance(setting, str):
        return one_of("noise", setting, ("held-out", "evidence"))
    rule = "'held-out', 'evidence' or a positive number"
    return number("noise", setting, rule, lambda noise: 0 < noise < math.inf)


def outputs_of(trunk: nn.Module, x: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows width"]:
    """What a trained trunk makes of rows."""
    with torch.no_grad():
        return trunk(x)


def activation_of(name: str) -> Callable[[], nn.Module]:
    """What makes the activation of that name."""
    return _ACTIVATIONS[one_of("activation", name, _ACTIVATIONS)]


@dataclass(frozen=True)
class TrunkPlan:
    """What a trunk is trained for.

    Attributes:
        outputs: of the linear layer on the trunk, which is there for training alone.
        goals: of the trunk with that layer and a batch of ``x``, ``y`` and ``weight``, all
            standardised.
        balance: the rule by which the goals share a step; see `counterpoint.train.Training`.
    """

    outputs: int
    goals: Goals
    balance: str = "sum"


@dataclass(frozen=True)
class TrunkRows:
    """Rows to train a trunk on, standardised.

    Attributes:
        x: inputs.
        y: targets.
        weight: of each row, with mean one over all rows of the fit.
    """

    x: Float[Tensor, "rows columns"]
    y: Float[Tensor, "rows targets"]
    weight: Float64[Tensor, " rows"]

    def at(self, chosen: Tensor) -> "TrunkRows":
        """Some of the rows, by place or by a mask."""
        return TrunkRows(self.x[chosen], self.y[chosen], self.weight[chosen])


def levels_of(
    parts: Sequence[UnseenRows], prior: float | None, noise: Float64[Tensor, " targets"]
) -> list[Conformal]:
    """Of each target the levels at which intervals hold rows left out; empty without such rows."""
    if not parts:
        return []
    pit = [
        LastLayer.fit(part.inside, prior=prior, noise=noise)
        .predict(part.features)
        .cdf(part.targets.double())
        for part in parts
    ]
    every, weight = torch.cat(pit), torch.cat([part.weight for part in parts])
    return [Conformal.of(every[:, k], weight) for k in range(every.shape[1])]


def conformed(
    found: Predictive, levels: Sequence[Conformal], nominal: float
) -> tuple[Float64[Tensor, "rows targets"], Float64[Tensor, "rows targets"]]:
    """Intervals at the level of each target that is asked for a nominal one, or at that itself."""
    if not levels:
        return found.interval(nominal)
    # the whole line has no width to write, and a point no interval
    asked = [min(max(one.level(nominal), _EDGE), 1 - _EDGE) for one in levels]
    ends = [torch.stack(found.interval(level))[:, :, k] for k, level in enumerate(asked)]
    low, high = torch.stack(ends, 2)
    return low, high


def later_noise(
    layer: LastLayer, features: Float[Tensor, "rows width"], rows: TrunkRows
) -> Float64[Tensor, " targets"]:
    """The mean, by rows, of a last layer's noise and of what rows reveal that nothing has seen."""
    found = layer.predict(features)
    residual = rows.y.double() - found.mean
    fresh = [
        held_out_noise(residual[:, k], found.knowledge[:, k], rows.weight)
        for k in range(residual.shape[1])
    ]
    old, new = layer.statistics.weight, float(rows.weight.sum())
    return (old * layer.noise + new * torch.tensor(fresh, dtype=torch.float64)) / (old + new)
