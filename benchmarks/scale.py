"""Fits by rows and columns: processor seconds, memory, held-out error, and how they grow.

    python benchmarks/scale.py [--rows 1e3 1e4 1e5] [--columns 10 20 100] [--format csv parquet]

A table has 20 columns where rows are varied and 10,000 rows where columns are. Six of ten columns
are numbers (some rounded, some with gaps), the others categories of 3 to 200 levels; the target is
additive in some of both, with noise of 0.6; its error is measured on 5,000 fresh rows. Beside it
scikit-learn's `HistGradientBoostingRegressor` (300 iterations) and `MLPRegressor` (two layers of
128, 30 epochs, one-hot). Every fit is a process of its own, so that its peak of memory is; imports
and reading count. A size that is in the results already is not run again.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _measure import RESULTS, environment, record

_TEST = 5_000
_LEVELS = (3, 8, 20, 50, 200)
_NAMES = ("counterpoint", "trees", "perceptron")


def draw(rows: int, columns: int, seed: int) -> pd.DataFrame:
    """Rows of the table; the truth is the same for every seed."""
    truth, random = np.random.default_rng(0), np.random.default_rng([1, seed])
    numbers = columns * 6 // 10
    found, y = dict[str, Any](), np.zeros(rows)
    for place in range(numbers):
        x = random.normal(size=rows) if place % 3 else random.gamma(2.0, size=rows)
        x = np.round(x, 1) if place % 7 == 3 else x
        if place < 10:
            y += np.sin(1.5 * x + place) * (1.0 if place < 5 else 0.4)
        x[random.random(rows) < (0.05 if place % 5 == 4 else 0.0)] = np.nan
        found[f"number {place}"] = x
    for place in range(columns - numbers):
        levels = _LEVELS[place % 5]
        code = np.minimum(random.exponential(levels / 4, rows).astype(int), levels - 1)
        effect = truth.normal(size=levels)
        if place < 8:
            y += effect[code] * (0.6 if place < 4 else 0.2)
        found[f"category {place}"] = np.array([f"level {n}" for n in range(levels)], object)[code]
    return pd.DataFrame({**found, "y": y + 0.6 * random.normal(size=rows)})


def counterpoint(path: Path, test: pd.DataFrame) -> tuple[np.ndarray, dict[str, float]]:
    """`counterpoint fit` with its defaults, all that a report shows included."""
    from counterpoint.recipe import build
    from counterpoint.table import Context, fit_table, read_table

    marks = [time.process_time()]
    frame = read_table(path)
    marks.append(time.process_time())
    context = Context(sized=lambda _: marks.append(time.process_time()))
    recipe = build({"data": {"target": ["y"], "table": str(path)}})
    model = fit_table(frame, recipe, context)
    marks.append(time.process_time())
    start, read, prepared, fitted = marks
    phases = {"imports": start, "read": read - start, "prepare": prepared - read}
    return model.predict(test)["y"].mean, {**phases, "train and measure": fitted - prepared}


def read(path: Path) -> pd.DataFrame:
    """A file as pandas reads it."""
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def trees(path: Path, test: pd.DataFrame) -> tuple[np.ndarray, dict[str, float]]:
    """Gradient-boosted trees."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encode = make_column_transformer(
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            make_column_selector(dtype_exclude=np.number),
        ),
        remainder="passthrough",
    )
    frame = read(path)
    model = make_pipeline(encode, HistGradientBoostingRegressor(max_iter=300, random_state=0))
    return model.fit(frame.drop(columns="y"), frame["y"]).predict(test), {}


def perceptron(path: Path, test: pd.DataFrame) -> tuple[np.ndarray, dict[str, float]]:
    """scikit-learn's network, one-hot."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude=np.number)),
        remainder=make_pipeline(SimpleImputer(), StandardScaler()),
    )
    network = MLPRegressor(
        hidden_layer_sizes=(128, 128), max_iter=30, n_iter_no_change=31, random_state=0
    )
    frame = read(path)
    model = make_pipeline(encode, network)
    return model.fit(frame.drop(columns="y"), frame["y"]).predict(test), {}


def child(name: str, path: Path, rows: int, columns: int) -> None:
    """One fit, in this process, told as one line of JSON."""
    import warnings

    warnings.simplefilter("ignore")  # of the perceptron, which is stopped on purpose
    test = draw(_TEST, columns, seed=1)
    predicted, phases = globals()[name](path, test.drop(columns="y"))
    found = {
        "seconds": time.process_time(),
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "RMSE": float(np.sqrt(np.mean((predicted - test["y"]) ** 2))),
        "phases": phases,
        "rows": rows,
    }
    sys.stdout.write(json.dumps(found) + "\n")


def measured(name: str, rows: int, columns: int, ending: str) -> dict[str, Any]:
    """One fit in a process of its own; its seconds are of the processor."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"table.{ending}")
        frame = draw(rows, columns, seed=0)
        frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path, index=False)
        command = [sys.executable, __file__, "--child", name, str(path), str(rows), str(columns)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(ended.stdout.splitlines()[-1])


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The power of the size with which seconds grow, between the two greatest."""
    return math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])


def growth(found: dict[str, Any], name: str) -> dict[str, float]:
    """Exponents of rows at 20 columns, and of columns at 10,000 rows, of CSV files."""
    grown = dict[str, float]()
    for what, place in (("rows", 1), ("columns", 2)):
        sizes = dict[int, float]()
        for key, value in found.items():
            own, *parts = key.split(" ")
            rows, columns = int(parts[0]), int(parts[2])
            fixed = columns == 20 if place == 1 else rows == 10_000
            if own == name and fixed and parts[3] == "csv":
                sizes[rows if place == 1 else columns] = value["seconds"]
        if len(sizes) > 1:
            ordered = sorted(sizes)
            grown[what] = exponent(ordered, [sizes[size] for size in ordered])
    return grown


def main() -> None:
    """Run what is missing and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=float, nargs="*", default=[1e3, 1e4, 1e5])
    parser.add_argument("--columns", type=int, nargs="*", default=[10, 20, 100])
    parser.add_argument("--format", nargs="*", default=["csv"], choices=["csv", "parquet"])
    parser.add_argument("--child", nargs=4)
    told = parser.parse_args()
    if told.child:
        name, path, rows, columns = told.child
        child(name, Path(path), int(rows), int(columns))
        return
    before = RESULTS / "scale.json"
    found = json.loads(before.read_text())["cases"] if before.exists() else {}
    sizes = [(int(rows), 20) for rows in told.rows] + [(10_000, n) for n in told.columns]
    for rows, columns in dict.fromkeys(sizes):
        for ending in told.format:
            for name in _NAMES:
                key = f"{name} {rows} x {columns} {ending}"
                if key not in found:
                    found[key] = measured(name, rows, columns, ending)
                    sys.stdout.write(f"{key}: {found[key]}\n")
                    grown = {one: growth(found, one) for one in _NAMES}
                    content = {"environment": environment("scikit-learn"), "cases": found}
                    record("scale", {**content, "exponents": grown})


if __name__ == "__main__":
    main()
