"""Kinks that exact input gradients do not see move.

A network 2-50-50-5 has a goal made of its input gradients: the squared cosines between those of
its outputs, averaged over points from a standard normal. Along random directions in its weights
the true slope of that average is known from very many points. Backpropagation of a batch's goal
should give the same slope on average, plus noise. Printed and drawn for exact gradients and for
forward differences of several steps: the error of that average, the noise of a batch of 300 points
and the share of the biases in the gradient.

On a ReLU network exact gradients are constant between kinks. That a weight moves the kinks is all
that a bias does, and most of what any weight does, and backpropagation sees none of it. A step of
0.01 to 0.1 smooths the kinks, so that it is seen, at the price of noise. On a tanh network there is
no such choice to make.

    python examples/kinks.py [FIGURE.svg]
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from counterpoint.derivatives import Fixed, ForwardDifference, Scheme, gradients, scheme
from counterpoint.goals import diversity
from counterpoint.parameters import flatten, named, unflatten
from counterpoint.report.figures import Axis, Figure, Guide, Line, sheet
from counterpoint.seeding import generator, seeded

STEPS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
TOGETHER = 20_000
BATCH = 300
AHEAD = 5e-3
"""How far the weights move for the true slope, in mean sizes of each tensor's entries."""


@dataclass(frozen=True)
class Found:
    """What one scheme gives.

    Attributes:
        error: of the slopes along the directions, over their length.
        noise: of the gradient of one batch, over the length of the average gradient.
        biases: length of the biases' part of the average gradient, over the whole.
    """

    error: float
    noise: float
    biases: float


@dataclass(frozen=True)
class Study:
    """A network, the points that stand for all, and directions in its weights."""

    model: nn.Module
    points: Tensor
    directions: Tensor

    @classmethod
    def of(cls, activation: Callable[[], nn.Module], count: int, directions: int) -> "Study":
        """As torch initialises it, in float64."""
        with seeded(1):
            layers = [nn.Linear(2, 50), activation(), nn.Linear(50, 50), activation()]
            model = nn.Sequential(*layers, nn.Linear(50, 5)).double()
        source = generator(1)
        points = torch.randn(count, 2, dtype=torch.float64, generator=source)
        sizes = {
            name: one.detach().abs().mean().expand_as(one) for name, one in named(model).items()
        }
        scale = flatten(sizes)
        each = [
            scale * torch.randn(len(scale), dtype=torch.float64, generator=source)
            for _ in range(directions)
        ]
        return cls(model, points, torch.stack(each))

    def goal(self, points: Tensor, chosen: Scheme) -> Tensor:
        """How alike the outputs' gradients are at each point, on average."""
        return diversity(gradients(self.model, points, chosen), over="points")

    def average(self) -> float:
        """The goal over all points, which exact gradients give exactly."""
        with torch.no_grad():
            parts = [
                self.goal(part, scheme("auto")) * len(part) for part in self.points.split(TOGETHER)
            ]
        return float(torch.stack(parts).sum()) / len(self.points)

    def truth(self) -> Tensor:
        """True slopes: how the average changes when the weights move along each direction."""
        return torch.tensor([self._slope(one) for one in self.directions], dtype=torch.float64)

    def _slope(self, direction: Tensor) -> float:
        weights = named(self.model)
        start, ends = flatten(weights).detach().clone(), list[float]()
        for shift in (AHEAD, -AHEAD, 0.0):
            moved = unflatten(start + shift * direction, weights)
            with torch.no_grad():
                for name, one in weights.items():
                    one.copy_(moved[name])
            ends.append(self.average() if shift else 0.0)
        return (ends[0] - ends[1]) / (2 * AHEAD)

    def gradient(self, points: Tensor, chosen: Scheme) -> Tensor:
        """What backpropagation gives for the average over these points."""
        weights, total = list(self.model.parameters()), torch.zeros(())
        for part in points.split(TOGETHER):
            share = self.goal(part, chosen) * len(part) / len(points)
            found = torch.autograd.grad(share, weights, allow_unused=True, materialize_grads=True)
            total = total + torch.cat([one.flatten() for one in found])
        return total

    def measure(self, chosen: Scheme, truth: Tensor, batches: int) -> Found:
        """One scheme beside the truth."""
        average = self.gradient(self.points, chosen)
        apart = [
            self.gradient(batch, chosen) - average for batch in self.points.split(BATCH)[:batches]
        ]
        bias = flatten(
            {n: torch.full_like(one, one.ndim == 1) for n, one in named(self.model).items()}
        )
        length = average.norm()
        return Found(
            float((self.directions @ average - truth).norm() / truth.norm()),
            float(torch.stack(apart).norm(dim=1).mean() / length),
            float((bias * average).norm() / length),
        )


def study(activation: Callable[[], nn.Module], count: int, batches: int) -> Mapping[str, Found]:
    """Exact gradients and every step."""
    one = Study.of(activation, count, directions=6)
    truth = one.truth()
    found = {"exact": one.measure(scheme("auto"), truth, batches)}
    for step in STEPS:
        found[f"step {step:g}"] = one.measure(ForwardDifference(Fixed(step)), truth, batches)
    return found


def show(name: str, found: Mapping[str, Found]) -> None:
    """A line a scheme."""
    print(f"\n{name:12} {'error':>9} {'noise':>9} {'biases':>9}")
    for scheme_name, one in found.items():
        print(f"  {scheme_name:10} {one.error:9.4f} {one.noise:9.2f} {one.biases:9.2f}")


def figure(studies: Mapping[str, Mapping[str, Found]]) -> Figure:
    """Error and noise by step; levels are those of exact gradients."""
    marks = list[Line | Guide]()
    for (name, found), tone in zip(studies.items(), ("one", "two"), strict=True):
        each: Sequence[Found] = [found[f"step {step:g}"] for step in STEPS]
        errors, noises = [one.error for one in each], [one.noise for one in each]
        marks += [
            Guide(y=found["exact"].error, text=f"{name}, exact gradients: error"),
            Line(STEPS, errors, label=f"{name}: error", tone=tone),
            Line(STEPS, noises, label=f"{name}: noise of {BATCH} points", tone=tone, dashed=True),
        ]
    return Figure(
        "What a finite step sees of kinks that move",
        marks,
        Axis("step of the forward difference", log=True),
        Axis("relative to the true slope", log=True),
        description="With ReLU exact gradients err by most of the slope, steps of 0.01 to 0.1 by "
        "little, with more noise the smaller the step; with tanh exact gradients are right.",
        width=560,
        height=380,
    )


def run(path: Path, count: int = 400_000, batches: int = 30) -> Mapping[str, Mapping[str, Found]]:
    """Measure, print, draw."""
    kinds: Mapping[str, Callable[[], nn.Module]] = {"ReLU": nn.ReLU, "tanh": nn.Tanh}
    studies = {name: study(activation, count, batches) for name, activation in kinds.items()}
    for name, found in studies.items():
        show(name, found)
    path.write_text(sheet([figure(studies)]), "utf-8")
    print(f"\nThe figure: {path.resolve()}")
    return studies


if __name__ == "__main__":
    run(Path(sys.argv[1] if len(sys.argv) > 1 else "kinks.svg"))
