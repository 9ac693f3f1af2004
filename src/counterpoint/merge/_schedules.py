"""Weights that change from the first block to the last: functions of a place between 0 and 1."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import cos, isfinite, pi
from typing import Protocol, runtime_checkable

from counterpoint.errors import InputError

_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_RAMP = re.compile(rf"(cosine:)?({_NUMBER})\.\.({_NUMBER})")
_STEP = re.compile(rf"step:({_NUMBER})\.\.({_NUMBER})(?:@({_NUMBER}))?")


@runtime_checkable
class WeightSchedule(Protocol):
    """A weight by place: 0 is the first block of those that a rule matches, 1 the last."""

    def at(self, place: float) -> float:
        """The weight there."""
        ...


@dataclass(frozen=True)
class Ramp:
    """``start + (end - start) t``, or in the shape of half a cosine: flat at both ends.

    >>> [Ramp(0.0, 1.0).at(place) for place in (0, 0.5, 1)]
    [0.0, 0.5, 1.0]

    Attributes:
        start: the weight at the first block.
        end: the weight at the last.
        shape: ``"line"`` or ``"cosine"``.
    """

    start: float
    end: float
    shape: str = "line"

    def __post_init__(self) -> None:
        if self.shape not in ("line", "cosine"):
            raise InputError(f"ramp: shape is 'line' or 'cosine', found {self.shape!r}")

    def at(self, place: float) -> float:
        """The weight there."""
        share = place if self.shape == "line" else (1 - cos(pi * place)) / 2
        return self.start + (self.end - self.start) * share

    def __str__(self) -> str:
        return f"{'cosine:' if self.shape == 'cosine' else ''}{self.start:g}..{self.end:g}"


@dataclass(frozen=True)
class Jump:
    """One weight before a place, another from there on.

    Attributes:
        before: the weight of the blocks before.
        after: the weight of the others.
        place: where, between 0 and 1.
    """

    before: float
    after: float
    place: float = 0.5

    def at(self, place: float) -> float:
        """The weight there."""
        return self.before if place < self.place else self.after

    def __str__(self) -> str:
        return f"step:{self.before:g}..{self.after:g}@{self.place:g}"


@dataclass(frozen=True)
class Knots:
    """Straight lines between points, and level beyond them.

    >>> Knots({0.0: 0.0, 0.5: 1.0, 1.0: 0.0}).at(0.25)
    0.5

    Attributes:
        points: place -> weight, at least one.

    Raises:
        InputError: there is no point, or a place is not between 0 and 1.
    """

    points: Mapping[float, float]

    def __post_init__(self) -> None:
        if not self.points or not all(0 <= place <= 1 for place in self.points):
            raise InputError(
                f"points: at least one is expected, at places from 0 to 1; found {self.points!r}"
            )

    def at(self, place: float) -> float:
        """The weight there."""
        known = sorted(self.points.items())
        for (left, low), (right, high) in pairwise(known):
            if left <= place <= right:
                return low + (high - low) * (place - left) / (right - left)
        return known[0][1] if place < known[0][0] else known[-1][1]

    def __str__(self) -> str:
        pairs = (f"{place:g}={weight:g}" for place, weight in sorted(self.points.items()))
        return f"points:{','.join(pairs)}"


def read_weight(text: str) -> float | WeightSchedule | tuple[float, ...]:
    """A weight as the command spells it.

    ``0.3``; ``0..1`` (a ramp), ``cosine:0..1``, ``step:0..1@0.5``, ``points:0=0,0.5=1,1=0``; one
    number a model, ``0.2,0.3,0.5``.

    Raises:
        InputError: it is none of these.

    >>> read_weight("0..1"), read_weight("0.2,0.8")
    (Ramp(start=0.0, end=1.0, shape='line'), (0.2, 0.8))
    """
    bare = text.strip().replace(" ", "")
    if found := _RAMP.fullmatch(bare):
        return Ramp(float(found[2]), float(found[3]), "cosine" if found[1] else "line")
    if found := _STEP.fullmatch(bare):
        return Jump(float(found[1]), float(found[2]), float(found[3] or 0.5))
    try:
        if bare.startswith("points:"):
            pairs = (pair.split("=") for pair in bare.removeprefix("points:").split(","))
            return Knots({float(place): float(weight) for place, weight in pairs})
        numbers = [float(part) for part in bare.split(",")]
    except ValueError:
        numbers = list[float]()
    if not numbers or not all(isfinite(number) for number in numbers):
        raise InputError(
            f"weight {text!r}: expected a number, a ramp '0..1', 'cosine:0..1', 'step:0..1@0.5',"
            " 'points:0=0,1=0.5', or one number a model '0.2,0.3,0.5'"
        )
    return tuple(numbers) if len(numbers) > 1 else numbers[0]
