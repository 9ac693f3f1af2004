"""Two small measurements that lessons quote: an embedding beside its product, and activations.

    python benchmarks/lesson_layers.py [lookup] [activations]

- lookup: processor time of an embedding as a product with one-hot rows, over that as a lookup;
- activations: ReLU, PReLU with and without decay of its slope, maxout, each with and without
  dropout, on the digits of scikit-learn; maxout as wide and with as many weights.
"""

import sys
import time
from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import Any

import torch
from _measure import interleave, ratios, record_parts
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

from counterpoint.data import Tensors
from counterpoint.nn import Maxout
from counterpoint.seeding import generator, seeded
from counterpoint.train import Group, Training, fit, groups

Part = dict[str, Any]
SEEDS = 5


def lookup() -> Part:
    """1,000 codes into 40 columns, forward alone, one thread."""
    found: Part = {"rows": 1000, "width": 40}
    for levels in (10, 100, 1_000, 10_000):
        draws = generator(0)
        table = torch.randn(levels, 40, generator=draws)
        codes = torch.randint(levels, (1000,), generator=draws)
        one_hot = functional.one_hot(codes, levels).float()
        seconds = interleave(
            {
                "lookup": lambda t=table, c=codes: _many(lambda: functional.embedding(c, t)),
                "product": lambda t=table, h=one_hot: _many(lambda: h @ t),
            },
            repeats=7,
        )
        found[str(levels)] = ratios(seconds, "lookup")["product"]
        print("lookup", levels, found[str(levels)], flush=True)
    return found


def _many(call: Callable[[], object]) -> float:
    """Seconds of processor time: others may be using the machine."""
    start = time.process_time()
    for _ in range(20):
        call()
    return time.process_time() - start


def _blocks(unit: Callable[[int, int], nn.Module], width: int, dropout: float) -> nn.Sequential:
    layers = list[nn.Module]()
    for inputs in (64, width):
        layers += [unit(inputs, width), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def _relu(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU())


def _prelu(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.PReLU(outputs))


NETWORKS: dict[str, tuple[Callable[[int, int], nn.Module], int]] = {
    "ReLU": (_relu, 64),
    "PReLU": (_prelu, 64),
    "PReLU, slopes decay": (_prelu, 64),
    "maxout of 2, as wide": (Maxout, 64),
    "maxout of 2, as many weights": (Maxout, 38),
}


def activations() -> Part:
    """Two hidden layers, AdamW, 60 epochs, weight decay 0.1; half of the digits held out."""
    digits, found = load_digits(), {}
    for dropout in (0.0, 0.3):
        for name, (unit, width) in NETWORKS.items():
            scores, slopes, size = list[float](), list[float](), 0
            for seed in range(SEEDS):
                parts = train_test_split(
                    digits.data / 16, digits.target, test_size=0.5, random_state=seed
                )
                x, test = (torch.tensor(one).float() for one in parts[:2])
                y, truth = (torch.tensor(one) for one in parts[2:])
                with seeded(seed):
                    model = _blocks(unit, width, dropout)
                own = {
                    f"{path}.weight": Group((), weight_decay=0.0)
                    for path, one in model.named_modules()
                    if isinstance(one, nn.PReLU) and "decay" not in name
                }
                fit(
                    model,
                    lambda net, b: {"fit": functional.cross_entropy(net(b["x"]), b["y"])},
                    Tensors({"x": x, "y": y}),
                    Training(epochs=60, batch_size=32, rate=0.005, weight_decay=0.1, seed=seed),
                    groups=groups(model, own),
                    progress=False,
                )
                with torch.no_grad():
                    scores.append(float((model.eval()(test).argmax(1) == truth).float().mean()))
                learnt = [one.weight for one in model.modules() if isinstance(one, nn.PReLU)]
                slopes += [float(one.detach().mean()) for one in learnt]
                size = sum(one.numel() for one in model.parameters())
            each: Part = {"accuracy": mean(scores), "deviation": stdev(scores), "weights": size}
            each |= {"mean slope": mean(slopes)} if slopes else {}
            found[f"{name}, dropout {dropout:g}"] = each
            print("activations", name, dropout, each, flush=True)
    return found


PARTS: dict[str, Callable[[], Part]] = {"lookup": lookup, "activations": activations}


def main(wanted: Sequence[str]) -> None:
    torch.set_num_threads(1)
    record_parts("lesson_layers", PARTS, wanted)


if __name__ == "__main__":
    main(sys.argv[1:])
