"""First 0 and 1, then 2 and 3: what a network remembers depends on what it is asked.

Two tasks out of MNIST (scikit-learn's digits where it is not at hand), learnt one after the other
under four heads: two of its own for each task, one for both, one of four outputs that all compete,
and the same with only the current task's outputs competing while it is learnt. Every memory begins
at the same weights and sees the same rows, between joint training (the ceiling) and none (the
floor).

    python examples/remember.py [FIGURE.svg] [--full]

By default one seed, 100 steps a task and layers of 100, under a minute, which is enough for the
first three settings; with ``--full`` three seeds, 500 steps and layers of 400. How much a quadratic
helps in the fourth depends on how long is trained: naive training must have something to forget.
"""

import re
import sys
import urllib.error
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import NoReturn

import torch
from sklearn.datasets import load_digits
from torch import nn

from counterpoint.continual import (
    EWC,
    ForgettingWarning,
    LwF,
    Memory,
    Replay,
    Scenario,
    TaskTraining,
    compare,
)
from counterpoint.datasets import mnist
from counterpoint.errors import InputError
from counterpoint.report.figures import Axis, Figure, Guide, Points, sheet
from counterpoint.seeding import seeded

Rows = tuple[torch.Tensor, torch.Tensor]
GROUPS = ((0, 1), (2, 3))
SETTINGS: dict[str, tuple[str, bool, str]] = {
    "two heads": (
        "task",
        False,
        "proves little: naive training hardly forgets either; take five tasks",
    ),
    "one 2-way head": (
        "domain",
        False,
        "0 and 2 against 1 and 3 is one question, which joint training answers; asked one pair at a"
        " time, nothing says that the first answer should stay",
    ),
    "one 4-way head, all compete": (
        "class",
        False,
        "before 2 and 3 come, their outputs say 'never', with certainty, and certainty has no"
        " curvature: the exact Fisher information holds nothing. Rows do",
    ),
    "one 4-way head, masked": (
        "class",
        True,
        "the demonstration that works: 2 and 3 do not push 0 and 1 down, so there is something to"
        " forget and something to hold",
    ),
}
"""Each setting: the scenario's kind, whether the loss is masked, and what to make of it."""


def memories() -> dict[str, Memory]:
    """Fresh ones."""
    return {
        "EWC, exact, 1e5": EWC(strength=1e5),
        "EWC, jac, 10": EWC(labels="jac", strength=10),
        "EWC, jac, Kronecker": EWC(structure="kronecker", labels="jac"),
        "LwF": LwF(),
        "replay of 40 rows": Replay(capacity=40, batch=40, balanced=True),
    }


def data() -> tuple[str, Rows, Rows]:
    """MNIST if it is on this machine, else 8 x 8 digits; pixels from 0 to 1."""
    try:
        found = mnist(opener=offline)
    except InputError:
        return "scikit-learn's digits", *small()
    parts = (
        (torch.tensor(x).flatten(1) / 255, torch.tensor(y).long())
        for x, y in (
            (found.train_images, found.train_labels),
            (found.test_images, found.test_labels),
        )
    )
    return "MNIST", *parts


def small() -> tuple[Rows, Rows]:
    """The digits that scikit-learn brings, every third row held out."""
    found = load_digits()
    x, y = torch.tensor(found.data / 16).float(), torch.tensor(found.target).long()
    held = torch.arange(len(y)) % 3 == 0
    return (x[~held], y[~held]), (x[held], y[held])


def offline(url: str) -> NoReturn:
    """An example downloads nothing."""
    raise urllib.error.URLError(f"{url} is not asked for")


def network(inputs: int, outputs: int, width: int, seed: int) -> nn.Module:
    """Two ReLU layers."""
    with seeded(seed):
        layers = [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(width, outputs))


@dataclass(frozen=True)
class Size:
    """How long, how wide, how often."""

    iterations: int
    width: int
    rate: float
    seeds: Sequence[int]


SMOKE, FULL = Size(100, 100, 5e-3, (0,)), Size(500, 400, 1e-3, (0, 1, 2))
Accuracy = tuple[float, float]


def measured(
    train: Rows, test: Rows, kind: str, masked: bool, size: Size
) -> tuple[dict[str, Accuracy], set[str]]:
    """Accuracies on both tasks after the second, the means over seeds, and what was warned of."""
    scenario = Scenario.by_class(train, test, GROUPS, kind=kind, masked=masked)
    runs: dict[str, list[list[float]]] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ForgettingWarning)
        for seed in size.seeds:
            model = network(train[0].shape[1], scenario.outputs, size.width, seed)
            training = TaskTraining(iterations=size.iterations, rate=size.rate, seed=seed)
            found = compare(scenario, model, memories(), training, progress=False)
            for name, one in found.items():
                runs.setdefault(name, []).append(one.accuracies.last.tolist())
    averages = {
        name: (mean(first for first, _ in each), mean(second for _, second in each))
        for name, each in runs.items()
    }
    # the numbers in them differ from run to run
    return averages, {re.sub(r"\d\.[\de-]+", "next to nothing", str(w.message)) for w in caught}


def panel(title: str, found: Mapping[str, Accuracy]) -> Figure:
    """A dot a task for every memory."""
    places = [float(place) for place in range(len(found))]
    marks = [
        Points([pair[task] for pair in found.values()], places, label=label, tone=tone, radius=4.0)
        for task, (label, tone) in enumerate((("0/1", "one"), ("2/3", "two")))
    ]
    naive = Guide(x=mean(found["none"]), text="none, mean")
    names = Axis(names=list(found))
    axis = Axis("accuracy after both tasks", low=-0.02, high=1.02, kind="percent")
    return Figure(title, [naive, *marks], axis, names, width=430, height=250)


def run(figure: Path, size: Size) -> dict[str, dict[str, Accuracy]]:
    """All settings: printed, drawn, given back."""
    name, train, test = data()
    print(f"{name}: 0/1, then 2/3; {size.iterations} steps each, {len(size.seeds)} seed(s)")
    print("Accuracies in per cent after both, on 0/1 and on 2/3, and their mean")
    table, said = dict[str, dict[str, Accuracy]](), set[str]()
    for setting, (kind, masked, remark) in SETTINGS.items():
        table[setting], caught = measured(train, test, kind, masked, size)
        said |= caught
        print(f"\n{setting} ({kind}-incremental): {remark}")
        for memory, (first, second) in table[setting].items():
            cells = (100 * value for value in (first, second, (first + second) / 2))
            print(f"  {memory:24}" + "".join(f"{value:8.1f}" for value in cells), flush=True)
    print("\nWhat counterpoint warned of on the way:")
    for sentence in sorted(said):
        print(f"  {sentence}")
    panels = [panel(setting, found) for setting, found in table.items()]
    figure.write_text(sheet(panels), encoding="utf-8")
    print(f"The figure: {figure.resolve()}")
    return table


def main(arguments: Sequence[str]) -> None:
    torch.set_num_threads(1)
    place = next((word for word in arguments if not word.startswith("-")), "remember.svg")
    run(Path(place), FULL if "--full" in arguments else SMOKE)


if __name__ == "__main__":
    main(sys.argv[1:])
