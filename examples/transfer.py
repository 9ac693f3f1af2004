"""How many rows does a second task save that begins with the first one's network?

A small convolutional net learns five classes, gets a head of two layers for five others, and is
trained on a few rows of each: the head alone first, then everything at rates that grow from the
first layer to the last, with what the optimiser remembers kept. Beside it the same net from
nothing, as many steps. What the filters of both layers respond to is drawn.

    python examples/transfer.py [FIGURE.svg] [--task digits|mnist|mnist-digits|cifar] [--seeds 3]

digits: scikit-learn's, 0-4 to 5-9; mnist: likewise; mnist-digits: MNIST, made as small as
scikit-learn's, to all ten of those; cifar: CIFAR-10's first five classes to the others.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.data import Batch, Tensors
from counterpoint.datasets import cifar10, mnist
from counterpoint.nn import replace_head
from counterpoint.report.figures import Axis, Cells, Figure, Line, sheet
from counterpoint.seeding import generator, seeded
from counterpoint.train import Training, fit, groups, spread

ROWS = (1, 2, 5, 10, 20, 50)
"""Of each class of the second task."""


@dataclass(frozen=True)
class Pictures:
    """Pictures (rows, colours, height, width) from 0 to 1, and what they show, from 0."""

    x: Tensor
    y: Tensor

    def at(self, rows: Tensor) -> "Pictures":
        """Some of them, by a mask or by places."""
        return Pictures(self.x[rows], self.y[rows])

    @property
    def classes(self) -> int:
        """How many they show."""
        return int(self.y.max()) + 1


def halves(every: Pictures) -> tuple[Pictures, Pictures]:
    """The first five classes, and the others."""
    late = every.y >= 5
    return every.at(~late), Pictures(every.x[late], every.y[late] - 5)


def digits() -> Pictures:
    """Those of scikit-learn, 8 x 8."""
    found = load_digits()
    x = torch.tensor(found.images / 16, dtype=torch.float32)[:, None]
    return Pictures(x, torch.tensor(found.target))


def of_mnist(side: int) -> Pictures:
    """The first 12,000 of MNIST, made smaller."""
    found = mnist()
    x = torch.tensor(found.train_images[:12_000] / 255, dtype=torch.float32)[:, None]
    y = torch.tensor(found.train_labels[:12_000].astype("int64"))
    return Pictures(functional.adaptive_avg_pool2d(x[..., 2:26, 2:26], side), y)


def of_cifar() -> Pictures:
    """4,000 of CIFAR-10."""
    x, y = cifar10()
    pictures = torch.tensor(x / 255, dtype=torch.float32).permute(0, 3, 1, 2)
    return Pictures(pictures.contiguous(), torch.tensor(y.astype("int64")))


TASKS: dict[str, Callable[[], tuple[Pictures, Pictures]]] = {
    "digits": lambda: halves(digits()),
    "mnist": lambda: halves(of_mnist(14)),
    "mnist-digits": lambda: (of_mnist(8), digits()),
    "cifar": lambda: halves(of_cifar()),
}


def network(like: Pictures, seed: int) -> nn.Sequential:
    """Two layers of filters, one of units, and a head."""
    colours, side = like.x.shape[1], like.x.shape[2]
    with seeded(seed):
        return nn.Sequential(
            nn.Conv2d(colours, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (side // 4) ** 2, 64),
            nn.ReLU(),
            nn.Linear(64, like.classes),
        )


def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Cross entropy."""
    return {"class": functional.cross_entropy(model(batch["x"]), batch["y"])}


def settings(rows: int, epochs: int, seed: int) -> Training:
    """At least sixty steps, however few the rows."""
    batch = min(32, max(4, rows // 4))
    return Training(epochs=max(epochs, 60 * batch // rows), batch_size=batch, rate=3e-3, seed=seed)


def train_first(rows: Pictures, seed: int) -> nn.Sequential:
    """The network of the first task."""
    model = network(rows, seed)
    told = Training(epochs=8, batch_size=64, rate=3e-3, seed=seed)
    fit(model, goals, Tensors({"x": rows.x, "y": rows.y}), told, progress=False)
    return model


def transferred(model: nn.Sequential, few: Pictures, seed: int) -> nn.Sequential:
    """The first task's network for the second: head first, then all of it."""
    rows = Tensors({"x": few.x, "y": few.y})
    told = settings(len(few.y), 20, seed)
    with seeded(seed):
        two = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, few.classes))
    head = replace_head(model, two)
    done = fit(model, goals, rows, told, groups=groups(model, only=head), progress=False)
    rates = spread(["0.*", "3.*", "7.*", f"{head}.*"], 1e-4, 3e-3)
    fit(model, goals, rows, told, groups=groups(model, rates), after=done, progress=False)
    return model


def from_nothing(few: Pictures, seed: int) -> nn.Sequential:
    """The same network, and as many steps, on the few rows alone."""
    model = network(few, seed + 100)
    told = settings(len(few.y), 40, seed)
    fit(model, goals, Tensors({"x": few.x, "y": few.y}), told, progress=False)
    return model


def accuracy(model: nn.Module, rows: Pictures) -> float:
    """Share of pictures told right."""
    with torch.no_grad():
        return float((model.eval()(rows.x).argmax(1) == rows.y).double().mean())


def few_of(rows: Pictures, each: int, seed: int) -> tuple[Pictures, Pictures]:
    """So many of each class, and two fifths of all, none of them among these."""
    order = torch.randperm(len(rows.y), generator=generator(seed))
    test, rest = order[: 2 * len(order) // 5], order[2 * len(order) // 5 :]
    chosen = [rest[rows.y[rest] == shown][:each] for shown in range(rows.classes)]
    return rows.at(torch.cat(chosen)), rows.at(test)


def compare(task: str, seeds: int) -> tuple[dict[str, list[list[float]]], nn.Sequential, Pictures]:
    """Accuracies by the number of rows and by seed, and a network of the first task."""
    first, second = TASKS[task]()
    found: dict[str, list[list[float]]] = {"transferred": [], "from nothing": []}
    networks = [train_first(first, seed) for seed in range(seeds)]
    for each in ROWS:
        runs: dict[str, list[float]] = {name: [] for name in found}
        for seed, before in enumerate(networks):
            few, test = few_of(second, each, seed)
            model = network(first, 0)
            model.load_state_dict(before.state_dict())
            runs["transferred"].append(accuracy(transferred(model, few, seed), test))
            runs["from nothing"].append(accuracy(from_nothing(few, seed), test))
        for name, values in runs.items():
            found[name].append(values)
            spread_ = stdev(values) if len(values) > 1 else 0.0
            print(f"{task}: {each:3d} rows a class  {name:12s} {mean(values):.3f} ± {spread_:.3f}")
    return found, networks[0], first


def curve(task: str, found: dict[str, list[list[float]]]) -> Figure:
    """Accuracy by rows."""
    lines = [
        Line(list(ROWS), [mean(values) for values in runs], label=name, tone=tone)
        for (name, runs), tone in zip(found.items(), ("one", "two"), strict=True)
    ]
    return Figure(
        f"{task}: accuracy of the second task",
        lines,
        Axis("rows of each class", log=True),
        Axis("accuracy", kind="share"),
        description="Transferred networks need fewer rows.",
    )


def filters(model: nn.Sequential, rows: Pictures, second: bool, shown: int = 4) -> list[Figure]:
    """For some filters of a layer the mean of the patches that they respond to most."""
    # what a filter sees: 3 across, or through the pooling between 8, every other place
    stop, size, padding, stride = (4, 8, 3, 2) if second else (1, 3, 1, 1)
    pictures = rows.x[:1000]
    with torch.no_grad():
        response = model[:stop](pictures)
        grey = pictures.mean(1, keepdim=True)
        patches = functional.unfold(grey, size, padding=padding, stride=stride)
    strongest = response.flatten(2).amax((0, 2)).argsort(descending=True)[:shown]
    layer = 2 if second else 1
    return [_patch(response[:, at].flatten(1), patches, size, layer, int(at)) for at in strongest]


def _patch(response: Tensor, patches: Tensor, size: int, layer: int, at: int) -> Figure:
    row, place = torch.unravel_index(response.flatten().topk(9).indices, response.shape)
    average = patches[row, :, place].mean(0).reshape(size, size)
    shade = average / average.abs().max().clamp(min=1e-9)
    names = [""] * size
    return Figure(
        f"layer {layer}, filter {at}",
        [Cells(shade.tolist())],
        Axis(names=names),
        Axis(names=names),
        description="The mean of the nine patches that it responds to most.",
        height=200,
        width=230,
    )


def main() -> None:
    """Compare, print, and draw."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("figure", nargs="?", default="transfer.svg")
    arguments.add_argument("--task", choices=list(TASKS), default="digits")
    arguments.add_argument("--seeds", type=int, default=2)
    told = arguments.parse_args()
    torch.set_num_threads(1)
    found, model, rows = compare(told.task, told.seeds)
    Path(told.figure).write_text(sheet([curve(told.task, found)]), encoding="utf-8")
    drawn = [*filters(model, rows, False), *filters(model, rows, True)]
    beside = Path(told.figure).with_suffix(".filters.svg")
    beside.write_text(sheet(drawn, across=4), encoding="utf-8")
    most = mean(found["from nothing"][-1])
    needed = [n for n, runs in zip(ROWS, found["transferred"], strict=True) if mean(runs) >= most]
    if needed:
        print(f"what {ROWS[-1]} rows a class give from nothing ({most:.3f}), {needed[0]} give so")


if __name__ == "__main__":
    main()
