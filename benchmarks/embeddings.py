"""Adult's published test rows: neighbours, forests and boosting on one-hot codes and embeddings.

    python benchmarks/embeddings.py [--seeds 3]

Embeddings are those of `TableEmbedder` at its defaults; the other models are scikit-learn's, with
25 neighbours and 200 trees and else at their defaults, the same on either input. One-hot inputs
have standardised numbers beside. Nothing is chosen on the test rows. The pattern held against is
that of Guo & Berkhahn (2016): embeddings help each of them.
"""

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from _measure import environment, record
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from counterpoint.datasets import adult
from counterpoint.table import TableClassifier, TableEmbedder

TARGET = "income"


def models(seed: int) -> dict[str, Any]:
    """The models that read numbers alone."""
    return {
        "neighbours": KNeighborsClassifier(25),
        "forest": RandomForestClassifier(200, random_state=seed),
        "boosting": HistGradientBoostingClassifier(random_state=seed),
    }


def one_hot(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """A column a level, and standardised numbers."""
    words = [name for name in train if not pd.api.types.is_numeric_dtype(train[name])]
    numbers = [name for name in train if name not in words]
    coder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
        (StandardScaler(), numbers),
    )
    return coder.fit_transform(train[words + numbers]), coder.transform(test[words + numbers])


def main() -> None:
    """Every model, every seed, both inputs."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seeds", type=int, default=3)
    told = arguments.parse_args()
    torch.set_num_threads(1)
    train, test = adult()
    target = TARGET if TARGET in train else train.columns[-1]
    x, y = train.drop(columns=target), (train[target] == train[target].max()).to_numpy()
    test_x, truth = test.drop(columns=target), (test[target] == train[target].max()).to_numpy()
    runs: dict[str, list[dict[str, float]]] = {}
    for seed in range(told.seeds):
        start = time.process_time()
        embedder = TableEmbedder(TableClassifier(members=1, random_state=seed)).fit(x, y)
        spent = time.process_time() - start
        share = embedder.estimator_.predict_proba(test_x)[:, 1]
        keep(runs, "the network itself", share, truth, spent)
        inputs = {
            "one-hot": one_hot(x, test_x),
            "embeddings": (embedder.transform(x), embedder.transform(test_x)),
        }
        for name, (left, right) in inputs.items():
            for kind, model in models(seed).items():
                start = time.process_time()
                share = model.fit(left, y).predict_proba(right)[:, 1]
                keep(runs, f"{kind}, {name}", share, truth, time.process_time() - start)
        for name, each in runs.items():
            print(seed, name, {k: round(v, 4) for k, v in each[-1].items()}, flush=True)
        record("embeddings", {"environment": environment("scikit-learn"), "rows": summary(runs)})


def keep(
    runs: dict[str, list[dict[str, float]]],
    name: str,
    share: np.ndarray,
    truth: np.ndarray,
    seconds: float,
) -> None:
    """Measure one run."""
    found = {
        "accuracy": float(accuracy_score(truth, share > 0.5)),
        # a neighbourhood without a class says never, which a logarithm cannot be taken of
        "log loss": float(log_loss(truth, share.clip(1e-3, 1 - 1e-3))),
        "seconds": seconds,
    }
    runs.setdefault(name, []).append(found)


def summary(runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Mean and deviation over seeds."""
    return {
        name: {
            key: {
                "mean": round(float(np.mean([run[key] for run in each])), 4),
                "sd": round(float(np.std([run[key] for run in each])), 4),
            }
            for key in each[0]
        }
        for name, each in runs.items()
    }


if __name__ == "__main__":
    main()
