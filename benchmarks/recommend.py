"""MovieLens latest-small, a random tenth held out: error and cost beside a loop and Surprise.

    python benchmarks/recommend.py [--seeds 3]

`Recommender` at its defaults; nothing is chosen on the held-out ratings. The loop is the usual one
of a lesson: embeddings of 40 with biases in a sigmoid, AdamW, one cycle, five epochs of batches of
64. Surprise's algorithms, at their defaults, run where it is installed. Seconds are of the
processor, all in one process and in turns.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from _measure import environment, installed, record
from torch.nn.functional import mse_loss

from counterpoint.datasets import movielens
from counterpoint.estimators import Recommender

EPOCHS, BATCH, RATE, DECAY, WIDTH = 5, 64, 5e-3, 0.1, 40
Split = tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]
Measured = dict[str, float]


def split(seed: int) -> Split:
    """Nine tenths to learn from, and the rest."""
    ratings, _ = movielens()
    order = torch.randperm(len(ratings), generator=torch.Generator().manual_seed(seed)).numpy()
    test, train = order[: len(order) // 10], order[len(order) // 10 :]
    pairs, stars = ratings[["userId", "movieId"]], ratings["rating"].to_numpy()
    return pairs.iloc[train], stars[train], pairs.iloc[test], stars[test]


def recommender(rows: Split, seed: int, factors: int = 20) -> Measured:
    """Ours: the error, honesty, and the cost of a sweep."""
    pairs, stars, asked, truth = rows
    start = time.process_time()
    model = Recommender(factors=factors, random_state=seed).fit(pairs, stars)
    seconds = time.process_time() - start
    start = time.process_time()
    Recommender(factors=factors, sweeps=4, random_state=seed).fit(pairs, stars)
    four = time.process_time() - start
    found = model.predictive(asked)
    low, high = found.interval(0.9)
    target = torch.from_numpy(truth)[:, None]
    return {
        "RMSE": rmse(model.predict(asked), truth),
        "log likelihood": float(found.log_prob(target).mean()),
        "coverage of 90 %": float(((low <= target) & (target <= high)).double().mean()),
        "seconds": seconds,
        "seconds a pass": four / 4,  # reading the ids and the last half sweep along
        "sweeps": model.sweeps_,
    }


def loop(rows: Split, seed: int) -> Measured:
    """The usual loop, fifteen lines of it."""
    pairs, stars, asked, truth = rows
    people, things = (
        {name: code for code, name in enumerate(pd.concat([pairs, asked])[column].unique())}
        for column in pairs.columns
    )
    coded = [
        torch.tensor(np.stack([one.iloc[:, 0].map(people), one.iloc[:, 1].map(things)]))
        for one in (pairs, asked)
    ]
    (user, item), (test_user, test_item) = coded
    y = torch.tensor(stars, dtype=torch.float32)
    torch.manual_seed(seed)
    start = time.process_time()
    sizes = [(len(people), WIDTH), (len(things), WIDTH)]
    p, q = (torch.nn.init.trunc_normal_(torch.empty(s), std=0.01).requires_grad_() for s in sizes)
    a, b = (torch.zeros(size[0], requires_grad=True) for size in sizes)
    optimiser = torch.optim.AdamW([p, q, a, b], lr=RATE, weight_decay=DECAY, fused=True)
    steps = EPOCHS * -(-len(y) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)

    def predicted(u: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
        return 5.5 * torch.sigmoid((p[u] * q[i]).sum(1) + a[u] + b[i])

    for _ in range(EPOCHS):
        for at in torch.randperm(len(y)).split(BATCH):
            loss = mse_loss(predicted(user[at], item[at]), y[at])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    seconds = time.process_time() - start
    with torch.no_grad():
        guess = predicted(test_user, test_item).numpy().clip(stars.min(), stars.max())
    return {
        "RMSE": rmse(guess, truth),
        "seconds": seconds,
        "seconds a pass": seconds / EPOCHS,
    }


def surprise(algorithm: str, rows: Split, seed: int) -> Measured:
    """One of Surprise's algorithms, at its defaults."""
    import surprise as peer

    pairs, stars, asked, truth = rows
    reader = peer.Reader(rating_scale=(stars.min(), stars.max()))
    train = peer.Dataset.load_from_df(pairs.assign(rating=stars), reader).build_full_trainset()
    start = time.process_time()
    settings = {"verbose": False} if algorithm == "KNNBaseline" else {}
    drawn = {"random_state": seed} if algorithm in ("SVD", "SVDpp", "NMF") else {}
    model = getattr(peer, algorithm)(**settings, **drawn)
    model.fit(train)
    seconds = time.process_time() - start
    guess = [model.predict(*pair).est for pair in asked.itertuples(index=False)]
    return {"RMSE": rmse(np.array(guess), truth), "seconds": seconds}


def rmse(guess: np.ndarray, truth: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean((guess - truth) ** 2)))


def cases() -> dict[str, Callable[[Split, int], Measured]]:
    """Every model by its name."""
    found: dict[str, Callable[[Split, int], Measured]] = {
        "Recommender()": recommender,
        "Recommender(factors=0)": lambda rows, seed: recommender(rows, seed, 0),
        "the loop": loop,
    }
    if installed("scikit-surprise"):
        # SVDpp takes 53 seconds a fit, for 0.8572 with the first seed
        for name in ("BaselineOnly", "KNNBaseline", "NMF", "SVD"):
            found[f"Surprise {name}"] = lambda rows, seed, name=name: surprise(name, rows, seed)
    return found


def main() -> None:
    """Every model, every seed."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seeds", type=int, default=3)
    told = arguments.parse_args()
    torch.set_num_threads(1)
    runs: dict[str, list[Measured]] = {name: [] for name in cases()}
    for seed in range(told.seeds):
        rows = split(seed)
        for name, run in cases().items():
            runs[name].append(run(rows, seed))
            print(seed, name, {k: round(v, 4) for k, v in runs[name][-1].items()}, flush=True)
    record("recommend", {"environment": environment("scikit-surprise"), **_summary(runs)})


def _summary(runs: dict[str, list[Measured]]) -> dict[str, Any]:
    rows = {
        name: {
            key: {
                "mean": round(float(np.mean([run[key] for run in each])), 4),
                "sd": round(float(np.std([run[key] for run in each])), 4),
            }
            for key in each[0]
        }
        for name, each in runs.items()
    }
    passes = [
        [run["seconds a pass"] for run in runs[name]] for name in ("Recommender()", "the loop")
    ]
    ratio = [round(ours / theirs, 3) for ours, theirs in zip(*passes, strict=True)]
    return {"seeds": len(ratio), "a sweep over an epoch of the loop": ratio, "rows": rows}


if __name__ == "__main__":
    main()
