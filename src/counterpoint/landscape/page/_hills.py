"""The lab's layers, starts and lots: functions of a seed that the page's script knows, too."""

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance.rules import Magnitude
from counterpoint.landscape._aligned import Aligned
from counterpoint.landscape._composition import Composition, Ruled, composition
from counterpoint.landscape._descend import Descent, descend
from counterpoint.landscape._landscape import Evaluation, Landscape
from counterpoint.landscape.noise import Perlin, mixed, uniforms
from counterpoint.recipe import Lab, LabWalk

STEPS = 640
SETTLE = 160  # further steps along the mean: a walk ends in the valley that it is in
NEAR = 0.5  # of the shared minimum, in cells: a walk is in its valley, and settles into it


class Hills(Landscape):
    """The layers of a lab: aligned Perlin noise, of which the first may have a temper.

    ``L_1 = loud * n_1^temper`` is lowest where ``n_1`` is, and still 0 there.

    Args:
        lab: of which layers, cells, seed, temper and loud matter.
    """

    def __init__(self, lab: Lab) -> None:
        self.aligned = Aligned(Perlin(lab.layers, 2, cells=lab.cells, seed=lab.seed))
        self.temper, self.loud = lab.temper, lab.loud
        self.layers, self.dimension = lab.layers, 2
        self.low, self.high, self.periodic = 0.0, float(lab.cells), True
        self.minimum = self.aligned.minimum

    def evaluate(
        self, points: Float[Tensor, "layers points dimension"]
    ) -> tuple[Float[Tensor, "layers points"], Float[Tensor, "layers points dimension"]]:
        """The layers, the first by the chain rule."""
        values, slopes = self.aligned.evaluate(points)
        # rounding may leave the valley's floor a little below 0, which has no power
        first = values[0].clamp_min(0.0)
        slope = self.loud * self.temper * first ** (self.temper - 1)
        louder = (self.loud * first**self.temper)[None]
        return (
            torch.cat([louder, values[1:]]),
            torch.cat([(slope[:, None] * slopes[0])[None], slopes[1:]]),
        )

    def numbers_a_point(self) -> int:
        """As the noise."""
        return self.aligned.numbers_a_point()


class Lots(Composition):
    """Alternation whose lots are a hash of seed, walk and step, so that a script draws the same.

    Args:
        seed: of the lots.
        by_magnitude: with chances as the lengths of the gradients; otherwise all alike.
    """

    def __init__(self, seed: int, *, by_magnitude: bool = False) -> None:
        self._root, self._by_magnitude, self._step = mixed(mixed(3, seed), 0), by_magnitude, 0

    def weights(self, here: Evaluation) -> Float[Tensor, "points layers"]:
        """K for the layer that was drawn; the next call is the next step."""
        count, layers = here.values.shape
        lot = uniforms(mixed(mixed(self._root, torch.arange(count)), self._step))
        self._step += 1
        chances = here.gradients.norm(dim=2) if self._by_magnitude else torch.ones(count, layers)
        ends = chances.double().cumsum(1)
        drawn = (lot[:, None] * ends[:, -1:] >= ends).sum(1).clamp_max(layers - 1)
        return float(layers) * torch.nn.functional.one_hot(drawn, layers).to(here.values.dtype)


def starts(lab: Lab, count: int) -> Float[Tensor, "walks 2"]:
    """Where walks begin: uniform over the torus."""
    walks = mixed(mixed(mixed(2, lab.seed), 0), torch.arange(count))
    return lab.cells * uniforms(mixed(walks[:, None], torch.arange(2)))


def composed(rule: str, seed: int) -> Composition:
    """The composition that a rule of the lab stands for."""
    if rule in ("impartial", "magnitude"):
        return Ruled(Magnitude(power=-1.0 if rule == "impartial" else 1.0))
    if rule in ("alternation", "alternation-magnitude"):
        return Lots(seed, by_magnitude=rule == "alternation-magnitude")
    return composition(rule)


def walked(
    hills: Landscape,
    walk: LabWalk,
    lab: Lab,
    count: int,
    *,
    steps: int = STEPS,
    settle: int = SETTLE,
) -> Descent:
    """The first walks of a lab, with their paths."""
    return descend(
        hills,
        starts(lab, count),
        composed(walk.rule, lab.seed),
        steps=steps,
        step=walk.step,
        optimiser=walk.optimiser,
        momentum=walk.momentum,
        settle=settle,
        record=True,
    )


def share_arrived(hills: Landscape, minimum: Tensor, ends: Tensor) -> float:
    """The share of walks that ended at the shared minimum."""
    return float((hills.distance(ends, minimum) < NEAR).double().mean())
