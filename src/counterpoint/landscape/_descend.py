"""Many points go down at once, each along the composition at its own place."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance import Rule
from counterpoint.errors import InputError, one_of
from counterpoint.landscape._composition import Composition, composition
from counterpoint.landscape._landscape import Landscape

_OPTIMISERS = ("sgd", "adam", "rmsprop")


@dataclass(frozen=True)
class Descent:
    """Where a descent went.

    Attributes:
        ends: (N, d), inside the box where it is a torus.
        path: (steps + 1, N, d) with the starts, not wrapped; None unless it was asked for.
    """

    ends: Float[Tensor, "points dimension"]
    path: Float[Tensor, "times points dimension"] | None


def descend(
    landscape: Landscape,
    starts: Float[Tensor, "points dimension"],
    along: str | Rule | Composition = "mean",
    *,
    steps: int = 800,
    step: float = 0.1,
    optimiser: str = "sgd",
    momentum: float = 0.0,
    settle: int = 0,
    record: bool = False,
    inside: bool = False,
) -> Descent:
    """Take steps against a composition, all starts side by side.

    Args:
        landscape: of K layers.
        starts: (N, d).
        along: a composition, the name of one, or a rule of `balance`.
        steps: how many.
        step: the learning rate.
        optimiser: "sgd", "adam" or "rmsprop"; torch's own, which treat each coordinate of each
            point for itself.
        momentum: of "sgd".
        settle: this many further steps along the mean, at a twelfth of `step` and by plain SGD:
            so that a walk which is held up by its own noise ends in the valley that it is in.
        record: whether to keep the path.
        inside: whether points that leave the box are put back to its edge; some functions are
            defined in theirs alone.

    Raises:
        InputError: an unknown composition or optimiser; a step that is not positive; a negative
            number of steps.
    """
    if not step > 0 or steps < 0 or settle < 0:
        raise InputError(
            f"descend: step must be positive and steps not negative, found step {step}, "
            f"steps {steps}, settle {settle}"
        )
    points = torch.nn.Parameter(starts.clone())
    torch_optimiser = _optimiser(optimiser, points, step, momentum)
    composed = composition(along)
    path = [starts.clone()] if record else []
    mean = composition("mean")
    for number in range(steps + settle):
        if number == steps:
            torch_optimiser = _optimiser("sgd", points, step / 12, 0.0)
            composed = mean
        # rules remember a point at a time, and the steps of one point are a run of its own
        points.grad = composed.direction(landscape(points.detach()))
        torch_optimiser.step()
        if inside:
            points.data.clamp_(landscape.low, landscape.high)
        if record:
            path.append(points.detach().clone())
    ends = points.detach()
    if landscape.periodic:
        ends = landscape.low + (ends - landscape.low).remainder(landscape.width)
    return Descent(ends, torch.stack(path) if record else None)


def _optimiser(
    name: str, points: torch.nn.Parameter, step: float, momentum: float
) -> torch.optim.Optimizer:
    # elementwise optimisers treat a point's coordinates alone, so one tensor holds all walkers
    match one_of("descend: optimiser", name, _OPTIMISERS):
        case "adam":
            return torch.optim.Adam([points], lr=step)
        case "rmsprop":
            return torch.optim.RMSprop([points], lr=step)
        case _:
            return torch.optim.SGD([points], lr=step, momentum=momentum)
