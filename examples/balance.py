"""What happens to a goal whose loss is written in small units?

Pictures of two of scikit-learn's digits side by side; one trunk, a head for each digit. The second
loss is multiplied by 1, 0.1, 0.01, 0.001, as if it were in another unit, and the network is trained
on the sum, with each goal by its own magnitude, and impartially. What the held-out rows say is
printed, three seeds each, and drawn.

    python examples/balance.py [FIGURE.svg]
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.balance import Balancer
from counterpoint.balance.rules import Magnitude, Rule
from counterpoint.report.figures import Axis, Figure, Line, sheet
from counterpoint.seeding import generator, seeded

SCALES = (1.0, 0.1, 0.01, 0.001)
RULES: dict[str, str | Rule] = {
    "sum": "sum",
    "by magnitude (a = +1)": Magnitude(power=1.0),
    "impartial (a = -1)": "impartial",
}
TONES = ("one", "three", "two")
STEPS, ROWS = 400, 64


class Two(nn.Module):
    """A trunk and a head for each of two digits."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.left, self.right = nn.Linear(64, 10), nn.Linear(64, 10)


def pairs(count: int, low: int, high: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures (count, 128) of two digits, of the rows from low to high, and what they show."""
    found = load_digits()
    pictures = torch.tensor(found.data[low:high] / 16, dtype=torch.float32)
    shown = torch.tensor(found.target[low:high])
    chosen = torch.randint(0, len(shown), (2, count), generator=generator(seed))
    return torch.cat([pictures[chosen[0]], pictures[chosen[1]]], 1), shown[chosen].T


def goals(model: Two, x: Tensor, y: Tensor, scale: float) -> dict[str, Tensor]:
    """Cross entropies of the two digits; the second in other units."""
    z = model.trunk(x)
    return {
        "left": functional.cross_entropy(model.left(z), y[:, 0]),
        "right": scale * functional.cross_entropy(model.right(z), y[:, 1]),
    }


def accuracies(rule: str | Rule, scale: float, seed: int) -> tuple[float, float]:
    """Shares of the held-out digits, left and right, that are told right."""
    with seeded(seed):
        model = Two()
    x, y = pairs(20_000, 0, 1200, seed)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    balancer = Balancer(rule, monitor=False)
    draw = generator(seed, 1)
    for _ in range(STEPS):
        rows = torch.randint(0, len(x), (ROWS,), generator=draw)
        optimizer.zero_grad()
        balancer.backward(goals(model, x[rows], y[rows], scale), model)
        optimizer.step()
    x, y = pairs(5_000, 1200, 1797, seed)
    with torch.no_grad():
        z = model.trunk(x)
        told = torch.stack([model.left(z).argmax(1), model.right(z).argmax(1)], 1)
    left, right = (told == y).double().mean(0).tolist()
    return left, right


def drawn(found: Mapping[str, list[float]]) -> Figure:
    """Accuracy of the second digit against the unit of its loss."""
    lines = [
        Line(SCALES, found[name], name, tone)
        for name, tone in zip(found, TONES, strict=True)  # type: ignore[arg-type]
    ]
    return Figure(
        "Accuracy of the second digit, by the unit of its loss",
        lines,
        Axis("second loss times", log=True),
        Axis("accuracy"),
        description="Impartial weights do not care about the unit; the sum and magnitudes do.",
        width=520,
    )


def main() -> None:
    torch.set_num_threads(1)
    right: dict[str, list[float]] = {name: [] for name in RULES}
    print("accuracy of left and right digit (mean of three seeds, sd of the right one)")
    for scale in SCALES:
        for name, rule in RULES.items():
            runs = [accuracies(rule, scale, seed) for seed in range(3)]
            lefts, rights = [run[0] for run in runs], [run[1] for run in runs]
            right[name].append(mean(rights))
            print(
                f"second loss x {scale:<6g} {name:24s} {mean(lefts):.3f}"
                f"  {mean(rights):.3f} ± {stdev(rights):.3f}"
            )
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "balance.svg")
    path.write_text(sheet([drawn(right)]), encoding="utf-8")
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
