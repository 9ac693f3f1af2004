"""Does a small network keep the accuracy of boosted trees that it imitates?

    python benchmarks/distill.py [--sets adult power] [--seeds 2] [--threads 1]

The teacher is scikit-learn's `HistGradientBoosting` at its defaults. On the training rows it is
asked out of fold (five folds), since trees fit rows that they have seen too well to teach; on the
test rows it is one model of all training rows. Students are networks of one member and 32 units a
layer, and the default of one member, each fitted alone, while imitating (the plain mean of the
goals `fit` and `imitate`), and with the two balanced (`impartial`). Seconds are of the processor,
for the prediction of all test rows, raw frame in. Adult's published test file; power's standard
splits. Nothing was chosen on these rows.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from _measure import environment, record
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

import counterpoint as cp
from counterpoint.datasets import adult, uci

Measures = dict[str, float]
STUDENTS: dict[str, dict[str, Any]] = {
    "32 units": {"members": 1, "width": 32},
    "128 units": {"members": 1},
}


def _trees(seed: int, *, classes: bool) -> Any:
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    encode = make_column_transformer(
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            make_column_selector(dtype_exclude=np.number),
        ),
        remainder="passthrough",
    )
    return make_pipeline(encode, kind(random_state=seed))


def _timed(predict: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    predict()  # what is made at the first call is not the price of a row
    start = time.process_time()
    found = predict()
    return found, time.process_time() - start


def _of_classes(found: np.ndarray, truth: np.ndarray) -> Measures:
    return {
        "accuracy": float(accuracy_score(truth, found.argmax(1))),
        "log loss": float(log_loss(truth, found)),
    }


def _of_numbers(found: np.ndarray, truth: np.ndarray) -> Measures:
    return {"RMSE": float(np.sqrt(np.mean((found - truth) ** 2)))}


def runs(
    x: pd.DataFrame, y: np.ndarray, new: pd.DataFrame, truth: np.ndarray, seed: int
) -> dict[str, Measures]:
    """Teacher and students of one split."""
    classes = y.dtype.kind == "i"
    method, measure = ("predict_proba", _of_classes) if classes else ("predict", _of_numbers)
    table = cp.TableClassifier if classes else cp.TableRegressor
    lessons = cross_val_predict(_trees(seed, classes=classes), x, y, cv=5, method=method)
    teacher = _trees(seed, classes=classes).fit(x, y)
    found, seconds = _timed(lambda: getattr(teacher, method)(new))
    results = {"teacher": {**measure(found, truth), "seconds to predict": seconds}}
    ways: dict[str, tuple[Any, str]] = {
        "alone": (None, "sum"),
        "imitating": (lessons, "sum"),
        "imitating, balanced": (lessons, "impartial"),
    }
    for size, settings in STUDENTS.items():
        for way, (taught, balance) in ways.items():
            model = table(**settings, balance=balance, random_state=seed).fit(x, y, teacher=taught)
            found, seconds = _timed(lambda model=model: getattr(model, method)(new))
            results[f"{size}, {way}"] = {**measure(found, truth), "seconds to predict": seconds}
    return results


def split_of(name: str, seed: int) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]:
    """Training rows and test rows."""
    if name == "adult":
        train, test = adult()
        target = str(train.columns[-1])
        y, truth = (
            np.asarray(f[target].astype(str).str.startswith(">"), int) for f in (train, test)
        )
        return train.drop(columns=target), y, test.drop(columns=target), truth
    table = uci(name)
    frame = pd.DataFrame(table.features).rename(columns=lambda place: f"x{place}")
    train, test = table.standard[seed]
    return frame.iloc[train], table.target[train], frame.iloc[test], table.target[test]


def main() -> None:
    """Every set and seed."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sets", nargs="+", default=["adult", "power"])
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--threads", type=int, default=1)
    told = arguments.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(told.threads)
    content: dict[str, Any] = {"environment": environment("scikit-learn"), "rows": {}}
    for name in told.sets:
        every = list[dict[str, Measures]]()
        for seed in range(told.seeds):
            every.append(runs(*split_of(name, seed), seed))
            print(f"{name}, seed {seed}: {every[-1]}", flush=True)
        content["rows"][name] = {
            who: {
                key: [statistics.mean(values), *values]
                for key in every[0][who]
                for values in [[run[who][key] for run in every]]
            }
            for who in every[0]
        }
        print(record("distill", content))


if __name__ == "__main__":
    main()
