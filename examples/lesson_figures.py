"""The figures of lessons 1 to 7, drawn by the library's own marks: light and dark.

    python examples/lesson_figures.py [FOLDER] [LESSON ...]

Each is computed here, but for what `benchmarks/lessons.py` and `lesson_layers.py` measured:
their results are read. `lesson_figures_more.py` draws the others.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.data import Batch, Tensors
from counterpoint.nn import plain_trunk
from counterpoint.report.figures import (
    Axis,
    Cells,
    Figure,
    Guide,
    Line,
    Mark,
    Points,
    TextLabels,
    Tone,
    sheet,
)
from counterpoint.seeding import generator, seeded
from counterpoint.train import Training, find_rate, minimize

TONES: tuple[Tone, ...] = ("one", "two", "three", "four", "five", "six")
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
SHEET = [
    14, 86, 28, 51, 28, 29, 72, 62, 84, 15, 42, 62, 47, 35, 9, 38, 44, 99, 13, 21, 28, 20, 8, 64,
    99, 70, 27, 17, 8,
]  # fmt: skip


def measured(name: str, part: str) -> Mapping[str, Any]:
    """A part of a benchmark's results."""
    found = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return found[part]


def rmse(a: float, b: float) -> float:
    """Of a line on the 29 rows."""
    return math.sqrt(sum((a * x + b - 2 * x - 30) ** 2 for x in SHEET) / len(SHEET))


def descend(step: Callable[[list[float]], list[float]], epochs: int) -> list[tuple[float, float]]:
    """Slope and intercept after each epoch; `step` gives what is subtracted for a gradient."""
    a, b, path = 1.0, 1.0, [(1.0, 1.0)]
    for _ in range(epochs):
        for x in SHEET:
            slope = 2 * (a * x + b - 2 * x - 30)
            one, two = step([slope * x, slope])
            a, b = a - one, b - two
        path.append((a, b))
    return path


def gradient_descent() -> list[Figure]:
    """The valley, and how the intercept crawls along it."""
    path = descend(lambda g: [1e-4 * one for one in g], 5000)
    a, b = ([pair[place] for pair in path] for place in (0, 1))
    valley = [one / 2 for one in range(61)]
    x = torch.tensor(SHEET).double()
    # along the valley the slope is the best for its intercept
    best = [float((x * (2 * x + 30 - one)).sum() / x.square().sum()) for one in valley]
    spots = [(1.0, 1.0, "start"), (2.0, 30.0, "minimum")]
    return [
        Figure(
            "5,000 epochs, and one Newton step",
            [
                Line(valley, best, label="valley", tone="soft"),
                Line(b, a, label="gradient descent"),
                Line([1, 30], [1, 2], label="Newton", tone="two", dashed=True),
                Points([s[1] for s in spots], [s[0] for s in spots], tone="three", radius=4),
                TextLabels([s[1] for s in spots], [s[0] for s in spots], [s[2] for s in spots]),
            ],
            Axis("intercept b"),
            Axis("slope a"),
        ),
        Figure(
            "Distance of the intercept from 30",
            [Line(range(len(b)), [abs(one - 30) for one in b], label="gradient descent")],
            Axis("epochs", kind="whole"),
            Axis("|b - 30|", log=True),
        ),
    ]


class Rule:
    """Momentum, RMSprop and Adam by their formulas."""

    def __init__(self, rate: float, one: float = 0.0, two: float = 0.0) -> None:
        self.rate, self.one, self.two, self.t = rate, one, two, 0
        self.m, self.s = [0.0, 0.0], [0.0, 0.0]

    def __call__(self, g: list[float]) -> list[float]:
        """What is subtracted."""
        self.t += 1
        self.m = [self.one * m + (1 - self.one) * v for m, v in zip(self.m, g, strict=True)]
        self.s = [self.two * s + (1 - self.two) * v * v for s, v in zip(self.s, g, strict=True)]
        bias = (1 - self.one**self.t, 1 - self.two**self.t)
        size = [math.sqrt(s / bias[1]) + 1e-8 if self.two else 1.0 for s in self.s]
        return [self.rate * m / bias[0] / n for m, n in zip(self.m, size, strict=True)]


def momentum_and_adam() -> list[Figure]:
    """Errors by epoch."""
    rules = {
        "descent, 0.0001": Rule(1e-4),
        "momentum, 0.0001": Rule(1e-4, 0.9),
        "RMSprop, 0.02": Rule(0.02, 0.0, 0.9),
        "Adam, 0.1": Rule(0.1, 0.9, 0.999),
    }
    lines = list[Mark]()
    for (name, rule), tone in zip(rules.items(), TONES, strict=False):
        path = descend(rule, 400)[1:]
        lines.append(Line(range(1, 401), [rmse(*pair) for pair in path], label=name, tone=tone))
    axes = Axis("epoch", log=True), Axis("RMSE", log=True)
    return [Figure("Four rules in one valley", lines, *axes, width=560, height=320)]


def backpropagation() -> list[Figure]:
    """What a gradient costs, in passes."""
    units, ratio, counts = (2, 8, 32, 128, 512), list[float](), list[int]()
    x = torch.randn(256, 32, generator=generator(0))
    for width in units:
        with seeded(0):
            model = nn.Sequential(nn.Linear(32, width), nn.ReLU(), nn.Linear(width, 1))
        counts.append(sum(one.numel() for one in model.parameters()))
        times = [
            [_time(lambda m=model, b=both: _pass(m, x, b)) for _ in range(15)] for both in (0, 1)
        ]
        ratio.append(sorted(b / a for a, b in zip(*times, strict=True))[7])
    marks = [
        Line(counts, [one + 1 for one in counts], label="forward differences", tone="two"),
        Line(
            counts,
            [2 * one for one in counts],
            label="central differences",
            tone="two",
            dashed=True,
        ),
        Line(counts, ratio, label="backpropagation (measured)"),
    ]
    axes = Axis("weights", log=True), Axis("cost in passes of the loss", log=True)
    return [Figure("What a gradient costs", marks, *axes, width=480, height=300)]


def _pass(model: nn.Module, x: Tensor, backward: int) -> None:
    with torch.set_grad_enabled(bool(backward)):
        loss = model(x).square().mean()
        if backward:
            loss.backward()


def _time(call: Callable[[], None]) -> float:
    start = time.process_time()
    for _ in range(20):
        call()
    return time.process_time() - start


def wave(x: Tensor) -> Tensor:
    """The function that is approximated."""
    return torch.sin(3 * x) + 0.3 * x


def built(units: int, x: Tensor) -> Tensor:
    """ReLU units on even knots, set by hand."""
    knots = torch.linspace(-2, 2, units + 1).double()
    slopes = wave(knots).diff() / knots.diff()
    bends = torch.cat([slopes[:1], slopes.diff()])
    return wave(knots[:1]) + ((x[:, None] - knots[:-1]).relu() * bends).sum(1)


def approximation() -> list[Figure]:
    """Built and trained."""
    x = torch.linspace(-2, 2, 401).double()
    marks: list[Mark] = [Line(x.tolist(), wave(x).tolist(), label="wave", tone="soft")]
    for units, tone in zip((4, 8, 16), TONES, strict=False):
        marks.append(Line(x.tolist(), built(units, x).tolist(), label=f"{units} units", tone=tone))
    widths = (2, 4, 8, 16, 32, 64)
    by_hand = [float((built(units, x) - wave(x)).abs().max()) for units in widths]
    trained = [sorted(_trained(units, seed, x) for seed in range(5)) for units in widths]
    return [
        Figure("By 4, 8 and 16 ReLU units, built", marks, Axis("x"), Axis()),
        Figure(
            "Largest error, built and trained",
            [
                Line(widths, by_hand, label="built"),
                Line(widths, [each[2] for each in trained], label="trained, median", tone="two"),
                Line(
                    widths,
                    [each[0] for each in trained],
                    label="best of 5",
                    tone="two",
                    dashed=True,
                ),
            ],
            Axis("units", log=True),
            Axis("", log=True),
        ),
    ]


def _trained(units: int, seed: int, x: Tensor) -> float:
    with seeded(seed):
        model = nn.Sequential(*plain_trunk(1, units, 1), nn.Linear(units, 1)).double()
    rows = {"x": x[:, None], "y": wave(x)[:, None]}

    def goals(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {"fit": (net(batch["x"]) - batch["y"]).square().mean()}

    minimize(goals, model, rows, method="l-bfgs", iterations=400, progress=False)
    with torch.no_grad():
        return float((model(rows["x"]) - rows["y"]).abs().max())


def matrix_products() -> list[Figure]:
    """A convolution as a matrix, and an embedding as a product."""
    kernel = (0.5, 1.0, -0.5)
    band = [[kernel[j - i] if 0 <= j - i < 3 else 0.0 for j in range(8)] for i in range(6)]
    shown = [["1", "2", "-1"][j - i] if 0 <= j - i < 3 else "" for i in range(6) for j in range(8)]
    texts = [shown[8 * i : 8 * i + 8] for i in range(6)]
    names = [f"x{j}" for j in range(1, 9)], [f"y{i}" for i in range(1, 7)]
    found = measured("lesson_layers", "lookup")
    levels = [10, 100, 1_000, 10_000]
    times = [found[str(one)]["median"] for one in levels]
    return [
        Figure(
            "A convolution as a matrix", [Cells(band, texts)], *(Axis(names=one) for one in names)
        ),
        Figure(
            "One-hot product over lookup",
            [Line(levels, times), Points(levels, times), Guide(y=1.0, text="as fast")],
            Axis("levels", log=True),
            Axis("time, as a multiple", log=True),
        ),
    ]


def weight_decay() -> list[Figure]:
    """Widths and strengths, as measured."""
    units = measured("lessons", "width")["units"]
    weights = [each["weights"] for each in units.values()]
    marks: list[Mark] = [Guide(x=40, text="40 rows")]
    for name, label, tone in (("none", "no decay", "two"), ("decay", "decay", "one")):
        test = [each[name]["test"]["mean"] for each in units.values()]
        train = [each[name]["train"]["mean"] for each in units.values()]
        marks.append(Line(weights, test, label=f"{label}: new rows", tone=tone))
        marks.append(Line(weights, train, label=f"{label}: training", tone=tone, dashed=True))
    tables = measured("lessons", "decay")
    sweep = list[Mark]()
    for (table, measure, label), tone in zip(
        (("adult", "nll", "Adult: loss"), ("movielens", "rmse", "MovieLens: RMSE")),
        TONES,
        strict=False,
    ):
        each = tables[table]["decays"]
        values = [one[measure]["mean"] for one in each.values()]
        sweep.append(
            Line(range(len(each)), [v / min(values) for v in values], label=label, tone=tone)
        )
    names = list(tables["adult"]["decays"])
    return [
        Figure("Error by number of weights", marks, Axis("weights", log=True), Axis("", log=True)),
        Figure("Error over the best, by decay", sweep, Axis("weight decay", names=names), Axis()),
    ]


def rates() -> list[Figure]:
    """The finder on digits, and the schedule."""
    digits = load_digits()
    rows = Tensors({"x": torch.tensor(digits.data / 16).float(), "y": torch.tensor(digits.target)})
    with seeded(0):
        model = nn.Sequential(nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 10))

    def goals(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {"fit": functional.cross_entropy(net(batch["x"]), batch["y"])}

    curve = find_rate(model, goals, rows, Training(batch_size=64), low=1e-5, high=10.0)
    top = 1.6 * curve.smooth[0]
    shown = [[v if v < top else None for v in each] for each in (curve.losses, curve.smooth)]
    weight = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.Adam([weight])
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, total_steps=200)
    phases = list[tuple[float, float]]()
    for _ in range(200):
        group = optimiser.param_groups[0]
        phases.append((group["lr"], group["betas"][0]))
        optimiser.step()
        cycle.step()
    share = [place / 199 for place in range(200)]
    return [
        Figure(
            "The finder, on digits",
            [
                Line(curve.rates, shown[0], label="a batch", tone="soft"),
                Line(curve.rates, shown[1], label="mean of seven"),
                Guide(x=curve.suggestion, text="suggestion"),
            ],
            Axis("learning rate", log=True),
            Axis("loss", low=0),
        ),
        Figure(
            "One-cycle",
            [
                Line(share, [one for one, _ in phases], label="rate, of its peak"),
                Line(share, [two for _, two in phases], label="momentum", tone="two"),
            ],
            Axis("share of the steps", kind="share"),
            Axis(low=0),
        ),
    ]


LESSONS: dict[str, Callable[[], list[Figure]]] = {
    "gradient-descent": gradient_descent,
    "momentum-and-adam": momentum_and_adam,
    "backpropagation": backpropagation,
    "approximation": approximation,
    "matrix-products": matrix_products,
    "weight-decay": weight_decay,
    "rates": rates,
}


def draw(lessons: Mapping[str, Callable[[], list[Figure]]], words: Sequence[str]) -> None:
    """All figures, or those named, into a folder."""
    torch.set_num_threads(1)
    folder = Path(words[0] if words else "lessons")
    folder.mkdir(parents=True, exist_ok=True)
    for name in words[1:] or lessons:
        path = folder / f"{name}.svg"
        try:
            path.write_text(sheet(lessons[name]()), "utf-8")
        except FileNotFoundError as error:
            print(f"{name}: left out, {error.filename} has not been measured")
        else:
            print(path)


if __name__ == "__main__":
    draw(LESSONS, sys.argv[1:])
