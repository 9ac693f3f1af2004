"""Open a black box: find the formula y = (a + b) c from 500 rows, and print it.

A network of two layers, `NAU` (sums) and `NMU` (products), is trained with train.fit: first for the
fit alone, then with the sparsity of its wiring as a second goal. The weights are then rounded, and
what they say is printed. Beside it a multilayer perceptron of 2 x 50 units is trained on the same
rows. Both are asked about rows like those they learnt from, and about inputs 100 times as large.

    python examples/black_box.py [FIGURE.svg]

Three starts, the one with the lowest training loss is kept: from some starts the wiring ends in
another formula, and the training rows say so.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from counterpoint.data import Batch, Tensors
from counterpoint.nn import NAU, NMU, plain_trunk, sparsity
from counterpoint.report.figures import Axis, Figure, Line, Points
from counterpoint.seeding import generator, seeded
from counterpoint.train import Training, evaluate, fit

NAMES = ("a", "b", "c")
ROWS, STARTS = 500, 3
SETTINGS = Training(epochs=150, batch_size=50, rate=0.02, weight_decay=0.0)


def formula(x: Tensor) -> Tensor:
    """What is in the box."""
    return (x[:, :1] + x[:, 1:2]) * x[:, 2:]


def rows(count: int, seed: int, scale: float = 1.0) -> dict[str, Tensor]:
    """Inputs from U[-2, 2], times the scale."""
    x = (4 * torch.rand(count, 3, generator=generator(seed)) - 2) * scale
    return {"x": x, "y": formula(x)}


def fits(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The squared error."""
    return {"fit": (model(batch["x"]) - batch["y"]).square().mean()}


def wired(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """And the wiring."""
    return {**fits(model, batch), "sparse": sparsity(model)}


def open_box(data: Tensors) -> nn.Sequential:
    """The best of some starts, its weights rounded."""
    found = list[tuple[float, nn.Sequential]]()
    for seed in range(STARTS):
        with seeded(seed):
            model = nn.Sequential(NAU(3, 2), NMU(2, 1))
        fit(model, fits, data, SETTINGS, progress=False)
        fit(model, wired, data, SETTINGS, progress=False)
        with torch.no_grad():
            for unit in model:
                unit.weight.copy_(unit.wiring.round())
        loss = evaluate(model, fits, data)["fit"]
        found.append((loss, model))
        print(f"  start {seed}: y = {read(model)}, training loss {loss:.3g}")
    return min(found, key=lambda pair: pair[0])[1]


def read(model: nn.Sequential) -> str:
    """The formula that rounded weights are."""
    sums, products = (unit.wiring.tolist() for unit in model)
    terms = [_sum(weights) for weights in sums]
    chosen = [term for term, weight in zip(terms, products[0], strict=True) if weight]
    return (
        " * ".join(f"({one})" if " " in one and len(chosen) > 1 else one for one in chosen) or "1"
    )


def _sum(weights: Sequence[float]) -> str:
    signed = [
        (" - " if weight < 0 else " + ") + name
        for name, weight in zip(NAMES, weights, strict=True)
        if weight
    ]
    text = "".join(signed)
    return text.removeprefix(" + ").replace(" - ", "-", 1) if text[:3] == " - " else text[3:] or "0"


def perceptron(data: Tensors) -> nn.Sequential:
    """Two hidden layers of 50, on the same rows."""
    with seeded(0):
        model = nn.Sequential(*plain_trunk(3, 50, 2), nn.Linear(50, 1))
    fit(model, fits, data, Training(epochs=300, batch_size=50, rate=0.01), progress=False)
    return model


def error(model: nn.Module, test: dict[str, Tensor]) -> float:
    """Root mean square error in standard deviations of the target."""
    with torch.no_grad():
        return float((model(test["x"]) - test["y"]).square().mean().sqrt() / test["y"].std())


def figure(units: nn.Module, mlp: nn.Module) -> Figure:
    """The product along a line that leaves the training range."""
    c = torch.linspace(-6, 6, 121)
    x = torch.stack([torch.ones(121), 0.5 * torch.ones(121), c], 1)
    with torch.no_grad():
        made, guessed = units(x)[:, 0].tolist(), mlp(x)[:, 0].tolist()
    inside = [one if abs(one) <= 2 else None for one in c.tolist()]
    return Figure(
        "(a + b) c, at a = 1 and b = 1/2",
        [
            Line(c.tolist(), formula(x)[:, 0].tolist(), label="the box", tone="soft"),
            Line(c.tolist(), made, label="NAU and NMU", tone="one", dashed=True),
            Line(c.tolist(), guessed, label="perceptron", tone="two"),
            Points(
                inside[::5], formula(x)[::5, 0].tolist(), label="range of the rows", tone="three"
            ),
        ],
        Axis("c"),
        Axis("y"),
        description="Inside the range of the rows both follow the line; outside only the units do.",
        width=420,
        height=300,
    )


def run(path: Path) -> tuple[str, dict[str, float]]:
    """Opens the box and draws the figure; the formula, and errors by name."""
    data = Tensors(rows(ROWS, seed=0))
    print(f"{ROWS} rows of a, b, c between -2 and 2")
    units = open_box(data)
    mlp = perceptron(data)
    print(f"y = {read(units)}")
    found = dict[str, float]()
    print(f"{'error, in deviations of y':28}{'NAU and NMU':>12}{'perceptron':>12}")
    for words, scale in (("new rows", 1.0), ("inputs 100 times as large", 100.0)):
        test = rows(2000, seed=1, scale=scale)
        each = {"units": error(units, test), "perceptron": error(mlp, test)}
        print(f"{words:28}{each['units']:12.2g}{each['perceptron']:12.2g}")
        found |= {f"{name}, {words}": value for name, value in each.items()}
    path.write_text(figure(units, mlp).document(), "utf-8")
    print(f"The figure: {path.resolve()}")
    return read(units), found


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1] if len(sys.argv) > 1 else "black-box.svg"))
