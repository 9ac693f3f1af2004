"""Merging in memory: speed, exactness, barriers, split classes and normalisation, in one run.

    python benchmarks/merge.py [--only many exact norm digits ...] [--seeds 3]

- ``many``: 400 small tensors beside a loop of ``torch.lerp``, interleaved;
- ``exact``: posteriors of shards of a linear-Gaussian regression against the joint posterior;
- ``norm``: two networks with batch norms on scikit-learn's digits, averaged with and without
  statistics measured again, and with their units aligned;
- ``digits`` and ``mnist``: two models that saw the classes 0 to 4 and 5 to 9 after a common start,
  merged by each method; whatever is tuned is tuned on 5 % of the training rows;
- ``digits-barrier`` and ``mnist-barrier``: two networks of three hidden layers (256 and 512 units),
  the loss on the line between them before and after alignment, on all training rows and on the
  test rows.

Results are written after every part and seed; parts that are not asked for keep theirs.
``--figure`` draws the page's figure from what is written.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _measure import RESULTS, environment, interleave, ratios, record
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import counterpoint as cp
from counterpoint.curvature import fisher
from counterpoint.data import Batch
from counterpoint.datasets import mnist
from counterpoint.gaussian import Dense, Gaussian
from counterpoint.goals import Categorical
from counterpoint.merge import align, input_grams, path, refit, score_by, search
from counterpoint.merge.methods import FisherMean, GaussianProduct, Ties, product
from counterpoint.report.figures import Axis, Figure, Line, sheet
from counterpoint.seeding import generator, seeded

Rows = tuple[Tensor, Tensor]
PARTS = ("many", "exact", "norm", "digits", "mnist", "digits-barrier", "mnist-barrier")
ABOUT = Categorical()
FIGURE = Path(__file__).parents[1] / "docs" / "_static" / "merge-barrier.svg"


def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    return {"fit": cross_entropy(model(batch["x"]), batch["y"])}


def accuracy(model: nn.Module, rows: Rows) -> float:
    return round(100 * score_by(ABOUT, rows)(model)["accuracy"], 2)


def loss(model: nn.Module, rows: Rows) -> float:
    return score_by(ABOUT, rows)(model)["loss"]


def digits_rows(seed: int = 0) -> tuple[Rows, Rows]:
    """1,297 rows to train on and 500 to test, drawn once."""
    found = load_digits()
    x, y = torch.tensor(found.data / 16, dtype=torch.float32), torch.tensor(found.target)
    order = torch.randperm(len(y), generator=generator(seed))
    x, y = x[order], y[order]
    return (x[:1297], y[:1297]), (x[1297:], y[1297:])


def mnist_rows() -> tuple[Rows, Rows]:
    """The published split, pixels from 0 to 1."""
    found = mnist()
    parts = [
        (torch.tensor(x / 255, dtype=torch.float32).flatten(1), torch.tensor(y).long())
        for x, y in (
            (found.train_images, found.train_labels),
            (found.test_images, found.test_labels),
        )
    ]
    return parts[0], parts[1]


def perceptron(inputs: int, width: int, depth: int, seed: int, *, norm: bool = False) -> nn.Module:
    """Layers of one width with ReLU, and ten outputs."""
    layers: list[nn.Module] = []
    with seeded(seed):
        for place in range(depth):
            layers.append(nn.Linear(width if place else inputs, width))
            layers += [nn.BatchNorm1d(width)] if norm else []
            layers.append(nn.ReLU())
        return nn.Sequential(*layers, nn.Linear(width, 10))


def trained(
    net: nn.Module, rows: Rows, epochs: int, seed: int, rate: float = 1e-3, batch: int = 500
) -> nn.Module:
    """Adam over shuffled batches."""
    x, y = rows
    random, optimiser = generator(seed), torch.optim.Adam(net.parameters(), rate)
    batch = min(batch, max(50, len(y) // 10))
    for _ in range(epochs):
        for part in torch.randperm(len(y), generator=random).split(batch):
            optimiser.zero_grad()
            cross_entropy(net(x[part]), y[part]).backward()
            optimiser.step()
    return net.eval()


def many() -> dict[str, Any]:
    """400 tensors of a thousand numbers: a loop of lerp, and ours."""
    random = generator(0)
    one = {f"layer.{i}.weight": torch.randn(32, 32, generator=random) for i in range(400)}
    two = {name: torch.randn(32, 32, generator=random) for name in one}

    def timed(run: Callable[[], object]) -> float:
        """The least of five in processor time: a busy machine only ever adds."""
        found = list[float]()
        for _ in range(5):
            start = time.process_time()
            run()
            found.append(time.process_time() - start)
        return min(found)

    def loop() -> dict[str, Tensor]:
        return {name: torch.lerp(one[name], two[name], 0.3) for name in one}

    cases = {
        "lerp loop": partial(timed, loop),
        "cp.merge": partial(timed, lambda: cp.merge([one, two], 0.3)),
        "cp.merge, by rules": partial(timed, lambda: cp.merge([one, two], {"**": 0.3})),
    }
    return ratios(interleave(cases, 40), "lerp loop")


def exact(seeds: int) -> list[dict[str, float]]:
    """Relative error of the merged mean, the prior counted once and by every shard."""
    found = load_digits()
    x = torch.tensor(found.data / 16)
    y = nn.functional.one_hot(torch.tensor(found.target), 10).double()[:, :3]
    prior, noise = torch.eye(64, dtype=torch.float64), 0.1
    shapes = {"w": torch.Size([64])}

    def posterior(rows: Tensor, column: int) -> Gaussian:
        matrix = prior + x[rows].T @ x[rows] / noise
        mean = torch.linalg.solve(matrix, x[rows].T @ y[rows, column] / noise)
        return Gaussian({"w": mean}, Dense(matrix, shapes), prior=Dense(prior, shapes))

    table = []
    for shards in (2, 4, 10):
        for seed in range(seeds):
            order = torch.randperm(len(x), generator=generator(seed))
            joint = posterior(order, seed % 3).mean["w"]
            parts = [posterior(part, seed % 3) for part in order.chunk(shards)]
            many_times = parts[0]
            for part in parts[1:]:
                many_times = many_times * part
            mean = torch.stack([part.mean["w"] for part in parts]).mean(0)
            wrong = {"once": product(parts).mean["w"], "every": many_times.mean["w"], "mean": mean}
            table.append(
                {"shards": shards, "seed": seed}
                | {n: float((w - joint).norm() / joint.norm()) for n, w in wrong.items()}
            )
    return table


def norm(seed: int) -> dict[str, float]:
    """Two independent runs with batch norms: test accuracy of the middle, and of the ends."""
    train, test = digits_rows()
    nets = [
        trained(perceptron(64, 128, 2, 10 * seed + k, norm=True), train, 30, 99 * seed + k)
        for k in range(2)
    ]
    lone = train[0][:200]
    matched = align(nets, lone).models
    middle = partial(cp.merge, quiet=True)
    return {
        "first": accuracy(nets[0], test),
        "second": accuracy(nets[1], test),
        "average": accuracy(middle(nets), test),
        "average, refit": accuracy(refit(middle(nets), lone), test),
        "aligned": accuracy(middle(matched), test),
        "aligned, refit": accuracy(refit(middle(matched), lone), test),
    }


@dataclass(frozen=True)
class Split:
    """Two models after a common start, and what each saw."""

    start: nn.Module
    ends: list[nn.Module]
    seen: list[Rows]
    tuning: Rows
    test: Rows

    @classmethod
    def of(cls, train: Rows, test: Rows, width: int, epochs: int, seed: int) -> "Split":
        """Train them."""
        x, y = train
        order = torch.randperm(len(y), generator=generator(seed))
        tuning, rest = order[: len(y) // 20], order[len(y) // 20 :]
        begin = rest[: len(y) // 60]
        start = trained(perceptron(x.shape[1], width, 2, seed), (x[begin], y[begin]), 20, seed)
        halves = [rest[y[rest] < 5], rest[y[rest] >= 5]]
        seen = [(x[part], y[part]) for part in halves]
        ends = [trained(copy.deepcopy(start), part, epochs, 50 + seed, rate=3e-4) for part in seen]
        return cls(start, ends, seen, (x[tuning], y[tuning]), test)

    def best(
        self, values: Sequence[float], build: Callable[[float], nn.Module]
    ) -> tuple[nn.Module, float]:
        """The one with the least loss on the tuning rows."""
        found = [
            (loss(model, self.tuning), value, model) for value in values for model in [build(value)]
        ]
        least = min(found, key=lambda each: each[0])
        return least[2], least[1]


def split(train: Rows, test: Rows, width: int, epochs: int, seed: int) -> dict[str, Any]:
    """Test accuracy on all ten classes."""
    case = Split.of(train, test, width, epochs, seed)
    few = [(x[:2000], y[:2000]) for x, y in case.seen]
    told = [fisher(net, ABOUT, [rows]) for net, rows in zip(case.ends, few, strict=True)]
    # in float64: factors that were summed in float32 are not positive to a prior of 0.001
    kron = [
        fisher(copy.deepcopy(net).double(), ABOUT, [(x.double(), y)], structure="kronecker")
        for net, (x, y) in zip(case.ends, few, strict=True)
    ]
    grams = [input_grams(net, rows) for net, rows in zip(case.ends, few, strict=True)]
    merge, mean = partial(cp.merge, case.ends), dict(case.start.named_parameters())

    def gaussian(evidence: Sequence[Any], delta: float) -> nn.Module:
        prior = Gaussian.isotropic(case.start, delta)
        prior = Gaussian({n: p.detach().double() for n, p in mean.items()}, prior.precision)
        return merge(
            method=GaussianProduct(prior=prior), evidence=[each.shift(delta) for each in evidence]
        )

    scales = [round(0.1 * k, 1) for k in range(1, 16)]
    deltas = [0.01, 0.1, 1.0, 10.0, 100.0]
    rows: dict[str, Any] = {
        "start": accuracy(case.start, test),
        "first": accuracy(case.ends[0], test),
        "second": accuracy(case.ends[1], test),
        "average": accuracy(merge(), test),
        "fisher": accuracy(merge(method="fisher", evidence=told), test),
        "fisher, normalised": accuracy(
            merge(method=FisherMean(normalise=True), evidence=told), test
        ),
        "regmean": accuracy(merge(method="regmean", evidence=grams), test),
        "model-stock": accuracy(merge(method="model-stock", base=case.start), test),
        "slerp": accuracy(merge(0.5, method="slerp"), test),
    }
    for name, evidence in (("gaussian, diagonal", told), ("gaussian, kronecker", kron)):
        model, rows[f"{name}: prior"] = case.best(deltas, partial(gaussian, evidence))
        rows[name] = accuracy(model, test)
    for name, method in (("task-arithmetic", "task-arithmetic"), ("ties", Ties(0.2))):
        model, rows[f"{name}: scale"] = case.best(
            scales, lambda scale, method=method: merge(scale, method=method, base=case.start)
        )
        rows[name] = accuracy(model, test)
    model, rows["one λ: λ"] = case.best([0.05 * k for k in range(21)], merge)
    rows["one λ"] = accuracy(model, test)
    for name, method in (("λ a layer", "linear"), ("two scales a layer", "task-arithmetic")):
        base = None if method == "linear" else case.start
        found = search(case.ends, goals, case.tuning, case.test, method=method, base=base)
        rows[name] = accuracy(found.model, test)
        rows[f"{name}: weights"] = found.weights
    return rows


def barrier(train: Rows, test: Rows, width: int, epochs: int, seed: int) -> dict[str, Any]:
    """Loss and accuracy on the line between two independent runs."""
    inputs = train[0].shape[1]
    nets = [
        trained(perceptron(inputs, width, 3, 10 * seed + k), train, epochs, 100 + 10 * seed + k)
        for k in range(2)
    ]
    on_train, on_test = score_by(ABOUT, train), score_by(ABOUT, test)

    def score(model: nn.Module) -> Mapping[str, float]:
        return {
            f"{where}_{name}": value
            for where, by in (("train", on_train), ("test", on_test))
            for name, value in by(model).items()
        }

    found = path(nets, score, inputs=train[0][:2])
    row: dict[str, Any] = {"lambdas": found.lambdas, "naive": found.naive, "aligned": found.aligned}
    for aligned in (False, True):
        for measure in ("train_loss", "test_loss"):
            name = f"{measure} barrier, {'aligned' if aligned else 'naive'}"
            row[name] = round(found.barrier(measure, aligned=aligned), 4)
    return row


def draw(pairs: Sequence[Mapping[str, Any]]) -> None:
    """Loss and accuracy on the line between two networks of MNIST, every pair a line."""
    panels = [("train_loss", "loss on the training rows"), ("test_accuracy", "test accuracy")]
    figures = [
        Figure(
            title,
            [
                Line(pair["lambdas"], pair[order][measure], label if not n else "", tone=tone)
                for order, tone, label in (
                    ("naive", "two", "as trained"),
                    ("aligned", "one", "units aligned"),
                )
                for n, pair in enumerate(pairs)
            ],
            Axis("share of the second network"),
            Axis(kind="percent") if measure == "test_accuracy" else Axis("nats a row"),
            description=f"{title} between two networks: naive it is far worse in the middle than at"
            " both ends, aligned it stays level.",
            width=350,
            height=250,
        )
        for measure, title in panels
    ]
    FIGURE.write_text(sheet(figures), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figure", action="store_true", help="draw what is written, run nothing")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    stored = RESULTS / "merge.json"
    content = json.loads(stored.read_text()) if stored.exists() else {}
    if chosen.figure:
        draw(content["mnist-barrier"])
        return

    def keep(part: str, found: Any) -> None:
        content.setdefault("environment", {})[part] = environment()
        content[part] = found
        record("merge", content)
        print(part, json.dumps(found)[:2000], flush=True)

    if "many" in chosen.only:
        keep("many", many())
    if "exact" in chosen.only:
        keep("exact", exact(chosen.seeds))
    if "norm" in chosen.only:
        keep("norm", summed([norm(seed) for seed in range(max(5, chosen.seeds))]))
    for part, rows, width, epochs in (
        ("digits", digits_rows, 256, 30),
        ("mnist", mnist_rows, 200, 3),
    ):
        if part in chosen.only:
            train, test = rows()
            seeds = range(chosen.seeds)
            keep(part, summed([split(train, test, width, epochs, seed) for seed in seeds]))
    for part, rows, width, epochs in (
        ("digits-barrier", digits_rows, 256, 60),
        ("mnist-barrier", mnist_rows, 512, 5),
    ):
        runs = list[dict[str, Any]]()
        for seed in range(chosen.seeds if part in chosen.only else 0):
            runs.append(barrier(*rows(), width, epochs, seed))
            keep(part, runs)


def summed(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every run, and the mean and spread of what is a number in all of them."""
    means = dict[str, dict[str, float]]()
    for name in runs[0]:
        values = [run[name] for run in runs]
        if all(isinstance(value, float) for value in values):
            mean = round(statistics.mean(values), 2)
            means[name] = {"mean": mean, "least": min(values), "largest": max(values)}
    return {"summary": means, "runs": list(runs)}


if __name__ == "__main__":
    main()
