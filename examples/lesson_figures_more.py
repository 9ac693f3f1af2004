"""The figures of lessons 8 to 13; `lesson_figures.py` draws the others.

python examples/lesson_figures_more.py [FOLDER] [LESSON ...]
"""

import math
import sys
from collections.abc import Callable
from itertools import product

import black_box
import torch
from lesson_figures import TONES, draw, measured
from torch import Tensor, nn

from counterpoint.data import Batch, Tensors
from counterpoint.datasets import cubic_gap
from counterpoint.derivatives import values_and_gradients
from counterpoint.goals import diversity
from counterpoint.nn import Maxout
from counterpoint.report.figures import (
    Axis,
    Figure,
    Guide,
    Histogram,
    Line,
    Mark,
    Points,
    RowBars,
    TextLabels,
)
from counterpoint.seeding import generator, seeded
from counterpoint.train import minimize

SHARES = (0.5, 0.3, 0.2)


def softmax() -> list[Figure]:
    """Surprise, and the least divergence."""
    p = [one / 200 for one in range(1, 201)]
    spots = {"a half: 0.693": 0.5, "a tenth: 2.303": 0.1, "0.98: 0.020": 0.98}
    at = [-math.log(one) for one in spots.values()]
    moved = [(t, 0.6 * (1 - t), 0.4 * (1 - t)) for t in p[9:190]]
    apart = [sum(s * math.log(s / q) for s, q in zip(SHARES, one, strict=True)) for one in moved]
    return [
        Figure(
            "Surprise: the cross entropy of one row",
            [
                Line(p, [-math.log(one) for one in p]),
                Points(list(spots.values()), at, tone="two", radius=3.5),
                TextLabels(list(spots.values()), at, list(spots)),
            ],
            Axis("probability of what occurred"),
            Axis("nats", low=0),
        ),
        Figure(
            "Divergence of shares 50, 30, 20 from q",
            [
                Line([one[0] for one in moved], apart),
                Guide(x=0.5, text="the shares: likeliest"),
            ],
            Axis("q of the first side (the others in proportion)"),
            Axis("nats", low=0),
        ),
    ]


def dropout() -> list[Figure]:
    """Sums under dropout, and the gap by depth."""
    draws = generator(0)
    sums = [2.0 * float((torch.rand(1000, generator=draws) < 0.5).sum()) for _ in range(4000)]
    edges = [880.0 + 10 * place for place in range(25)]
    counts = [sum(low <= one < low + 10 for one in sums) / len(sums) for low in edges[:-1]]
    normal = [
        10 * math.exp(-((one - 1000) ** 2) / 2000) / math.sqrt(2000 * math.pi)
        for one in (880 + place for place in range(241))
    ]
    found = measured("lessons", "dropout")
    depth = [int(one) for one in found]
    gaps = [one["relative gap of outputs"] for one in found.values()]
    middle = [one["mean"] for one in gaps]
    low, high = ([one["mean"] + sign * one["deviation"] for one in gaps] for sign in (-1, 1))
    return [
        Figure(
            "Sums of 1,000 ones, p = 0.5, kept ones doubled",
            [
                Histogram(edges, counts),
                Line(
                    [880 + place for place in range(241)], normal, label="N(1000, 1000)", tone="two"
                ),
                Guide(x=1000, text="without dropout"),
            ],
            Axis("sum"),
            Axis("share", kind="share"),
        ),
        Figure(
            "Scaled network against the average of masks",
            [Line(depth, middle), Points(depth, middle, low, high)],
            Axis("hidden layers", kind="whole"),
            Axis("gap, of the outputs' deviation", low=0, kind="share"),
        ),
    ]


def row_weights() -> list[Figure]:
    """The bias of the batch's own weights, and what confidence does."""
    sizes = [2**power for power in range(10)]
    true = (0.1 * 5 + 0.9 * 0.02) / (0.1 + 0.9 * 0.02)
    own = list[float]()
    for size in sizes:
        total = 0.0
        for k in range(size + 1):
            chance = math.comb(size, k) * 0.1**k * 0.9 ** (size - k)
            total += chance * (5 * k + 0.02 * (size - k)) / (k + 0.02 * (size - k))
        own.append(total)
    found = measured("lessons", "labels")
    ways, bars = list(next(iter(found.values()))), list[Mark]()
    short = ["all alike", "confidence", "sure half", "right ones"]
    names = [f"{float(noise):.0%}: {way}" for noise in list(found)[1:] for way in short]
    for place, way in enumerate(ways):
        values: list[float | None] = [None] * len(names)
        spread: list[float | None] = [None] * len(names)
        for line, noise in enumerate(list(found)[1:]):
            values[line * len(ways) + place] = found[noise][way]["mean"]
            spread[line * len(ways) + place] = found[noise][way]["deviation"]
        bars.append(RowBars(values, spread, tone=TONES[place]))
    return [
        Figure(
            "Expected loss of a batch",
            [
                Guide(y=true, text="rows times the data's mean weight: true"),
                Line(sizes, own, label="the batch's own weights", tone="two"),
            ],
            Axis("rows of a batch", log=True),
            Axis(low=0),
        ),
        Figure(
            "Digits with wrong labels: accuracy",
            bars,
            Axis(low=0, high=1, kind="share"),
            Axis(names=names),
            width=430,
        ),
    ]


def perceptron() -> list[Figure]:
    """Borders, and lengths that come to rest or do not."""
    corners = [(*pair, 1.0) for pair in product((0.0, 1.0), repeat=2)]
    labels = {"and": (-1, -1, -1, 1), "or": (-1, 1, 1, 1), "exclusive or": (-1, 1, 1, -1)}
    marks: list[Mark] = [
        Points([c[0] for c in corners], [c[1] for c in corners], radius=5, tone="soft")
    ]
    lengths = list[Mark]()
    for (name, y), tone in zip(labels.items(), TONES, strict=False):
        w, path = [0.0, 0.0, 0.0], list[float]()
        for _ in range(15):
            for row, sign in zip(corners, y, strict=True):
                if sign * sum(a * b for a, b in zip(w, row, strict=True)) <= 0:
                    w = [a + sign * b for a, b in zip(w, row, strict=True)]
                path.append(math.hypot(*w))
        lengths.append(Line(range(1, 61), path, label=name, tone=tone))
        if name != "exclusive or":
            x = [place / 50 for place in range(-20, 81)]  # what leaves the figure is a gap
            border = [-(w[0] * one + w[2]) / w[1] for one in x]
            marks.append(Line(x, border, label=name, tone=tone))
    return [
        Figure(
            "Where AND and OR come to rest",
            marks,
            Axis("x1", low=-0.5, high=1.7),
            Axis("x2", low=-0.5, high=1.7),
        ),
        Figure("Length of the weights", lengths, Axis("rows seen", kind="whole"), Axis(low=0)),
    ]


def diverse_heads() -> list[Figure]:
    """Twenty heads with and without diversity."""
    x, y = cubic_gap(0, 100, 3.0)
    rows = {"x": torch.from_numpy(x), "y": torch.from_numpy(y)[:, None] / 20}
    grid = torch.linspace(-4.6, 4.6, 185).double()[:, None]
    figures = list[Figure]()
    for strength, title in ((0.0, "Without diversity"), (1.0, "With diversity")):
        with seeded(0):
            layers = [nn.Linear(1, 50), nn.Tanh(), nn.Linear(50, 50), nn.Tanh(), nn.Linear(50, 20)]
            model = nn.Sequential(*layers).double()

        def goals(net: nn.Module, batch: Batch, strength: float = strength) -> dict[str, Tensor]:
            values, slopes = values_and_gradients(net, batch["x"])
            squares = torch.stack([one.square().sum() for one in net.parameters()]).sum()
            both = {"fit": (values - batch["y"]).square().mean(), "decay": 1e-4 * squares}
            return both | ({"diverse": strength * diversity(slopes)} if strength else {})

        minimize(goals, model, rows, method="l-bfgs", iterations=400, progress=False)
        with torch.no_grad():
            heads = 20 * model(grid).T
        marks: list[Mark] = [
            Line(grid[:, 0].tolist(), one.tolist(), tone=TONES[place % 6])
            for place, one in enumerate(heads)
        ]
        marks.append(Points(x[:, 0].tolist(), y.tolist(), tone="soft", radius=1.8))
        figures.append(Figure(title, marks, Axis("x"), Axis("y", low=-110, high=110)))
    return figures


def units() -> list[Figure]:
    """A parabola by maxout, and a product outside its range."""
    unit = Maxout(1, 1, pieces=4)
    points = torch.tensor([-3.0, -1.0, 1.0, 3.0])
    unit.linear.weight.data, unit.linear.bias.data = 2 * points[:, None], -(points**2)
    x = torch.linspace(-4, 4, 161)
    with torch.no_grad():
        largest = unit(x[:, None])[:, 0].tolist()
        pieces = unit.linear(x[:, None]).T
    marks: list[Mark] = [
        Line(x.tolist(), [v if v > -6 else None for v in one.tolist()], tone="soft", dashed=True)
        for one in pieces
    ]
    marks.append(Line(x.tolist(), (x**2).tolist(), label="a parabola", tone="three"))
    marks.append(Line(x.tolist(), largest, label="the largest of four lines"))
    data = Tensors(black_box.rows(black_box.ROWS, seed=0))
    made = black_box.open_box(data), black_box.perceptron(data)
    return [
        Figure("One maxout unit", marks, Axis("x"), Axis()),
        black_box.figure(*made).resized(350, 260),
    ]


LESSONS: dict[str, Callable[[], list[Figure]]] = {
    "softmax": softmax,
    "dropout": dropout,
    "row-weights": row_weights,
    "perceptron": perceptron,
    "diverse-heads": diverse_heads,
    "units": units,
}

if __name__ == "__main__":
    draw(LESSONS, sys.argv[1:])
