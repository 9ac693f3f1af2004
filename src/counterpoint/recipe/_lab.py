"""What the landscape lab is told: the layers, and two ways to walk over them."""

from dataclasses import dataclass, field

from counterpoint.errors import one_of
from counterpoint.recipe._checks import number, whole

LAB_RULES = (
    "mean", "impartial", "magnitude", "largest-gradient", "alternation", "alternation-magnitude",
)  # fmt: skip
"""How the lab's layers share a step: the sum (as its mean), by 1/|g|, by |g|, the steepest alone,
one by lot, one by lot with chances as |g|."""

_OPTIMISERS = ("sgd", "adam", "rmsprop")


@dataclass(frozen=True)
class LabWalk:
    """How to walk.

    Attributes:
        rule: one of `LAB_RULES`.
        step: the learning rate, in cells a unit of slope, from 0.001 to 3.
        momentum: of "sgd", from 0 to 0.99.
        optimiser: "sgd", "adam" or "rmsprop".

    Raises:
        InputError: a value out of its range, or an unknown name (names the nearest).
    """

    rule: str = "alternation"
    step: float = 0.6
    momentum: float = 0.0
    optimiser: str = "sgd"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule", one_of("rule", self.rule, LAB_RULES))
        object.__setattr__(self, "optimiser", one_of("optimiser", self.optimiser, _OPTIMISERS))
        number("step", self.step, 0.001, 3.0)
        number("momentum", self.momentum, 0.0, 0.99)


@dataclass(frozen=True)
class Lab:
    """Layers that are all lowest at one point, and two ways to walk there.

    Attributes:
        layers: how many goals, from 1 to 64.
        cells: of the lattice of the noise along each axis, from 2 to 12.
        seed: of layers, starts and lots, from 0 to 2^32 - 1.
        temper: the first layer is taken to this power, from 1 (as the others) to 6 (quiet in its
            valley, sudden on its hills).
        loud: and times this, from 0.01 to 100.
        first: a way to walk.
        second: the other, from the same starts.

    Raises:
        InputError: a value out of its range.
    """

    layers: int = 16
    cells: int = 6
    seed: int = 0
    temper: float = 1.0
    loud: float = 1.0
    first: LabWalk = field(default_factory=LabWalk)
    second: LabWalk = field(default_factory=lambda: LabWalk("mean"))

    def __post_init__(self) -> None:
        whole("layers", self.layers, 1, 64)
        whole("cells", self.cells, 2, 12)
        whole("seed", self.seed, 0, 2**32 - 1)
        number("temper", self.temper, 1.0, 6.0)
        number("loud", self.loud, 0.01, 100.0)


LAB_PRESETS: dict[str, Lab] = {
    "alternation": Lab(),
    "momentum": Lab(first=LabWalk("mean", 0.3, 0.9), second=LabWalk("alternation", 0.6)),
    "standoff": Lab(2, first=LabWalk("mean", 0.3), second=LabWalk("alternation", 0.8)),
    "desert": Lab(first=LabWalk("alternation", 1.0), second=LabWalk("alternation", 0.6)),
    "oscillation": Lab(
        first=LabWalk("largest-gradient", 0.3), second=LabWalk("alternation", 0.6)
    ),
    "obnoxious": Lab(
        3, seed=12, temper=4.0, loud=30.0,
        first=LabWalk("mean", 0.3), second=LabWalk("alternation", 0.3),
    ),
}  # fmt: skip
"""The stories that the lab tells, by name; what each shows is said on its page."""
