"""Predictions: rows a second, and one row by a process that has just begun.

    python benchmarks/serve.py [--rows 50000] [--repeats 5]

A model of 20 columns with its defaults (four networks) predicts a frame in memory: cells are read,
encoded, predicted with noise and knowledge apart, and made a frame. Beside it a pickled pipeline of
scikit-learn (ordinal codes and `HistGradientBoostingRegressor`, 300 iterations), which predicts a
number and nothing else. One row is a process of its own from its start to its end: imports, reading
the model and a file with one row are included. All seconds are of the processor, repeats in turns.
"""

import argparse
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _measure import environment, record
from scale import draw

_LEARNT = 10_000
_OURS = """
import sys, time
import pandas as pd
from counterpoint.table import TableModel, to_frame
model = TableModel.load(sys.argv[1])
to_frame(model.predict(pd.read_parquet(sys.argv[2])), 0.9)
print(time.process_time())
"""
_THEIRS = """
import pickle, sys, time
import pandas as pd
with open(sys.argv[1], "rb") as file:
    model = pickle.load(file)
model.predict(pd.read_parquet(sys.argv[2]))
print(time.process_time())
"""


def pipeline() -> Any:
    """scikit-learn's trees behind ordinal codes."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encode = make_column_transformer(
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            make_column_selector(dtype_exclude="number"),
        ),
        remainder="passthrough",
    )
    return make_pipeline(encode, HistGradientBoostingRegressor(max_iter=300, random_state=0))


def seconds(run: Callable[[], object]) -> float:
    """Of the processor, in this process."""
    began = time.process_time()
    run()
    return time.process_time() - began


def cold(code: str, model: Path, row: Path) -> float:
    """Of the processor, of a process that predicts one row."""
    command = [sys.executable, "-c", code, str(model), str(row)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(ended.stdout)


def main() -> None:
    """Fit both, predict in turns, and write the results."""
    from counterpoint.recipe import build
    from counterpoint.table import fit_table, to_frame

    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=5)
    told = parser.parse_args()
    torch.set_num_threads(1)
    frame, many = draw(_LEARNT, 20, seed=0), draw(told.rows, 20, seed=1).drop(columns="y")
    model = fit_table(frame, build({"data": {"target": ["y"]}}), evaluate=False)
    theirs = pipeline().fit(frame.drop(columns="y"), frame["y"])
    table, inputs = model.read(many), model.read(many).encode()
    cases: dict[str, Callable[[], float]] = {
        "counterpoint, whole": lambda: seconds(lambda: to_frame(model.predict(many), 0.9)),
        "counterpoint, cells read": lambda: seconds(lambda: model.predict(table)),
        "counterpoint, encoded": lambda: seconds(lambda: model.predict_encoded(inputs)),
        "trees, whole": lambda: seconds(lambda: theirs.predict(many)),
    }
    with tempfile.TemporaryDirectory() as folder:
        own, pickled, row = (
            Path(folder, name) for name in ("model", "trees.pickle", "row.parquet")
        )
        model.save(own)
        pickled.write_bytes(pickle.dumps(theirs))
        many[:1].to_parquet(row, index=False)
        cases["counterpoint, one row cold"] = lambda: cold(_OURS, own, row)
        cases["trees, one row cold"] = lambda: cold(_THEIRS, pickled, row)
        taken: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(told.repeats):
            for name, run in cases.items():
                taken[name].append(run())
    found = dict[str, dict[str, float]]()
    for name, each in taken.items():
        middle = statistics.median(each)
        found[name] = {"seconds": middle, "least": min(each), "largest": max(each)}
        if "cold" not in name:
            found[name]["rows a second"] = told.rows / middle
        sys.stdout.write(f"{name}: {found[name]}\n")
    content = {"environment": environment("scikit-learn"), "rows": told.rows, "cases": found}
    record("serve", content)


if __name__ == "__main__":
    main()
