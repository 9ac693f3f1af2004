"""UCI regression, the 20 standard splits: test log likelihood and RMSE beside peers.

    python benchmarks/uci.py [--sets concrete energy power wine] [--splits 20] [--peers 5]

The defaults of `TableRegressor`, nothing chosen on these test rows; coverage of the 90 % interval
and seconds of the processor beside. Peers (those of `_peers.py` that are installed) see the first
so many of the splits. Published: PBP and deep ensembles from Lakshminarayanan et al. 2017 (table
1), MC dropout from Gal & Ghahramani 2016, its later grid search from the authors' repository.
"""

import argparse
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from _measure import environment, record
from _peers import Fit, regressors

import counterpoint as cp
from counterpoint.datasets import uci

PUBLISHED = {
    "concrete": {"PBP": -3.16, "MC dropout": -3.04, "deep ensembles": -3.06, "MCD grid": -2.93},
    "energy": {"PBP": -2.04, "MC dropout": -1.99, "deep ensembles": -1.38, "MCD grid": -1.21},
    "power": {"PBP": -2.84, "MC dropout": -2.80, "deep ensembles": -2.79, "MCD grid": -2.80},
    "wine": {"PBP": -0.97, "MC dropout": -0.93, "deep ensembles": -0.94, "MCD grid": -0.93},
}
"""Test log likelihood, nats a row."""

Rows = tuple[pd.DataFrame, np.ndarray]


def measure(rows: Rows, new: Rows, seed: int, members: int) -> dict[str, float]:
    """Counterpoint on one split."""
    start = time.process_time()
    model = cp.TableRegressor(random_state=seed, members=members).fit(*rows)
    (found,) = model.model_.predict(new[0]).values()
    low, high = found.interval(0.9)
    return {
        "log likelihood": float(found.log_prob(torch.from_numpy(new[1])[:, None]).mean()),
        "RMSE": float(np.sqrt(np.mean((new[1] - found.mean) ** 2))),
        "coverage of 90 %": float(np.mean((low <= new[1]) & (new[1] <= high))),
        "seconds": time.process_time() - start,
    }


def measure_peer(fit: Fit, rows: Rows, new: Rows, seed: int) -> dict[str, float]:
    """Another library on one split; a normal where it has a standard deviation."""
    start = time.process_time()
    mean, std = fit(*rows, new[0], seed)
    found = {"RMSE": float(np.sqrt(np.mean((new[1] - mean) ** 2)))}
    if std is not None:
        error = (new[1] - mean) / std
        density = -0.5 * error**2 - np.log(std) - 0.5 * np.log(2 * np.pi)
        found["log likelihood"] = float(density.mean())
        found["coverage of 90 %"] = float(np.mean(np.abs(error) < 1.6449))
    return {**found, "seconds": time.process_time() - start}


def main() -> None:
    """Every set, every split."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sets", nargs="+", default=list(PUBLISHED))
    arguments.add_argument("--splits", type=int, default=20)
    arguments.add_argument("--peers", type=int, default=5)
    arguments.add_argument("--members", type=int, default=4)
    told = arguments.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for name in told.sets:
        table = uci(name)
        frame = pd.DataFrame(table.features).rename(columns=lambda place: f"x{place}")
        runs: dict[str, list[dict[str, float]]] = {}
        for k, (train, test) in enumerate(table.standard[: told.splits]):
            rows, new = ((frame.iloc[part], table.target[part]) for part in (train, test))
            runs.setdefault("counterpoint", []).append(measure(rows, new, k, told.members))
            for peer, fit in regressors().items() if k < told.peers else ():
                runs.setdefault(peer, []).append(measure_peer(fit, rows, new, k))
        measured = {who: _summary(each) for who, each in runs.items()}
        ours = {"counterpoint, splits of the peers": _summary(runs["counterpoint"][: told.peers])}
        results[name] = {**measured, **ours, "published": PUBLISHED[name]}
        for who, row in results[name].items():
            print(f"{name:9s} {who:34s} {row}", flush=True)
        packages = ("scikit-learn", "catboost", "lightgbm", "xgboost", "ngboost")
        content = {"environment": environment(*packages), "members": told.members, "rows": results}
        record("uci", content)


def _summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    keys = runs[0] if runs else {}
    means = {key: _mean([run[key] for run in runs]) for key in keys}
    return {"splits": len(runs), **means}


def _mean(values: list[float]) -> tuple[float, float]:
    """Mean and standard error."""
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return round(float(np.mean(values)), 4), round(float(spread / np.sqrt(len(values))), 4)


if __name__ == "__main__":
    main()
