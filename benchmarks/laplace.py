"""Laplace approximations beside laplace-torch, in plain epochs and plain forward passes.

MLP 784-256-256-10, batches of 256: fitting the last layer, a diagonal, Kronecker factors;
predicting a batch with the joint covariance of its outputs; twenty evaluations of the evidence.
The peer, laplace-torch, runs with its default backend and with BackPACK, on smaller shares of the
rows and smaller batches, scaled; beside it stands the largest difference between its covariances
and ours (its Kronecker factors take weight and bias apart, ours together).

    python benchmarks/laplace.py [--repeats 5] [--threads 1] [--rows 10000]
"""

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _measure import environment, installed, record
from torch import Tensor, nn

from counterpoint.goals import Categorical
from counterpoint.posterior import Laplace, laplace
from counterpoint.seeding import seeded

Batches = list[tuple[Tensor, Tensor]]
BATCH = 256


class Loader:
    """Batches with the data set that laplace-torch asks for."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
        self.dataset = torch.utils.data.TensorDataset(x, y)
        self.batch_size = len(batches[0][0])

    def __iter__(self) -> Any:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def problem(rows: int) -> tuple[nn.Sequential, Batches]:
    """A net that has seen its labels for a few epochs."""
    with seeded(0):
        layers = [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()]
        net = nn.Sequential(*layers, nn.Linear(256, 10))
        x = torch.randn(rows, 784)
        y = (x[:, :10] + 0.5 * torch.randn(rows, 10)).argmax(1)
    batches = list(zip(x.split(BATCH), y.split(BATCH), strict=True))
    for _ in range(3):
        epoch(net, batches)
    return net.eval(), batches


def epoch(net: nn.Module, batches: Batches) -> None:
    """One epoch of plain SGD."""
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
    for x, y in batches:
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median processor seconds, after a first call that is not counted."""
    call()
    found = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        found.append(time.process_time() - begin)
    return statistics.median(found)


OURS: dict[str, dict[str, Any]] = {
    "all diagonal": {"structure": "diagonal"},
    "all kronecker": {"structure": "kronecker"},
    "all kronecker, sampled": {"structure": "kronecker", "labels": "sampled"},
    "last dense": {"structure": "dense", "parameters": "4.*"},
    "last kronecker": {"structure": "kronecker", "parameters": "4.*"},
}

# (subset, structure, backend, rows to fit, rows to predict): what is affordable for the peer
THEIRS: dict[str, tuple[str, str, str, int, int]] = {
    "all diagonal, Curvlinops": ("all", "diag", "CurvlinopsGGN", 256, 8),
    "all diagonal, BackPACK": ("all", "diag", "BackPackGGN", 2560, 32),
    "all kronecker, Curvlinops": ("all", "kron", "CurvlinopsGGN", 2560, 8),
    "all kronecker, BackPACK": ("all", "kron", "BackPackGGN", 2560, 8),
    "last dense, Curvlinops": ("last_layer", "full", "CurvlinopsGGN", 2560, 256),
    "last kronecker, Curvlinops": ("last_layer", "kron", "CurvlinopsGGN", 2560, 256),
}


def ours(net: nn.Module, batches: Batches, epoch_s: float, forward_s: float, repeats: int) -> Any:
    """Ratios of every structure of ours, and what was fitted."""
    x, found, fitted = batches[0][0], dict[str, dict[str, float]](), dict[str, Laplace]()
    for name, options in OURS.items():

        def fit(options: dict[str, Any] = options) -> Laplace:
            generator = torch.Generator().manual_seed(0)
            return laplace(net, Categorical(), batches, prior=1.0, generator=generator, **options)

        def evidence(posterior: Laplace) -> None:
            for step in range(20):
                prior = torch.tensor(1.0 + step, dtype=torch.float64, requires_grad=True)
                posterior.log_evidence(prior).backward()

        fit_s = seconds(fit, repeats)
        posterior = fitted[name] = fit()
        begin = time.process_time()
        posterior.outputs(x)  # the first makes the eigenbases
        first_s = time.process_time() - begin
        outputs_s = seconds(lambda p=posterior: p.outputs(x), 4 * repeats)
        found[name] = {
            "fit, epochs": round(fit_s / epoch_s, 2),
            "eigenbases, epochs": round((first_s - outputs_s) / epoch_s, 2),
            "joint covariance, forwards": round(outputs_s / forward_s, 1),
            "predictive, forwards": round(
                seconds(lambda p=posterior: p.predict(x), repeats) / forward_s, 1
            ),
            "evidence and gradient x20, epochs": round(
                seconds(lambda p=posterior: evidence(p), repeats) / epoch_s, 3
            ),
        }
        print(f"{name:28s}", found[name], flush=True)
    return found, fitted


def peers(
    net: nn.Module, batches: Batches, epoch_s: float, fitted: dict[str, Laplace]
) -> dict[str, dict[str, float | str]]:
    """Ratios of laplace-torch, and how far its covariances are from ours."""
    # this file has the name of the peer's package
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent]
    import laplace as peer
    from laplace import curvature as backends

    found = dict[str, dict[str, float | str]]()
    for name, (subset, structure, backend, rows, few) in THEIRS.items():
        part = batches[: max(1, rows // BATCH)]
        share = len(part) / len(batches)
        x = batches[0][0][:few]
        made = peer.Laplace(
            net,
            "classification",
            subset_of_weights=subset,
            hessian_structure=structure,
            backend=getattr(backends, backend),
        )
        try:
            begin = time.process_time()
            made.fit(Loader(part))
            fit_s = time.process_time() - begin
            predict_s = seconds(lambda made=made, x=x: made._glm_predictive_distribution(x), 1)
        except Exception as error:  # noqa: BLE001 - a peer's failure is a result
            found[name] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"}
            continue
        plain = seconds(lambda x=x: forward(net, x), 50)
        row: dict[str, float | str] = {
            "fit, epochs": round(fit_s / share / epoch_s, 1),
            "fitted on": f"{rows} rows, scaled",
            "joint covariance, forwards of its batch": round(predict_s / plain, 1),
            "batch predicted": few,
        }
        row |= difference(net, part, x, made, name.partition(",")[0])
        ours_s = seconds(lambda x=x, n=name: fitted[n.partition(",")[0]].outputs(x), 5)
        row["its prediction over ours"] = round(predict_s / ours_s, 1)
        found[name] = row
        print(f"{name:28s}", row, flush=True)
    return found


def difference(net: nn.Module, part: Batches, x: Tensor, made: Any, name: str) -> dict[str, float]:
    """Largest relative difference of variances, both fitted to the same rows at the same prior."""
    mine = laplace(net, Categorical(), part, prior=1.0, **OURS[name])
    theirs = made._glm_predictive_distribution(x)[1].detach()
    covariance = mine.outputs(x).covariance
    gap = (covariance - theirs).abs().max() / theirs.abs().max()
    return {"largest difference of covariances": float(f"{float(gap):.1e}")}


def forward(net: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        net(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=10_000)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    packages = ("laplace-torch", "curvlinops-for-pytorch", "backpack-for-pytorch")
    content: dict[str, Any] = {"environment": environment(*packages), "rows": options.rows}
    net, batches = problem(options.rows)
    epoch_s = seconds(lambda: epoch(net, batches), options.repeats)
    forward_s = seconds(lambda: forward(net, batches[0][0]), 50)
    content["epoch_seconds"], content["forward_seconds"] = epoch_s, forward_s
    content["counterpoint"], fitted = ours(net, batches, epoch_s, forward_s, options.repeats)
    if installed("laplace-torch"):
        content["laplace-torch"] = peers(net, batches, epoch_s, fitted)
    content["load_at_end"] = [round(value, 2) for value in os.getloadavg()]
    if options.rows == 10_000:
        print(record("laplace", content))


if __name__ == "__main__":
    main()
