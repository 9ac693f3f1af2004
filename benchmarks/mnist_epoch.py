"""MNIST in one epoch: what one pass over 50,000 digits can teach, with one-cycle.

The two forms of a lesson of fast.ai (course v3, lesson 5): logistic regression, 784-10, and a
network with a hidden layer, 784-50-10. The first 50,000 training images are learnt from, in batches
of 64, the last 10,000 are validated on, as in the lesson, and the test images are counted beside.

First the learning-rate finder (Smith 2017): one short run in which the rate grows until the loss
does. Then one epoch of Adam at its suggestion and at the lesson's rate of 0.01, under one-cycle and
at a constant rate, three seeds each.

    python benchmarks/mnist_epoch.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

import numpy as np
import torch
from _measure import environment, record
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.data import Batch, Tensors
from counterpoint.datasets import mnist
from counterpoint.parameters import evaluating
from counterpoint.seeding import seeded
from counterpoint.train import RateCurve, Training, find_rate, fit

SEEDS, LESSON = 3, 0.01
CHOSEN = Training(epochs=1, batch_size=64, rate=0.02, weight_decay=0.01)  # AdamW under one-cycle
HIDDEN = {"logistic, 784-10": 0, "one hidden layer, 784-50-10": 50}


@dataclass(frozen=True)
class Digits:
    """Images as rows of 784 numbers from 0 to 1, in three parts."""

    train: Tensors
    valid: Tensors
    test: Tensors

    @classmethod
    def load(cls) -> "Digits":
        """The lesson's split of the training images, and the published test images."""
        data = mnist()
        images, labels = _rows(data.train_images), _classes(data.train_labels)
        test = Tensors({"x": _rows(data.test_images), "y": _classes(data.test_labels)})
        parts = [
            Tensors({"x": images[rows], "y": labels[rows]})
            for rows in (slice(50_000), slice(50_000, None))
        ]
        return cls(parts[0], parts[1], test)


def _rows(images: np.ndarray) -> Tensor:
    return torch.tensor(images).flatten(1).float() / 255


def _classes(labels: np.ndarray) -> Tensor:
    return torch.tensor(labels).long()


def network(hidden: int, seed: int) -> nn.Module:
    """As torch initialises it."""
    with seeded(seed):
        if not hidden:
            return nn.Linear(784, 10)
        return nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """One goal: the cross entropy."""
    return {"fit": functional.cross_entropy(model(batch["x"]), batch["y"])}


def accuracy(model: nn.Module, rows: Tensors) -> float:
    """The share of images whose likeliest class is theirs."""
    right = 0
    with evaluating(model), torch.no_grad():
        for batch in rows.batches(10_000):
            right += int((model(batch["x"]).argmax(1) == batch["y"]).sum())
    return right / 10_000


def epoch(digits: Digits, hidden: int, settings: Training) -> tuple[list[float], list[float]]:
    """Accuracy on validation and test images after one epoch, a seed each."""
    found: tuple[list[float], list[float]] = ([], [])
    for seed in range(SEEDS):
        model = network(hidden, seed)
        fit(model, goals, digits.train, replace(settings, seed=seed), progress=False)
        found[0].append(accuracy(model, digits.valid))
        found[1].append(accuracy(model, digits.test))
    return found


def finder(digits: Digits, hidden: int) -> RateCurve:
    """The curve of loss against rate."""
    model = network(hidden, 0)
    return find_rate(model, goals, digits.train, CHOSEN, low=1e-5, high=1.0)


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over seeds, in per cent."""
    return f"{100 * mean(values):6.2f} ± {100 * stdev(values):.2f}"


def main() -> None:
    """Both forms; accuracies by seed."""
    torch.set_num_threads(1)
    digits, found = Digits.load(), dict[str, dict[str, list[float]]]()
    print(f"{'one epoch, accuracy in per cent':44} {'validation':>14} {'test':>14}")
    for name, hidden in HIDDEN.items():
        print(name)
        suggested = finder(digits, hidden).suggestion
        ways = {
            f"one-cycle to {CHOSEN.rate:g}": CHOSEN,
            f"one-cycle to {LESSON:g}, the lesson's": replace(CHOSEN, rate=LESSON),
            f"one-cycle to {suggested:.2g}, the finder's": replace(CHOSEN, rate=suggested),
            f"constant {LESSON:g}": replace(CHOSEN, rate=LESSON, schedule="constant"),
        }
        for words, settings in ways.items():
            valid, test = epoch(digits, hidden, settings)
            found[f"{name}, {words}"] = {"validation": valid, "test": test}
            print(f"  {words:42} {spread(valid):>14} {spread(test):>14}", flush=True)
    record("mnist_epoch", {"environment": environment(), "seeds": SEEDS, "accuracy": found})


if __name__ == "__main__":
    main()
