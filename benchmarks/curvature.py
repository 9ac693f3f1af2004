"""Curvature beside plain training epochs, the peers, and the least work there is.

Three nets of the same run (MLP 784-256-256-10 on MNIST's shapes, a small CNN, a transformer block):
empirical and exact Fisher diagonals, Kronecker factors, beside BackPACK, curvlinops, Opacus and
`torch.func`, as ratios to one plain forward and backward pass over the same rows in batches of the
same size. Runs are interleaved and taken in processor time; peak memory is each case's own
process's, above a plain pass.

    python benchmarks/curvature.py [--repeats 7] [--threads 1] [--rows 10000] [--only mlp]
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _measure import RESULTS, environment, installed, interleave, ratios, record, show
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.curvature import fisher
from counterpoint.goals import Categorical
from counterpoint.seeding import seeded

Batches = list[tuple[Tensor, Tensor]]
Case = Callable[[], Any]

SLOW = 20
"""Times a plain pass beyond which a peer is run once only."""


class Block(nn.Module):
    """A transformer block on tokens, averaged to ten classes."""

    def __init__(self, vocabulary: int = 256, width: int = 128, length: int = 64) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.first, self.second, self.third = (nn.LayerNorm(width) for _ in range(3))
        self.joint, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.head = nn.Linear(width, 10)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of ten classes."""
        rows, length = ids.shape
        x = self.token(ids) + self.place(torch.arange(length).expand(rows, length))
        parts = self.joint(self.first(x)).chunk(3, -1)
        query, key, value = (part.reshape(rows, length, 4, -1).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.project(mixed.transpose(1, 2).reshape(rows, length, -1))
        x = x + self.down(functional.gelu(self.up(self.second(x))))
        return self.head(self.third(x).mean(1))


def problem(name: str, rows: int | None) -> tuple[nn.Module, Batches]:
    """A net, and batches of random inputs and labels."""
    with seeded(0):
        if name == "mlp":
            net: nn.Module = nn.Sequential(
                nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
            )
            x, size = torch.randn(rows or 10_000, 784), 256
        elif name == "cnn":
            layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            layers += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 49, 10))
            x, size = torch.randn(rows or 1000, 1, 28, 28), 200
        else:
            net, x, size = Block(), torch.randint(0, 256, (rows or 256, 64)), 64
        y = torch.randint(0, 10, (len(x),))
    return net.eval(), list(zip(x.split(size), y.split(size), strict=True))


def plain(net: nn.Module, batches: Batches) -> Case:
    """Forward and backward over all rows, without a step."""

    def run() -> None:
        for x, y in batches:
            net.zero_grad()
            functional.cross_entropy(net(x), y, reduction="sum").backward()

    return run


def ours(net: nn.Module, batches: Batches) -> dict[str, Case]:
    """Counterpoint's rows."""

    def of(**options: Any) -> Case:
        def run() -> None:
            fisher(net, Categorical(validate=False), batches, **options)

        return run

    generator = torch.Generator().manual_seed(0)
    head = "head.*" if isinstance(net, Block) else f"{len(list(net)) - 1}.*"
    found = {
        "empirical diagonal, counterpoint": of(labels="empirical"),
        "sampled diagonal, counterpoint": of(labels="sampled", generator=generator),
        "exact diagonal, counterpoint": of(),
        "sampled kronecker, counterpoint": of(
            labels="sampled", generator=generator, structure="kronecker"
        ),
        "exact kronecker, counterpoint": of(structure="kronecker"),
    }
    if not any(isinstance(module, nn.Conv2d) for module in net.modules()):  # its head is too wide
        found["exact last layer dense, counterpoint"] = of(structure="dense", parameters=head)
    return found


def through_func(net: nn.Module, batches: Batches) -> dict[str, Case]:
    """`torch.func`: one gradient an example."""
    weights = {name: value.detach() for name, value in net.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        output = torch.func.functional_call(net, weights, (x[None],))
        return functional.cross_entropy(output, y[None])

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))

    def run() -> None:
        total = {name: torch.zeros_like(value) for name, value in weights.items()}
        for x, y in batches:
            for name, value in each(weights, x, y).items():
                total[name] += value.square().sum(0)

    return {"empirical diagonal, torch.func": run}


def through_backpack(net: nn.Module, batches: Batches) -> dict[str, Case]:
    """BackPACK's extensions; sequential nets of the layers that it knows."""
    from backpack import backpack, extend
    from backpack.extensions import KFAC, DiagGGNExact, DiagGGNMC, SumGradSquared

    model, criterion = extend(copy.deepcopy(net)), extend(nn.CrossEntropyLoss(reduction="sum"))

    def of(extension: Any) -> Case:
        def run() -> None:
            for x, y in batches:
                model.zero_grad()
                with backpack(extension):
                    criterion(model(x), y).backward()

        return run

    return {
        "empirical diagonal, BackPACK": of(SumGradSquared()),
        "sampled diagonal, BackPACK": of(DiagGGNMC(mc_samples=1)),
        "exact diagonal, BackPACK": of(DiagGGNExact()),
        "sampled kronecker, BackPACK": of(KFAC(mc_samples=1)),
    }


def through_curvlinops(net: nn.Module, batches: Batches) -> dict[str, Case]:
    """Curvlinops' Kronecker factors."""
    from curvlinops import KFACLinearOperator

    chosen = [
        value
        for module in net.modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        for value in module.parameters()
    ]

    def of(kind: str) -> Case:
        def run() -> None:
            operator = KFACLinearOperator(
                net,
                nn.CrossEntropyLoss(reduction="sum"),
                chosen,
                batches,
                fisher_type=kind,
                check_deterministic=False,
                separate_weight_and_bias=False,
            )
            operator.compute_kronecker_factors()

        return run

    return {
        "sampled kronecker, curvlinops": of("mc"),
        "exact kronecker, curvlinops": of("type-2"),
    }


def through_opacus(net: nn.Module, batches: Batches) -> dict[str, Case]:
    """Opacus' per-sample gradients."""
    from opacus import GradSampleModule

    model = GradSampleModule(copy.deepcopy(net).train())  # it records nothing in evaluation mode

    def run() -> None:
        for x, y in batches:
            model.zero_grad()
            functional.cross_entropy(model(x), y, reduction="sum").backward()
            for value in model.parameters():
                value.grad_sample.square().sum(0)

    return {"empirical diagonal, Opacus": run}


def cases(name: str, rows: int | None) -> tuple[dict[str, Case], dict[str, str]]:
    """All that run here, and why others do not."""
    net, batches = problem(name, rows)
    found, notes = {"plain": plain(net, batches), **ours(net, batches)}, dict[str, str]()
    peers = {
        "torch.func": through_func,
        "backpack-for-pytorch": through_backpack,
        "curvlinops-for-pytorch": through_curvlinops,
        "opacus": through_opacus,
    }
    for package, make in peers.items():
        if package != "torch.func" and installed(package) is None:
            notes[package] = "not installed"
            continue
        for label, run in make(net, batches).items():
            try:
                ratio = timed(run) / timed(found["plain"])
            except Exception as error:  # noqa: BLE001 - a peer's failure is a result
                notes[label] = f"{type(error).__name__}: {str(error).splitlines()[0][:90]}"
                continue
            if ratio > SLOW:
                notes[label] = f"{ratio:.0f}x, one run"
            else:
                found[label] = run
    return found, notes


def timed(run: Case) -> float:
    """Processor seconds of one run, which other work on the machine hardly moves."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def agreement(net: nn.Module, batches: Batches) -> dict[str, float]:
    """Largest relative difference of our diagonals from BackPACK's, where it knows the net."""
    from backpack import backpack, extend
    from backpack.extensions import DiagGGNExact, SumGradSquared

    try:
        model, criterion = extend(copy.deepcopy(net)), extend(nn.CrossEntropyLoss(reduction="sum"))
        totals = {kind: dict[str, Tensor]() for kind in ("sum_grad_squared", "diag_ggn_exact")}
        for x, y in batches:
            with backpack(SumGradSquared(), DiagGGNExact()):
                criterion(model(x), y).backward()
            for name, value in model.named_parameters():
                for kind, total in totals.items():
                    total[name] = total.get(name, 0) + getattr(value, kind)
    except Exception:  # noqa: BLE001 - a peer's failure is a result
        return {}
    found = {}
    for kind, labels in (("sum_grad_squared", "empirical"), ("diag_ggn_exact", "exact")):
        mine = fisher(net, Categorical(validate=False), batches, labels=labels).diagonal()
        gaps = [(mine[n] - v).abs().max() / v.abs().max() for n, v in totals[kind].items()]
        found[f"{labels} diagonal"] = float(max(gaps))
    return found


def peak(name: str, rows: int | None, case: str) -> None:
    """Print the megabytes that a case needs beyond a plain pass, in this process."""
    net, batches = problem(name, rows)
    plain(net, batches)()
    before = highest()
    ours(net, batches)[case]()
    print(highest() - before)


def highest() -> float:
    """Most memory resident so far, in megabytes; unlike getrusage not that of the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def peaks(name: str, rows: int | None, names: list[str]) -> dict[str, float]:
    """Megabytes beyond a plain pass, each case in a process of its own."""
    found = {}
    for case in names:
        command = [sys.executable, __file__, "--peak", case, "--only", name]
        command += ["--rows", str(rows)] if rows else []
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[case] = round(float(printed.split()[-1]), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--only", choices=["mlp", "cnn", "block"])
    parser.add_argument("--peak")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    if options.peak:
        peak(options.only, options.rows, options.peak)
        return
    packages = ("backpack-for-pytorch", "curvlinops-for-pytorch", "opacus")
    content: dict[str, Any] = {"environment": environment(*packages), "repeats": options.repeats}
    for name in [options.only] if options.only else ["mlp", "cnn", "block"]:
        found, notes = cases(name, options.rows)
        print(f"\n{name}: ratios to one forward and backward pass over the same rows")
        runs = {case: partial(timed, run) for case, run in found.items()}
        rows = ratios(interleave(runs, options.repeats), "plain")
        show(rows, notes)
        mine = [case for case in rows if "counterpoint" in case]
        memory = peaks(name, options.rows, mine)
        print("   peak memory beyond a plain pass, MB:", memory)
        content[name] = {"ratios": rows, "notes": notes, "peak_megabytes": memory}
        if installed("backpack-for-pytorch"):
            content[name]["largest difference from BackPACK"] = agreement(
                *problem(name, options.rows)
            )
            print("   difference from BackPACK:", content[name]["largest difference from BackPACK"])
        content[name]["load"] = [round(value, 2) for value in os.getloadavg()]
    if options.rows is None:
        before = RESULTS / "curvature.json"
        kept = json.loads(before.read_text()) if options.only and before.exists() else {}
        print(record("curvature", {**kept, **content}))


if __name__ == "__main__":
    main()
