"""Adult, its own split and published test file, all 14 columns: error and fit time beside peers.

    python benchmarks/adult.py [--seeds 3] [--threads 1] [--once catboost]

Peers at their defaults: scikit-learn's `HistGradientBoostingClassifier` and `MLPClassifier`
(one-hot), and CatBoost, LightGBM, XGBoost and fastai's tabular learner where they are installed.
Every fit starts from the same raw frame; seconds are of the processor, encoding included, and their
ratios to counterpoint's of the same seed. Nothing was chosen on these test rows.
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
from _measure import environment, installed, record
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import counterpoint as cp
from counterpoint.datasets import adult

Fit = Callable[[pd.DataFrame, np.ndarray, pd.DataFrame, int], np.ndarray]
"""From training rows, labels, test rows and a seed to probabilities (rows, 2)."""


def counterpoint(x: pd.DataFrame, y: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """The defaults."""
    return cp.TableClassifier(random_state=seed).fit(x, y).predict_proba(test)


def one_member(x: pd.DataFrame, y: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """One network instead of four."""
    return cp.TableClassifier(members=1, random_state=seed).fit(x, y).predict_proba(test)


def trees(x: pd.DataFrame, y: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """Gradient-boosted trees."""
    encode = make_column_transformer(
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            make_column_selector(dtype_exclude=np.number),
        ),
        remainder="passthrough",
    )
    model = make_pipeline(encode, HistGradientBoostingClassifier(random_state=seed))
    return model.fit(x, y).predict_proba(test)


def catboost(x: pd.DataFrame, y: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """CatBoost, told which columns are categories."""
    from catboost import CatBoostClassifier

    names = [c for c in x.columns if not pd.api.types.is_numeric_dtype(x[c])]
    x, test = (frame.astype(dict.fromkeys(names, object)).fillna("") for frame in (x, test))
    model = CatBoostClassifier(
        random_seed=seed, cat_features=names, verbose=False, allow_writing_files=False,
        thread_count=torch.get_num_threads(),
    )  # fmt: skip
    return model.fit(x, y).predict_proba(test)


def lightgbm(x: pd.DataFrame, y: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """LightGBM, categories as pandas has them."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(random_state=seed, n_jobs=torch.get_num_threads(), verbose=-1)
    return np.asarray(model.fit(*_coded(x, x), y).predict_proba(*_coded(test, x)))


def xgboost(x: pd.DataFrame, y: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """XGBoost, categories as pandas has them."""
    from xgboost import XGBClassifier

    model = XGBClassifier(
        random_state=seed, n_jobs=torch.get_num_threads(), enable_categorical=True
    )
    return model.fit(*_coded(x, x), y).predict_proba(*_coded(test, x))


def _coded(frame: pd.DataFrame, train: pd.DataFrame) -> tuple[pd.DataFrame]:
    """Texts as categories with the levels of the training rows."""
    names = [c for c in train.columns if not pd.api.types.is_numeric_dtype(train[c])]
    kinds = {c: pd.CategoricalDtype(sorted(train[c].dropna().unique())) for c in names}
    return (frame.astype(kinds),)


def mlp(x: pd.DataFrame, y: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """scikit-learn's network on one-hot columns, early stopping on."""
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude=np.number)),
        (StandardScaler(), make_column_selector(dtype_include=np.number)),
    )
    model = make_pipeline(encode, MLPClassifier(early_stopping=True, random_state=seed))
    return model.fit(x, y).predict_proba(test)


def fastai(x: pd.DataFrame, y: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """The tabular learner of fastai as its tutorial uses it, five one-cycle epochs."""
    from fastai.tabular.all import (
        Categorify,
        CategoryBlock,
        FillMissing,
        Normalize,
        TabularDataLoaders,
        set_seed,
        tabular_learner,
    )

    set_seed(seed)
    numbers = [str(c) for c in x.columns if pd.api.types.is_numeric_dtype(x[c])]
    names = [str(c) for c in x.columns if c not in numbers]
    frame = x.astype(dict.fromkeys(numbers, "float32")).assign(income=y)
    held = list(np.random.default_rng(seed).permutation(len(frame))[: len(frame) // 5])
    loaders = TabularDataLoaders.from_df(
        frame, procs=[Categorify, FillMissing, Normalize], cat_names=names, cont_names=numbers,
        y_names="income", y_block=CategoryBlock(), valid_idx=held, bs=256, num_workers=0,
    )  # fmt: skip
    learner = tabular_learner(loaders, layers=[200, 100])
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(5, 1e-2)
        rows = loaders.test_dl(test.astype(dict.fromkeys(numbers, "float32")))
        found, _ = learner.get_preds(dl=rows)
    return found.numpy().astype(float)


def main() -> None:
    """Fit every case with every seed, in turns."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--once", nargs="*", default=[], help="cases of the first seed alone")
    told = arguments.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(told.threads)
    train, test = adult()
    target = str(train.columns[-1])
    y, truth = (np.asarray(f[target].astype(str).str.startswith(">"), int) for f in (train, test))
    x, probe = train.drop(columns=target), test.drop(columns=target)
    cases: dict[str, Fit] = {
        "counterpoint": counterpoint,
        "counterpoint, one member": one_member,
        "boosted trees (scikit-learn)": trees,
        "MLPClassifier (scikit-learn)": mlp,
    }
    peers = {"catboost": catboost, "lightgbm": lightgbm, "xgboost": xgboost, "fastai": fastai}
    cases |= {name: fit for name, fit in peers.items() if installed(name)}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    for seed in range(told.seeds):
        for name, fit in cases.items():
            if seed and name in told.once:
                continue
            start = time.process_time()
            p = fit(x, y, probe, seed)
            seconds = time.process_time() - start
            accuracy, loss = accuracy_score(truth, p.argmax(1)), log_loss(truth, p)
            run = {"accuracy": float(accuracy), "log loss": float(loss), "seconds": seconds}
            found[name].append(run)
            print(f"seed {seed}  {name}: {run}", flush=True)
    rows = {name: _row(runs, found["counterpoint"]) for name, runs in found.items()}
    for name, row in rows.items():
        print(
            f"{name:30s} accuracy {row['accuracy']:.4f} ± {row['accuracy_sd']:.4f}"
            f"  log loss {row['log loss']:.4f} ± {row['log loss_sd']:.4f}"
            f"  time {row['time_ratio']:.2f}x ({row['seconds']:.1f} s)"
        )
    content = {"environment": environment("scikit-learn", *peers), "rows": rows, "runs": found}
    print(record("adult", content))


def _row(runs: list[dict[str, float]], base: list[dict[str, float]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key in ("accuracy", "log loss"):
        values = [run[key] for run in runs]
        row[key] = statistics.mean(values)
        row[f"{key}_sd"] = statistics.stdev(values) if len(values) > 1 else 0.0
    row["seconds"] = statistics.median(run["seconds"] for run in runs)
    row["time_ratio"] = statistics.median(
        run["seconds"] / other["seconds"] for run, other in zip(runs, base, strict=False)
    )
    return row


if __name__ == "__main__":
    main()
