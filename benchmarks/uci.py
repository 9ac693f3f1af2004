"""UCI regression, the 20 standard splits: test log likelihood and RMSE beside published numbers.

    python benchmarks/uci.py [--sets concrete energy power wine] [--splits 20]

The defaults of `TableRegressor`, nothing chosen on these test rows; coverage of the 90 % interval
and seconds of the processor beside. Published: PBP and deep ensembles from Lakshminarayanan et al.
2017 (table 1), MC dropout from Gal & Ghahramani 2016, its later grid search from the authors'
repository.
"""

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from _measure import environment, record

import counterpoint as cp
from counterpoint.datasets import uci

PUBLISHED = {
    "concrete": {"PBP": -3.16, "MC dropout": -3.04, "deep ensembles": -3.06, "MCD grid": -2.93},
    "energy": {"PBP": -2.04, "MC dropout": -1.99, "deep ensembles": -1.38, "MCD grid": -1.21},
    "power": {"PBP": -2.84, "MC dropout": -2.80, "deep ensembles": -2.79, "MCD grid": -2.80},
    "wine": {"PBP": -0.97, "MC dropout": -0.93, "deep ensembles": -0.94, "MCD grid": -0.93},
}
"""Test log likelihood, nats a row."""


def measure(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int, members: int
) -> dict[str, float]:
    """One split."""
    start = time.process_time()
    frame = pd.DataFrame(x, columns=[f"x{place}" for place in range(x.shape[1])])
    model = cp.TableRegressor(random_state=seed, members=members).fit(frame.iloc[train], y[train])
    (found,) = model.model_.predict(frame.iloc[test]).values()
    low, high = found.interval(0.9)
    return {
        "log likelihood": float(found.log_prob(torch.from_numpy(y[test])[:, None]).mean()),
        "RMSE": float(np.sqrt(np.mean((y[test] - found.mean) ** 2))),
        "coverage of 90 %": float(np.mean((low <= y[test]) & (y[test] <= high))),
        "seconds": time.process_time() - start,
    }


def main() -> None:
    """Every set, every split."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sets", nargs="+", default=list(PUBLISHED))
    arguments.add_argument("--splits", type=int, default=20)
    arguments.add_argument("--members", type=int, default=4)
    told = arguments.parse_args()
    rows: dict[str, Any] = {}
    for name in told.sets:
        table = uci(name)
        x, y, splits = table.features, table.target, table.standard[: told.splits]
        runs = [
            measure(x, y, train, test, k, told.members) for k, (train, test) in enumerate(splits)
        ]
        row = {key: _mean([run[key] for run in runs]) for key in runs[0]}
        rows[name] = {"splits": len(runs), "measured": row, "published": PUBLISHED[name]}
        shown = "  ".join(f"{key} {m:.3f} ± {e:.3f}" for key, (m, e) in row.items())
        beside = ", ".join(f"{key} {value}" for key, value in PUBLISHED[name].items())
        print(f"{name:9s} {shown}\n{'':9s} published log likelihood: {beside}", flush=True)
        content = {"environment": environment("scikit-learn"), "rows": rows}
        content["members"] = told.members
        record("uci", content)


def _mean(values: list[float]) -> tuple[float, float]:
    """Mean and standard error."""
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return float(np.mean(values)), float(spread / np.sqrt(len(values)))


if __name__ == "__main__":
    main()
