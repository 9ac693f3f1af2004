"""Do 90 % intervals hold nine tenths of new rows? Every kind of fit, on easy and hard sets.

    python benchmarks/honesty.py [--sets sine diabetes ...] [--kinds held-out evidence ...]
                                 [--seeds 3] [--mapie]

UCI sets by their standard splits, diabetes by random fifths, the others made: a sine of one column,
Friedman's function, a few of a hundred columns, nothing to learn, no noise, skewed noise. With
``--mapie`` (MAPIE 1.6) split conformal intervals around the same estimator stand beside.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from _measure import environment, record
from sklearn.datasets import load_diabetes, make_friedman1

import counterpoint as cp
from counterpoint.datasets import UCI_NAMES, uci

Rows = tuple[np.ndarray, np.ndarray]
FRESH = 2000


def _sine(draw: np.random.Generator, rows: int) -> Rows:
    x = draw.uniform(-2, 2, (rows, 1))
    return x, np.sin(3 * x[:, 0]) + 0.2 * draw.normal(size=rows)


def _friedman(draw: np.random.Generator, rows: int) -> Rows:
    return make_friedman1(rows, n_features=10, noise=1.0, random_state=int(draw.integers(2**31)))


def _few_of_many(draw: np.random.Generator, rows: int) -> Rows:
    x = draw.normal(size=(rows, 100))
    return x, x[:, :5].sum(1) + draw.normal(size=rows)


def _nothing(draw: np.random.Generator, rows: int) -> Rows:
    return draw.normal(size=(rows, 20)), draw.normal(size=rows)


def _exact(draw: np.random.Generator, rows: int) -> Rows:
    x = draw.normal(size=(rows, 4))
    return x, x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2])


def _skewed(draw: np.random.Generator, rows: int) -> Rows:
    x = draw.normal(size=(rows, 6))
    return x, x[:, 0] + np.abs(x[:, 1]) + draw.exponential(size=rows)


MADE: dict[str, tuple[Callable[[np.random.Generator, int], Rows], int]] = {
    "sine": (_sine, 30),
    "friedman": (_friedman, 100),
    "few of many": (_few_of_many, 150),
    "nothing": (_nothing, 60),
    "exact": (_exact, 200),
    "skewed": (_skewed, 300),
}

KINDS: dict[str, Callable[[int], Any]] = {
    "evidence": lambda seed: cp.NeuralLinearRegressor(random_state=seed, noise="evidence"),
    "held-out": lambda seed: cp.NeuralLinearRegressor(random_state=seed),
    "luna": lambda seed: cp.LunaRegressor(random_state=seed),
    "table": lambda seed: cp.TableRegressor(random_state=seed),
    "table, conformal": lambda seed: cp.TableRegressor(random_state=seed, conformal=0.2),
    "table, one member": lambda seed: cp.TableRegressor(random_state=seed, members=1),
    "table, laplace": lambda seed: cp.TableRegressor(random_state=seed, uncertainty="laplace"),
    "table, ensemble": lambda seed: cp.TableRegressor(random_state=seed, uncertainty="ensemble"),
}


def rows_of(name: str, seed: int) -> tuple[Rows, Rows]:
    """Rows to fit and new rows."""
    if name in UCI_NAMES:
        table = uci(name)
        fitted, new = table.standard[seed]
    elif name == "diabetes":
        x, y = load_diabetes(return_X_y=True)
        order = np.random.default_rng(seed).permutation(len(x))
        return (x[order[:353]], y[order[:353]]), (x[order[353:]], y[order[353:]])
    else:
        make, rows = MADE[name]
        x, y = make(np.random.default_rng(1000 + seed), rows + FRESH)
        return (x[:rows], y[:rows]), (x[rows:], y[rows:])
    x, y = table.features, table.target
    return (x[fitted], y[fitted]), (x[new], y[new])


def measure(name: str, kind: str, seed: int, mapie: bool) -> dict[str, float]:
    """One fit."""
    (x, y), (new, actual) = rows_of(name, seed)
    start = time.process_time()
    model = KINDS[kind](seed).fit(x, y)
    found = {"seconds": time.process_time() - start}
    mean, std = model.predict(new, return_std=True)
    error = actual - mean
    found["coverage"] = float(np.mean(np.abs(error) < 1.6449 * std))
    density = -0.5 * (error / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
    found["log likelihood"] = float(density.mean())
    found["width"] = float(2 * 1.6449 * std.mean())
    low, high = model.predict_interval(new, 0.9)
    found["coverage of predict_interval"] = float(np.mean((low <= actual) & (actual <= high)))
    found["its width"] = float((high - low).mean())
    if mapie:
        found |= _mapie(KINDS[kind](seed), x, y, new, actual)
    return found


def _mapie(
    estimator: Any, x: np.ndarray, y: np.ndarray, new: np.ndarray, actual: np.ndarray
) -> dict[str, float]:
    """Split conformal intervals: fitted to four fifths, calibrated on the last."""
    from mapie.regression import SplitConformalRegressor

    part = len(x) * 4 // 5
    peer = SplitConformalRegressor(estimator, confidence_level=0.9, prefit=False)
    peer.fit(x[:part], y[:part]).conformalize(x[part:], y[part:])
    low, high = (np.asarray(peer.predict_interval(new)[1])[:, end, 0] for end in (0, 1))
    inside = float(np.mean((actual >= low) & (actual <= high)))
    return {"MAPIE coverage": inside, "MAPIE width": float((high - low).mean())}


def main() -> None:
    """Every set and kind."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sets", nargs="+", default=[*MADE, "diabetes", *UCI_NAMES])
    arguments.add_argument("--kinds", nargs="+", default=["evidence", "held-out"])
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--mapie", action="store_true")
    told = arguments.parse_args()
    warnings.simplefilter("ignore")
    results: dict[str, dict[str, Any]] = {}
    for name in told.sets:
        for kind in told.kinds:
            runs = [measure(name, kind, seed, told.mapie) for seed in range(told.seeds)]
            each = {key: [run[key] for run in runs] for key in runs[0]}
            results.setdefault(name, {})[kind] = each
            shown = "  ".join(f"{key} {np.mean(values):.3f}" for key, values in each.items())
            print(f"{name:12s} {kind:18s} {shown}", flush=True)
            record("honesty", {"environment": environment("scikit-learn"), "runs": results})


if __name__ == "__main__":
    main()
