"""`update_table` on a stream of twenty chunks of a real table, beside refitting from scratch.

    python benchmarks/continual_tables.py [--streams power-drift movielens ...] [--seeds 3]

Streams:

- ``power-drift``: UCI power by the rank of its first feature and noise: later rows are elsewhere;
- ``power``: the same rows in random order;
- ``movielens``: the earliest 20,000 ratings of MovieLens latest-small in order of time; users and
  films are categories, and new ones keep arriving;
- ``adult``: the training rows of Adult by the rank of age and noise; a class is predicted.

The first two chunks are fitted. Then each chunk is predicted before it is learnt, which is the
score: root mean squared error (of classes the share of errors) and log likelihood in nats a row. A
tenth of every chunk is never learnt; after a chunk is learnt, those of all earlier chunks say what
was forgotten. Refits are made after every third chunk, and all strategies are compared on the
chunks that follow those, with the same recipe of two members.

Strategies are paired by seed, which draws the order, the tenths and the networks. Results are
written after every run and not run again, unless ``--again``, so that it can be stopped.
"""

import argparse
import json
import statistics
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
import torch
from _measure import RESULTS, environment, record

from counterpoint.datasets import adult, movielens, uci
from counterpoint.recipe import Data, Network, Recipe, Update
from counterpoint.table import NumberPrediction, TableModel, fit_table, update_table

CHUNKS, BEGIN, EVERY = 20, 2, 3
"""Chunks a stream; those of the first fit; a refit after every so many learnt chunks."""

REFIT = "refit on all rows so far"
UPDATES = {
    "update": Update(),
    "update, forget 0.1": Update(forget=0.1),
    "update --deep": Update(deep=True),
    "update --deep, forget 0.2": Update(forget=0.2, deep=True),
}
NEWEST = "refit on the newest two chunks"
STRATEGIES = ("never updated", *UPDATES, NEWEST, REFIT)
REFITTED = (REFIT, NEWEST)


@dataclass(frozen=True)
class Stream:
    """Chunks of a table and how it is fitted.

    Attributes:
        learnt: rows of each chunk that may be learnt.
        held: the tenth of each that never is.
        recipe: of every strategy.
    """

    learnt: tuple[pd.DataFrame, ...]
    held: tuple[pd.DataFrame, ...]
    recipe: Recipe

    @classmethod
    def of(cls, frame: pd.DataFrame, data: Data, seed: int) -> "Stream":
        """Cut a frame, whose rows are in order, into chunks."""
        draw = np.random.default_rng(1000 + seed)
        learnt, held = list[pd.DataFrame](), list[pd.DataFrame]()
        for places in np.array_split(np.arange(len(frame)), CHUNKS):
            mixed = draw.permutation(places)
            tenth = len(mixed) // 10
            held.append(frame.iloc[mixed[:tenth]].reset_index(drop=True))
            learnt.append(frame.iloc[mixed[tenth:]].reset_index(drop=True))
        recipe = Recipe(replace(data, split="none"), Network(members=2))
        recipe = replace(recipe, training=replace(recipe.training, seed=seed))
        return cls(tuple(learnt), tuple(held), recipe)

    @property
    def target(self) -> str:
        """The column to predict."""
        return self.recipe.data.target[0]

    def chunk(self, place: int) -> pd.DataFrame:
        """All rows of a chunk."""
        return pd.concat([self.learnt[place], self.held[place]], ignore_index=True)


def power(seed: int, *, drift: bool) -> Stream:
    """UCI power, in drifting or random order."""
    found = uci("power")
    frame = pd.DataFrame(found.features, columns=["AT", "V", "AP", "RH"]).assign(PE=found.target)
    return Stream.of(_ordered(frame, "AT" if drift else None, seed), Data(target=("PE",)), seed)


def ratings(seed: int) -> Stream:
    """The earliest ratings of MovieLens, in order of time."""
    frame, _ = movielens()
    frame = frame.sort_values("timestamp", kind="stable").head(20_000)
    when = pd.to_datetime(frame.timestamp, unit="s")
    frame = frame.assign(hour=when.dt.hour, weekday=when.dt.dayofweek).drop(columns="timestamp")
    data = Data(
        target=("rating",), kinds={"rating": "number", "userId": "category", "movieId": "category"}
    )
    return Stream.of(frame, data, seed)


def incomes(seed: int) -> Stream:
    """Adult, its own training rows, by age."""
    frame, _ = adult()
    target = str(frame.columns[-1])
    return Stream.of(_ordered(frame, "age", seed), Data(target=(target,)), seed)


def _ordered(frame: pd.DataFrame, by: str | None, seed: int) -> pd.DataFrame:
    """By the rank of a column, plus noise of 0.3 of the ranks; by noise alone if there is none."""
    noise = 0.3 * np.random.default_rng(seed).normal(size=len(frame))
    key = noise if by is None else frame[by].rank(pct=True).to_numpy() + noise
    return frame.iloc[np.argsort(key)].reset_index(drop=True)


STREAMS: dict[str, Callable[[int], Stream]] = {
    "power-drift": lambda seed: power(seed, drift=True),
    "power": lambda seed: power(seed, drift=False),
    "movielens": ratings,
    "adult": incomes,
}


@cache
def begun(name: str, seed: int) -> tuple[Stream, TableModel, list[float]]:
    """A stream, the first fit and what it took; the same for all strategies."""
    stream = STREAMS[name](seed)
    model, seconds = timed(lambda: _fitted(stream, range(BEGIN)))
    return stream, model, seconds


def timed(make: Callable[[], TableModel]) -> tuple[TableModel, list[float]]:
    """What a function makes, and its seconds: of the clock, and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    made = make()
    seconds = [time.perf_counter() - clock, time.process_time() - processor]
    return made, [round(value, 3) for value in seconds]


def _fitted(stream: Stream, places: Sequence[int]) -> TableModel:
    rows = pd.concat([stream.learnt[place] for place in places], ignore_index=True)
    return fit_table(rows, stream.recipe)


def score(model: TableModel, frame: pd.DataFrame, target: str) -> list[float]:
    """Error and log likelihood a row."""
    found = model.predict(frame)[target]
    if isinstance(found, NumberPrediction):
        truth = frame[target].to_numpy(float)
        apart = (truth - found.mean) / found.std
        each = -0.5 * apart**2 - np.log(found.std) - 0.5 * np.log(2 * np.pi)
        return [float(np.sqrt(((truth - found.mean) ** 2).mean())), float(each.mean())]
    truth = frame[target].astype(str).to_numpy()
    places = {level: place for place, level in enumerate(found.classes)}
    p = [
        row[places[t]] if t in places else 0.0
        for row, t in zip(found.probabilities, truth, strict=True)
    ]
    each = np.log(np.clip(p, 1e-12, 1))
    return [float((found.best != truth).mean()), float(each.mean())]


def one(name: str, strategy: str, seed: int) -> dict[str, Any]:
    """One strategy through one stream: a row for each chunk after which it may be asked."""
    stream, model, seconds = begun(name, seed)
    rows = list[dict[str, Any]]()
    for last in range(BEGIN - 1, CHUNKS - 1):
        if last >= BEGIN:
            if strategy in REFITTED and last % EVERY:
                continue
            model, seconds = _learnt(stream, model, strategy, last)
        earlier = pd.concat(stream.held[:last], ignore_index=True)
        rows.append(
            {
                "last learnt": last,
                "next chunk": score(model, stream.chunk(last + 1), stream.target),
                "earlier rows": score(model, earlier, stream.target),
                "seconds": seconds,
            }
        )
    return {"rows": rows, "chunk": len(stream.chunk(0))}


def _learnt(
    stream: Stream, model: TableModel, strategy: str, last: int
) -> tuple[TableModel, list[float]]:
    if strategy in UPDATES:
        return timed(lambda: update_table(model, stream.learnt[last], UPDATES[strategy]))
    if strategy in REFITTED:
        first = 0 if strategy == REFIT else last + 1 - BEGIN
        return timed(lambda: _fitted(stream, range(first, last + 1)))
    return model, [0.0, 0.0]


def summary(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One entry a strategy, over chunks that follow a refit: mean and standard error over seeds."""
    means = {
        strategy: {seed: _means(run) for seed, run in found.items() if "rows" in run}
        for strategy, found in runs.items()
    }
    base = means.get(REFIT, {})
    result = dict[str, Any]()
    for strategy, found in means.items():
        if not found:
            continue
        row = dict[str, Any]()
        for key in ("error", "log likelihood", "error, earlier", "log likelihood, earlier"):
            row[key] = spread([run[key] for run in found.values()])
            apart = [run[key] - base[seed][key] for seed, run in found.items() if seed in base]
            row[f"{key}, minus refit"] = spread(apart)
        row["seconds a chunk"] = spread([run["seconds"] for run in found.values()])
        times = [
            run["seconds"] / base[seed]["seconds"] for seed, run in found.items() if seed in base
        ]
        row["time, to refit"] = spread(times)
        result[strategy] = row
    return result


def _means(run: Mapping[str, Any]) -> dict[str, float]:
    rows = [row for row in run["rows"] if row["last learnt"] % EVERY == 0]
    places = {"": "next chunk", ", earlier": "earlier rows"}
    found = {
        f"{measure}{suffix}": statistics.mean(row[key][place] for row in rows)
        for suffix, key in places.items()
        for place, measure in enumerate(("error", "log likelihood"))
    }
    return found | {"seconds": statistics.mean(row["seconds"][1] for row in rows)}


def spread(values: Sequence[float]) -> list[float]:
    """Mean, standard error of the mean, how many."""
    if not values:
        return [float("nan"), float("nan"), 0]
    error = statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else float("nan")
    return [round(statistics.mean(values), 4), round(error, 4), len(values)]


def show(name: str, found: Mapping[str, Any]) -> None:
    """Print a table."""
    print(f"\n{name}: error and log likelihood of the next chunk; minus refit, paired; of earlier")
    for strategy, row in found.items():
        parts = [
            f"{row[key][0]:8.3f} ± {row[key][1]:.3f} ({row[f'{key}, minus refit'][0]:+.3f}"
            f" ± {row[f'{key}, minus refit'][1]:.3f})"
            for key in ("error", "log likelihood", "error, earlier", "log likelihood, earlier")
        ]
        times = f"{row['seconds a chunk'][0]:6.2f} s, {row['time, to refit'][0]:.3f}x"
        print(f"  {strategy:32}{' '.join(parts)} {times}")


def main() -> None:
    """Every run that is not there yet; written after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", nargs="+", choices=list(STREAMS), default=list(STREAMS))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--again", action="store_true")
    told = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    before = RESULTS / "continual_tables.json"
    content: dict[str, Any] = json.loads(before.read_text()) if before.exists() else {}
    content["environment"] = environment()
    jobs = [(n, s, seed) for seed in told.seeds for n in told.streams for s in told.strategies]
    for name, strategy, seed in jobs:
        known = content.setdefault("streams", {}).setdefault(name, {"runs": {}})
        runs = known["runs"].setdefault(strategy, {})
        if str(seed) in runs and not told.again:
            continue
        try:
            runs[str(seed)] = one(name, strategy, seed)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            runs[str(seed)] = {"failed": traceback.format_exc()}
            print(f"{name}, seed {seed}, {strategy}: {error!r}", flush=True)
        known["summary"] = summary(known["runs"])
        record("continual_tables", content)
        print(f"{name}, seed {seed}: {strategy}", flush=True)
    for name in told.streams:
        show(name, content["streams"][name]["summary"])


if __name__ == "__main__":
    main()
