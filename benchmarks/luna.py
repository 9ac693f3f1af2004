"""What a LUNA step costs: ours beside the floor and a plain neural linear step.

    python benchmarks/luna.py [--repeats 9] [--steps 100]

The cubic with a gap (100 points, two ReLU layers of 50), full batch, float64, fused Adam,
γ|w|² and forward differences with steps drawn from N(0, 0.1²) at every step. The floor is the
plainest vectorised loop of the paper's objective: one batched forward, one Gram matrix of unit
slopes. "Ours" is what a user writes: `values_and_gradients` and `diversity`. Floor, ours and the
neural linear model each have the penalty written out, and given to the optimiser as its decay (the
same gradient, cheaper), so that like stands beside like. Processor time of one thread; ratios of a
round to the floor, penalty written out, of the same round.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from _measure import environment, interleave, ratios, record, show
from torch import Tensor, nn

from counterpoint.datasets import cubic_gap
from counterpoint.derivatives import (
    Drawn,
    ForwardDifference,
    ForwardMode,
    Scheme,
    values_and_gradients,
)
from counterpoint.goals import diversity
from counterpoint.seeding import generator, seeded

PENALTY, NOISE, ROWS, WIDTH = 0.1, 9.0, 100, 50
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def data(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    x, y = cubic_gap(0, ROWS)
    return torch.from_numpy(x).to(dtype), torch.from_numpy(y).to(dtype)[:, None]


def network(heads: int, dtype: torch.dtype) -> nn.Sequential:
    with seeded(0):
        layers = [nn.Linear(1, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()]
        net = nn.Sequential(*layers, nn.Linear(WIDTH, heads)).to(dtype)
        for weight in net.parameters():
            nn.init.normal_(weight)
    return net


def floor(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Fit and diversity, written out in one place."""
    rows, inputs = x.shape
    step = 0.1 * torch.randn(rows, dtype=x.dtype)
    corners = torch.eye(inputs, dtype=x.dtype)[:, None] * step[:, None]
    out = net(torch.cat([x[None], x + corners]).reshape(-1, inputs)).reshape(inputs + 1, rows, -1)
    slopes = ((out[1:] - out[0]) / step[:, None]).reshape(rows * inputs, -1)
    unit = slopes / slopes.norm(dim=0, keepdim=True).clamp_min(1e-12)
    gram = unit.T @ unit
    similar = (gram.square().sum() - gram.diagonal().square().sum()) / 2
    return (out[0] - y).square().sum(0).mean() / (2 * NOISE) + similar


def decay(net: nn.Module) -> Tensor:
    return PENALTY * sum((weight.square().sum() for weight in net.parameters()), torch.tensor(0.0))


def linear(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The neural linear model's fit."""
    return (net(x) - y).square().sum() / (2 * NOISE)


def written(loss: Loss) -> Loss:
    """The same with the penalty written out."""
    return lambda net, x, y: loss(net, x, y) + decay(net)


def ours(scheme: Scheme) -> Loss:
    """Fit and diversity, as a user writes them."""

    def loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        values, slopes = values_and_gradients(net, x, scheme)
        fit = (values - y).square().sum() / (2 * NOISE * values.shape[1])
        return fit + diversity(slopes, reduction="sum")

    return loss


def timed(
    loss: Loss, heads: int, dtype: torch.dtype, steps: int, decay: float
) -> Callable[[], float]:
    """Processor seconds of so many steps."""
    net, (x, y) = network(heads, dtype), data(dtype)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=decay, fused=True)

    def run() -> float:
        begin = time.process_time()
        for _ in range(steps):
            optimiser.zero_grad()
            loss(net, x, y).backward()
            optimiser.step()
        return (time.process_time() - begin) / steps

    return run


@dataclass(frozen=True)
class Case:
    """A loss (without penalty), and where the penalty is."""

    loss: Loss
    heads: int = 50
    dtype: torch.dtype = torch.float64
    penalty: str = "optimiser's"

    def run(self, steps: int) -> Callable[[], float]:
        """Processor seconds of so many steps."""
        if self.penalty == "written out":
            return timed(written(self.loss), self.heads, self.dtype, steps, 0.0)
        return timed(self.loss, self.heads, self.dtype, steps, 2 * PENALTY)


def cases() -> dict[str, Case]:
    """All that are compared; every one with drawn steps draws its own."""

    def drawn() -> Loss:
        return ours(ForwardDifference(Drawn(0.1, generator(1))))

    return {
        "floor, penalty written out": Case(floor, penalty="written out"),
        "ours, penalty written out": Case(drawn(), penalty="written out"),
        "floor": Case(floor),
        "ours": Case(drawn()),
        "ours, float32": Case(drawn(), dtype=torch.float32),
        "ours, forward mode": Case(ours(ForwardMode())),
        "floor, 200 heads": Case(floor, heads=200),
        "ours, 200 heads": Case(drawn(), heads=200),
        "neural linear, penalty written out": Case(linear, heads=1, penalty="written out"),
        "neural linear": Case(linear, heads=1),
    }


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--repeats", type=int, default=9)
    arguments.add_argument("--steps", type=int, default=100)
    told = arguments.parse_args()
    torch.set_num_threads(1)
    runs = {name: case.run(told.steps) for name, case in cases().items()}
    seconds = interleave(runs, told.repeats)
    found = ratios(seconds, "floor, penalty written out")
    least = {name: min(times) for name, times in seconds.items()}

    def over(name: str, other: str) -> str:
        return f"{least[name] / least[other]:.2f}x"

    notes = {
        "ours over the floor": over("ours", "floor"),
        "the same, penalty written out": over(
            "ours, penalty written out", "floor, penalty written out"
        ),
        "LUNA over a neural linear step": over("ours", "neural linear"),
        "the same, penalty written out in both": over(
            "ours, penalty written out", "neural linear, penalty written out"
        ),
        "200 heads over 50": over("ours, 200 heads", "ours"),
        "ms a step": ", ".join(f"{name} {1e3 * value:.2f}" for name, value in least.items()),
    }
    show(found, notes)
    record("luna", {"environment": environment(), "ratios": found, "notes": notes})


if __name__ == "__main__":
    main()
