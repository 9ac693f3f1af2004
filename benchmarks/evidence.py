"""The evidence fit of a last layer beside one training epoch and scikit-learn's BayesianRidge.

Trunks on MNIST (50,000 rows): 784-50 and 784-200 with 10 outputs. One epoch is a bare PyTorch loop
over tensor slices at batch 64 (SGD, cross-entropy). Our fit includes the forward pass of the trunk
over all rows. Runs are interleaved, on one thread; medians of the processor time (which other work
on the machine hardly moves) and of the wall clock, and ratios of the former, are written as JSON.

    python benchmarks/evidence.py [--rows 50000] [--repeats 5] [--threads 1]
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
import sklearn
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import BayesianRidge
from torch import Tensor, nn

from counterpoint.datasets import mnist
from counterpoint.posterior import LastLayer, Softmax, Statistics
from counterpoint.seeding import seeded

CHUNK = 8192


def rows_of_mnist(rows: int) -> tuple[Tensor, Tensor]:
    digits = mnist()
    images = torch.tensor(digits.train_images[:rows].reshape(rows, -1)).float() / 255
    return images, torch.from_numpy(digits.train_labels[:rows].astype(np.int64))


def trained(width: int, x: Tensor, labels: Tensor) -> nn.Sequential:
    with seeded(0):
        net = nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))
    for _ in range(2):
        epoch(net, x, labels)
    return net


def epoch(net: nn.Sequential, x: Tensor, labels: Tensor) -> None:
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    for start in range(0, len(x), 64):
        optimiser.zero_grad()
        output = net(x[start : start + 64])
        nn.functional.cross_entropy(output, labels[start : start + 64]).backward()
        optimiser.step()


def features(net: nn.Sequential, x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([net[:2](part) for part in x.split(CHUNK)])


def ridge(phi: np.ndarray, target: np.ndarray) -> BayesianRidge:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = BayesianRidge(
            fit_intercept=False, alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0, tol=1e-6
        )
        return model.fit(phi, target)


def interleaved(
    calls: dict[str, Callable[[], object]], repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Median processor and wall seconds of each call."""
    processor: dict[str, list[float]] = {name: [] for name in calls}
    wall: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats):
        for name, call in calls.items():
            begin = time.process_time(), time.perf_counter()
            call()
            processor[name].append(time.process_time() - begin[0])
            wall[name].append(time.perf_counter() - begin[1])
        print(f"repeat {repeat + 1} of {repeats}", file=sys.stderr)
    return tuple({n: statistics.median(v) for n, v in d.items()} for d in (processor, wall))


def measure(width: int, x: Tensor, labels: Tensor, repeats: int) -> dict[str, object]:
    net = trained(width, x, labels)
    phi = features(net, x)
    targets = nn.functional.one_hot(labels, 10).double() * 2 - 1
    dense = np.c_[phi.double().numpy(), np.ones(len(x))]
    one = targets[:, 0].numpy()
    ours = LastLayer.fit(Statistics.of(phi, targets))
    theirs = ridge(dense, one)
    softmax = Softmax.fit(phi, labels, 10)
    calls: dict[str, Callable[[], object]] = {
        "epoch": lambda: epoch(net, x, labels),
        "forward": lambda: features(net, x),
        "last_layer": lambda: LastLayer.fit(Statistics.of(features(net, x), targets)),
        "last_layer_one_target": lambda: LastLayer.fit(Statistics.of(phi, targets[:, 0])),
        "predict": lambda: ours.predict(phi),
        "bayesian_ridge_one_target": lambda: ridge(dense, one),
        "softmax": lambda: Softmax.fit(phi, labels, 10),
        "softmax_predict": lambda: softmax.predict(phi),
    }
    seconds, wall = interleaved(calls, repeats)
    return {
        "network": f"784-{width}-10",
        "processor_seconds": {name: round(value, 4) for name, value in seconds.items()},
        "wall_seconds": {name: round(value, 4) for name, value in wall.items()},
        "in_epochs": {name: round(value / seconds["epoch"], 3) for name, value in seconds.items()},
        "bayesian_ridge_over_ours": round(
            seconds["bayesian_ridge_one_target"] / seconds["last_layer_one_target"], 1
        ),
        "agreement": {
            "prior": float(ours.prior[0] / theirs.lambda_ - 1),
            "noise": float(ours.noise[0] * theirs.alpha_ - 1),
        },
        "softmax": {
            "structure": type(softmax.precision).__name__.lower(),
            "optima": softmax.evaluations,
            "status": softmax.status.name,
            "prior": softmax.prior,
        },
    }


def environment() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "load": [round(value, 1) for value in os.getloadavg()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "evidence.json"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    x, labels = rows_of_mnist(options.rows)
    begin = environment()
    results = [measure(width, x, labels, options.repeats) for width in (50, 200)]
    report = {"rows": options.rows, "repeats": options.repeats, "environment": begin}
    report["load_at_end"] = [round(value, 1) for value in os.getloadavg()]
    report["results"] = results
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
