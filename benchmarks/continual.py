"""Tasks in sequence: what remembering costs, and what it brings.

    python benchmarks/continual.py [--part cost split digits permuted] [--iterations 500]

- ``cost``: diagonal Fisher information in plain training epochs (MLP 784-400-400-10, Adam, batches
  of 128) beside Avalanche, a loop over rows and `torch.func`; a step with the penalty of 1, 5 and
  20 tasks in plain steps, and the bytes that it holds. Interleaved, in processor time.
- ``split``: split MNIST by the protocol of van de Ven, Tuytelaars and Tolias (2022), with
  ``--iterations 2000`` theirs: pixels from 0 to 1, MLP 784-400-400, Adam at 0.001 never reset,
  batches of 128, classes in another order each seed.
- ``digits``: 0/1, then 2/3, one head of four outputs of which only the current task's compete.
- ``permuted``: ten orders of the pixels, one head.

Every method begins at the same weights and sees the same rows, so that differences to none are
paired by seed; they come with their standard error. Results are written after every run, so that it
can be stopped; of ``split``, ``digits`` and ``permuted`` what is there is not run again, unless
``--again``.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from math import sqrt
from typing import Any

import torch
from _continual_cost import cost
from _measure import RESULTS, environment, record
from torch import nn

from counterpoint.continual import (
    DER,
    EWC,
    SI,
    LwF,
    Memory,
    OnlineEWC,
    Replay,
    Scenario,
    TaskTraining,
    joint,
    run,
)
from counterpoint.datasets import mnist
from counterpoint.seeding import seeded

Make = Callable[[], Memory]
Rows = tuple[torch.Tensor, torch.Tensor]

COLUMNS = ("none", "joint", "EWC", "SI", "LwF", "replay")
PUBLISHED = {
    kind: dict(zip(COLUMNS, row, strict=True))
    for kind, row in {
        "task": (84.32, 99.67, 99.06, 99.20, 99.60, 98.98),
        "domain": (60.13, 98.59, 63.03, 66.94, 72.0, 93.75),
        "class": (19.89, 98.17, 20.64, 21.20, 21.89, 88.79),
    }.items()
}
"""Van de Ven et al. 2022, 20 seeds; replay of 100 rows a class. For the eye, not for a test."""

STRENGTHS = {
    "task": {"EWC": 1e5, "SI": 10.0},
    "domain": {"EWC": 1e4, "SI": 5e4},
    "class": {"EWC": 1e9, "SI": 5e3},
    "digits": {"EWC": 1e5, "SI": 10.0},
    "permuted": {"EWC": 100.0, "SI": 1.0},
}
"""As published for each kind (domain: the one that helped in our reference runs; SI: its c)."""


def memories(kind: str) -> dict[str, Make]:
    """What is compared; those of strength 1 and the memories of rows are not tuned."""
    strength, c = STRENGTHS[kind]["EWC"], STRENGTHS[kind]["SI"]
    return {
        "EWC": partial(EWC, strength=strength),
        "online EWC": partial(OnlineEWC, strength=strength),
        "EWC, jac, strength 1": partial(EWC, labels="jac"),
        "online EWC, Kronecker jac, strength 1": partial(
            OnlineEWC, structure="kronecker-merged", labels="jac"
        ),
        "EWC, Kronecker": partial(EWC, structure="kronecker", strength=strength),
        "SI": partial(SI, strength=c),
        "LwF": LwF,
        "replay": partial(Replay, capacity=1000, balanced=True),
        "DER++": partial(DER, capacity=1000, balanced=True),
    }


@cache
def data() -> tuple[Rows, Rows]:
    """MNIST, pixels from 0 to 1."""
    found = mnist()
    pairs = (
        (found.train_images, found.train_labels),
        (found.test_images, found.test_labels),
    )
    train, test = ((torch.tensor(x).flatten(1) / 255, torch.tensor(y).long()) for x, y in pairs)
    return train, test


def scenario(kind: str, seed: int) -> Scenario:
    """The tasks of one seed."""
    train, test = data()
    if kind == "permuted":
        return Scenario.by_permutation(train, test, 10, seed=seed)
    if kind == "digits":
        return Scenario.by_class(train, test, [(0, 1), (2, 3)], kind="class", masked=True)
    return Scenario.by_class(train, test, 2, kind=kind, seed=seed)


def network(outputs: int, width: int, seed: int) -> nn.Module:
    """Two ReLU layers, torch's own initial weights."""
    with seeded(seed):
        return nn.Sequential(
            nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, outputs),
        )  # fmt: skip


def one(kind: str, method: str, seed: int, iterations: int, width: int) -> dict[str, Any]:
    """One run of one method."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tasks = scenario(kind, seed)
    model, start = network(tasks.outputs, width, seed), time.process_time()
    training = TaskTraining(iterations=iterations, seed=seed)
    if method == "joint":
        found = joint(tasks, model, training, progress=False)
    else:
        make = memories(kind).get(method)
        found = run(tasks, model, make and make(), training, progress=False)
    accuracies = found.accuracies
    result: dict[str, Any] = {
        "average": 100 * accuracies.average,
        "last": [round(100 * value, 2) for value in accuracies.last.tolist()],
        "learning seconds": round(sum(found.learning), 1),
        "consolidating seconds": round(sum(found.consolidating), 1),
        "processor seconds": round(time.process_time() - start, 1),
    }
    if method != "joint":
        result["forgetting"] = 100 * accuracies.forgetting
        result["just learnt"] = 100 * accuracies.learnt
    return result


def together(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Over seeds: mean and standard error, and the paired difference to none."""
    averages = {seed: found["average"] for seed, found in runs["of"].items()}
    none = {seed: found["average"] for seed, found in runs["none"].items()}
    apart = [value - none[seed] for seed, value in averages.items() if seed in none]
    found = {"average": spread(list(averages.values()))}
    return found | ({"minus none, paired": spread(apart)} if apart else {})


def spread(values: Sequence[float]) -> list[float]:
    """Mean, standard error of the mean, how many."""
    error = statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else float("nan")
    return [round(statistics.mean(values), 2), round(error, 2), len(values)]


def summary(kind: str, runs: Mapping[str, Any]) -> dict[str, Any]:
    """One line a method, the published number beside it."""
    found = dict[str, Any]()
    for method in runs:
        found[method] = together({"of": runs[method], "none": runs.get("none", {})})
        published = PUBLISHED.get(kind, {}).get(method)
        if published is not None:
            found[method]["published"] = published
    return found


def quality(told: argparse.Namespace, kinds: Sequence[str], content: dict[str, Any]) -> None:
    """All runs of some kinds that are not there yet; written after each."""
    jobs = list[tuple[str, str, int]]()
    for kind in kinds:
        known = content.setdefault(kind, {})
        setting = {"iterations": told.iterations, "width": told.width}
        if told.again or known.get("setting") != setting:
            known |= {"setting": setting, "strengths": STRENGTHS[kind], "runs": {}}
        jobs += [
            (kind, method, seed)
            for seed in range(told.seeds)
            for method in ("none", "joint", *memories(kind))
            if not told.methods or method in told.methods
            if str(seed) not in known["runs"].get(method, {})
        ]
    with ProcessPoolExecutor(told.processes) as pool:
        waiting = {pool.submit(one, *job, told.iterations, told.width): job for job in jobs}
        for done in as_completed(waiting):
            kind, method, seed = waiting[done]
            runs = content[kind]["runs"]
            runs.setdefault(method, {})[str(seed)] = done.result()
            content[kind]["summary"] = summary(kind, runs)
            print(f"{kind}, seed {seed}: {method} {done.result()['average']:.2f}", flush=True)
            record("continual", content)
    for kind in kinds:
        show(kind, content[kind]["summary"])


def show(kind: str, found: Mapping[str, Any]) -> None:
    """Print a table."""
    print(f"\n{kind}: average accuracy ± standard error; minus none, paired; published")
    for method, row in found.items():
        mean, error, count = row["average"]
        apart = row.get("minus none, paired", [float("nan"), float("nan")])
        print(
            f"  {method:38}{mean:7.2f} ± {error:5.2f} ({count})"
            f"{apart[0]:+8.2f} ± {apart[1]:5.2f}{row.get('published', ''):>8}"
        )


def main() -> None:
    parts = ("cost", "split", "digits", "permuted")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--iterations", type=int, default=500, help="steps a task")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", choices=list(PUBLISHED), default=list(PUBLISHED))
    parser.add_argument("--methods", nargs="+", help="some of them; all unless told")
    parser.add_argument("--width", type=int, default=400)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="rounds of the timings")
    parser.add_argument("--again", action="store_true")
    told = parser.parse_args()
    before = RESULTS / "continual.json"
    content: dict[str, Any] = json.loads(before.read_text()) if before.exists() else {}
    content["environment"] = environment("avalanche-lib")
    if "cost" in told.part:
        torch.set_num_threads(1)
        content["cost"] = cost(told.repeats)
        record("continual", content)
    kinds = [*(told.kinds if "split" in told.part else ())]
    kinds += [part for part in ("digits", "permuted") if part in told.part]
    if kinds:
        quality(told, kinds, content)


if __name__ == "__main__":
    main()
