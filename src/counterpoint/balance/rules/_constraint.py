"""Goals that need only be low enough: a multiplier for each, learned as training goes."""

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, Rule, RuleInputs
from counterpoint.balance.rules._checks import at_least, between, finite
from counterpoint.balance.rules._parts import nan_as, zeros
from counterpoint.errors import InputError, nearest


@dataclass(frozen=True)
class Constraint:
    r"""Minimise the other goals while ``L_k <= c_k``: a Lagrange multiplier for each constraint.

    At every step, with running means of the losses,

    .. math::
        v_k = \frac{\bar{L}_k - c_k}{|c_k|}, \quad
        \lambda_k \leftarrow \max(\lambda_k + \eta v_k, 0), \quad
        \pi_k = \max(\lambda_k + \rho v_k, 0), \quad
        w_k = \frac{m}{|c_k|} \frac{\pi_k}{1 + \sum_j \pi_j}

    where m is the mean size of the other losses when they were first seen, so that multipliers have
    no unit, and a bound of 0 is measured in units of 1. The others have their preference, divided
    by the same sum, as their weight. It is the augmented Lagrangian of Nocedal and Wright,
    Numerical Optimization, 2006, equation 17.65, whose multipliers move at every step instead of
    after every minimisation. v is held between -1 and 1: what starts far off would be answered too
    hard, and too long.

    With `geometric` multipliers start at 1 and grow by factors, ``lambda <- lambda exp(eta v)``,
    and nothing is added for the violation itself: Rezende and Viola, Taming VAEs (GECO), 2018,
    algorithm 1, where `decay` is 0.99. The preference of a constraint multiplies eta.

    A rule that is told names cannot work before it knows where they stand: `bind` gives the one
    that does.

    Attributes:
        goal: name of the goal that is a constraint, or names of several.
        at_most: c, in the unit of the goal; a number for each name.
        rate: eta.
        penalty: rho.
        decay: of the running means; 0 takes the losses of this step alone.
        geometric: whether multipliers grow by factors.

    >>> Constraint("bytes", at_most=307.0).bind(("error", "bytes"))
    Constrained(indices=(1,), at_most=(307.0,), rate=0.01, penalty=1.0, decay=0.9, geometric=False)
    """

    goal: str | tuple[str, ...]
    at_most: float | tuple[float, ...]
    rate: float = 0.01
    penalty: float = 1.0
    decay: float = 0.9
    geometric: bool = False
    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        names, bounds = _several(self.goal), _several(self.at_most)
        if not names or len(names) != len(bounds) or len(set(names)) != len(names):
            raise InputError(
                "rule 'constraint': needs goals of different names and a bound for each, such as"
                f" Constraint('bytes', at_most=300.0); found {names} and {bounds}"
            )
        self._bound(tuple(range(len(names))), bounds)  # refuses numbers that cannot be used

    def bind(self, names: tuple[str, ...], absent: tuple[str, ...] = ()) -> Rule:
        """The rule for a step with these goals.

        Args:
            names: the goals of the step, in the order of its tensors.
            absent: goals that are known but not in this step; their multipliers wait.

        Raises:
            InputError: a constraint is in neither.
        """
        known = {*names, *absent}
        for name in _several(self.goal):
            if name not in known:
                raise InputError(
                    f"rule 'constraint': {name!r} is not a goal{nearest(name, sorted(known))}"
                )
        here = [
            (names.index(name), bound)
            for name, bound in zip(_several(self.goal), _several(self.at_most), strict=True)
            if name in names
        ]
        return self._bound(tuple(k for k, _ in here), tuple(bound for _, bound in here))

    def start(self, goals: int) -> dict[str, Tensor]:
        """See `Constrained`."""
        return self._bound((), ()).start(goals)

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """Refused: `bind` first.

        Raises:
            InputError: always.
        """
        del inputs, state
        raise InputError("rule 'constraint': does not know the goals' order yet; call bind(names)")

    def _bound(self, indices: tuple[int, ...], at_most: tuple[float, ...]) -> "Constrained":
        return Constrained(indices, at_most, self.rate, self.penalty, self.decay, self.geometric)


@dataclass(frozen=True)
class Constrained:
    """`Constraint`, knowing where the constraints stand.

    Attributes:
        indices: of the constraints. If there are none, the step is that of `Sum`.
        at_most: a bound for each.
        rate: see `Constraint`.
        penalty: see `Constraint`.
        decay: see `Constraint`.
        geometric: see `Constraint`.
    """

    indices: tuple[int, ...]
    at_most: tuple[float, ...]
    rate: float = 0.01
    penalty: float = 1.0
    decay: float = 0.9
    geometric: bool = False
    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for bound in self.at_most:
            finite("rule 'constraint': at_most", bound)
        at_least("rule 'constraint': rate", self.rate, 0.0, example=0.01)
        at_least("rule 'constraint': penalty", self.penalty, 0.0, example=1.0)
        between("rule 'constraint': decay", self.decay, 0.0, 1.0, example=0.9)

    def start(self, goals: int) -> dict[str, Tensor]:
        """Multipliers, running means of losses, first sizes, how many steps each has seen."""
        names = ("multipliers", "losses", "sizes", "count")
        return {name: zeros(goals) for name in names}

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """A step of the multipliers, and what they make of the constraints' weights."""
        losses, wanted = inputs.losses, inputs.preference
        held, bounds = self._places(losses)
        count = state["count"] + 1.0
        after = {
            "losses": torch.lerp(losses, state["losses"], self.decay),
            # not today's size: where that goes to 0, every violation would be forgiven
            "sizes": torch.where(state["count"] > 0, state["sizes"], losses.abs()),
            "count": count,
        }
        full = 1.0 - self.decay**count  # running means forget that they began at 0
        units = torch.where(bounds == 0, 1.0, bounds.abs())
        violation = ((after["losses"] / full - bounds) / units).clamp(-1.0, 1.0)
        after["multipliers"] = self._moved(state["multipliers"], wanted * violation, held)
        pressure = after["multipliers"]
        if self.geometric:
            # kept as logarithms, which start at 0 and cannot overflow
            pressure = pressure.exp()
        else:
            pressure = (pressure + self.penalty * violation).clamp_min(0.0)
        pressure = torch.where(held, pressure, 0.0)
        others = torch.where(held, 0.0, wanted)
        size = (others * after["sizes"]).sum() / others.sum().clamp_min(1e-300)
        size = torch.where(size > 0, size, 1.0)
        raw = torch.where(held, size / units * pressure, wanted)
        # the sum has no unit: one of the weights themselves would make a step as much longer or
        # shorter as units differ, whenever a constraint is met or broken
        return nan_as(losses, raw / (1.0 + pressure.sum())), after

    def _places(self, losses: Float[Tensor, " goals"]) -> tuple[Tensor, Tensor]:
        """Which goals are constraints, and the bounds of those; 0 elsewhere."""
        places = torch.tensor(self.indices, dtype=torch.long, device=losses.device)
        held = torch.zeros_like(losses, dtype=torch.bool).index_fill(0, places, value=True)
        bounds = torch.tensor(self.at_most, dtype=losses.dtype, device=losses.device)
        return held, torch.zeros_like(losses).index_copy(0, places, bounds)

    def _moved(self, multipliers: Tensor, violation: Tensor, held: Tensor) -> Tensor:
        moved = multipliers + self.rate * violation
        low, high = (-50.0, 50.0) if self.geometric else (0.0, None)
        return torch.where(held, moved.clamp(low, high), 0.0)


_Told = TypeVar("_Told", str, float)


def _several(given: _Told | tuple[_Told, ...]) -> tuple[_Told, ...]:
    return given if isinstance(given, tuple) else (given,)
