"""Who knows that it does not know? UCI regression with a gap, six methods, equal tuning.

    python benchmarks/luna_gap.py [--sets concrete energy power wine] [--seeds 5] [--standard 3]

A gap split tests on the middle third of the rows sorted by one feature and learns from the rest
(Foong et al. 2019); there is one a feature. Every method has the same network (two SiLU layers of
50), the same number of steps and four settings to choose from; it chooses by the log likelihood of
an inner gap, cut in the same way out of the training rows by another feature, with one seed. Means
and standard errors are over the splits of the mean over seeds. Standard splits beside, with the
settings that the gap splits of the set chose most often.

Results are written after every set, so that a run can be stopped.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import ceil, log, pi, sqrt
from typing import Any

import numpy as np
import torch
from _measure import RESULTS, environment, record
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.data import Batch, Tensors
from counterpoint.datasets import UCI_NAMES, uci
from counterpoint.estimators import GapSplit, LunaRegressor, NeuralLinearRegressor
from counterpoint.goals import Normal
from counterpoint.nn import plain_trunk
from counterpoint.posterior import laplace
from counterpoint.seeding import derive, seeded
from counterpoint.train import Training, fit

WIDTH, DEPTH, BATCH, STEPS, HEADS = 50, 2, 64, 1200, 20
ACTIVATION = "silu"
DECAYS = (0.0, 0.01, 0.1, 1.0)
DRAWS = 50


@dataclass(frozen=True)
class Rows:
    """Rows to learn from and rows to be tested on."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, split: tuple[np.ndarray, np.ndarray]) -> "Rows":
        """By row numbers (train, test)."""
        train, test = split
        return cls(x[train], y[train], x[test], y[test])


@dataclass(frozen=True)
class Forecast:
    """Mean and the two standard deviations of test rows; knowledge of the training rows too."""

    mean: np.ndarray
    noise: np.ndarray
    knowledge: np.ndarray
    inside: np.ndarray


Setting = tuple[float, float]
Method = Callable[[Rows, Setting, int], Forecast]


def epochs(rows: int) -> int:
    """Passes that make `STEPS` steps."""
    return ceil(STEPS / ceil(rows / BATCH))


def estimated(model: Any, rows: Rows) -> Forecast:
    """Fit an estimator and ask it."""
    model.fit(rows.x, rows.y)
    found, inside = model.predictive(rows.x_test), model.predictive(rows.x)
    noise, knowledge = found.noise.sqrt()[:, 0], found.knowledge.sqrt()[:, 0]
    parts = (found.mean[:, 0], noise, knowledge, inside.knowledge.sqrt()[:, 0])
    return Forecast(*(part.numpy() for part in parts))


def neural_linear(rows: Rows, setting: Setting, seed: int) -> Forecast:
    """The neural linear model."""
    model = NeuralLinearRegressor(
        width=WIDTH, depth=DEPTH, activation=ACTIVATION, epochs=epochs(len(rows.x)),
        batch_size=BATCH, weight_decay=setting[0], random_state=seed,
    )  # fmt: skip
    return estimated(model, rows)


def luna(rows: Rows, setting: Setting, seed: int) -> Forecast:
    """Diverse heads; without diversity for a second value of zero."""
    model = LunaRegressor(
        width=WIDTH, depth=DEPTH, activation=ACTIVATION, heads=HEADS, diversity=setting[1],
        epochs=epochs(len(rows.x)), batch_size=BATCH, weight_decay=setting[0], random_state=seed,
    )  # fmt: skip
    return estimated(model, rows)


@dataclass(frozen=True)
class Scaled:
    """Standardised tensors, and the way back."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    shift: float
    scale: float

    @classmethod
    def of(cls, rows: Rows) -> "Scaled":
        """By the training rows' mean and deviation."""
        middle, spread = rows.x.mean(0), rows.x.std(0)
        spread = np.where(spread > 0, spread, 1.0)
        shift, scale = float(rows.y.mean()), float(rows.y.std())
        x, far = ((part - middle) / spread for part in (rows.x, rows.x_test))
        y = (rows.y - shift) / scale
        parts = (torch.tensor(part, dtype=torch.float32) for part in (x, y[:, None], far))
        return cls(*parts, shift, scale)

    def forecast(self, mean: Tensor, noise: Tensor, knowledge: Tensor, inside: Tensor) -> Forecast:
        """From variances of standardised targets."""
        known, seen = knowledge.clamp_min(0.0).sqrt(), inside.clamp_min(0.0).sqrt()
        found = (mean * self.scale + self.shift, noise.sqrt() * self.scale)
        parts = (*found, known * self.scale, seen * self.scale)
        return Forecast(*(part.detach().double().numpy() for part in parts))


def trained(
    data: Scaled, setting: Setting, seed: int, *, outputs: int = 1, dropout: float = 0.0
) -> nn.Sequential:
    """A network fitted by the squared error, or by its own variance with two outputs."""
    with seeded(derive(seed, 1)):
        trunk = plain_trunk(data.x.shape[1], WIDTH, DEPTH, dropout=dropout, activation=nn.SiLU)
        model = nn.Sequential(trunk, nn.Linear(WIDTH, outputs))

    def goals(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        out = net(batch["x"])
        mean, target = out[:, :1], batch["y"]
        if outputs == 1:
            return {"fit": 0.5 * (mean - target).square().mean()}
        variance = functional.softplus(out[:, 1:]) + 1e-6
        return {"fit": functional.gaussian_nll_loss(mean, target, variance)}

    settings = Training(
        epochs=epochs(len(data.x)), batch_size=BATCH, rate=0.01, weight_decay=setting[0], seed=seed
    )
    fit(model, goals, Tensors({"x": data.x, "y": data.y}), settings, progress=False)
    return model.eval()


def ensemble(rows: Rows, setting: Setting, seed: int, members: int = 5) -> Forecast:
    """Deep ensemble (Lakshminarayanan et al. 2017): every member has its own variance."""
    data = Scaled.of(rows)
    nets = [trained(data, setting, derive(seed, place), outputs=2) for place in range(members)]
    with torch.no_grad():
        test, seen = (torch.stack([net(x) for net in nets]) for x in (data.x_test, data.x))
    noise = (functional.softplus(test[..., 1]) + 1e-6).mean(0)
    spread = test[..., 0].var(0, unbiased=False), seen[..., 0].var(0, unbiased=False)
    return data.forecast(test[..., 0].mean(0), noise, *spread)


def last_layer_laplace(rows: Rows, setting: Setting, seed: int) -> Forecast:
    """Laplace of the last layer around the trained head, its prior by the evidence."""
    data = Scaled.of(rows)
    net = trained(data, setting, seed)
    with torch.no_grad():
        noise = (net(data.x) - data.y).square().mean().clamp_min(1e-6)
    found = laplace(
        net, Normal(float(noise)), [(data.x, data.y)], parameters="1.*", structure="dense"
    )
    test, seen = found.predict(data.x_test), found.predict(data.x)
    return data.forecast(
        test.mean[:, 0], noise.expand(len(test.mean)), test.knowledge[:, 0], seen.knowledge[:, 0]
    )


def mc_dropout(rows: Rows, setting: Setting, seed: int) -> Forecast:
    """Dropout left on (Gal & Ghahramani 2016); the noise from the residuals of the mean."""
    data = Scaled.of(rows)
    net = trained(data, setting, seed, dropout=setting[1]).train()
    with torch.no_grad(), seeded(derive(seed, 2)):
        test, seen = (
            torch.stack([net(x)[:, 0] for _ in range(DRAWS)]) for x in (data.x_test, data.x)
        )
    noise = (seen.mean(0) - data.y[:, 0]).square().mean().clamp_min(1e-6)
    return data.forecast(test.mean(0), noise.expand(test.shape[1]), test.var(0), seen.var(0))


DECAYED: tuple[Setting, ...] = tuple((decay, 0.0) for decay in DECAYS)
METHODS: dict[str, tuple[Method, Sequence[Setting]]] = {
    "neural linear": (neural_linear, DECAYED),
    "heads, no diversity": (luna, DECAYED),
    "LUNA": (luna, tuple(product((0.01, 0.3), (0.1, 1.0)))),
    "deep ensemble of 5": (ensemble, DECAYED),
    "last-layer Laplace": (last_layer_laplace, DECAYED),
    "MC dropout": (mc_dropout, tuple(product((0.01, 0.3), (0.05, 0.2)))),
}
"""Each method, and the four (weight decay, own number) it may choose from."""


def scores(found: Forecast, rows: Rows) -> dict[str, float]:
    """What is reported of one fit."""
    error = rows.y_test - found.mean
    variance = found.noise**2 + found.knowledge**2
    density = -0.5 * (error**2 / variance + np.log(variance) + log(2 * pi))
    known, seen = found.knowledge.mean(), found.inside.mean()
    return {
        "log likelihood": float(density.mean()),
        "RMSE": float(sqrt(np.mean(error**2))),
        "knowledge sd, test": float(known),
        "knowledge sd, training rows": float(seen),
        "coverage of 90 %": float(np.mean(np.abs(error) < 1.6449 * np.sqrt(variance))),
    }


def chosen(name: str, rows: Rows, feature: int) -> Setting:
    """The setting whose log likelihood in an inner gap is best; of an ensemble, one member's."""
    method, settings = METHODS[name]
    method = partial(ensemble, members=1) if method is ensemble else method
    inner = Rows.of(rows.x, rows.y, next(GapSplit([feature]).split(rows.x)))
    found = [scores(method(inner, setting, 100), inner)["log likelihood"] for setting in settings]
    return settings[int(np.argmax(found))]


def gap_split(name: str, place: int, seeds: int) -> dict[str, Any]:
    """One gap split: every method tuned, then fitted once a seed; means over the seeds."""
    torch.set_num_threads(1)
    table = uci(name)
    rows = Rows.of(table.features, table.target, table.gap[place])
    feature = (place + 1) % table.features.shape[1]
    settings = {method: chosen(method, rows, feature) for method in METHODS}
    return measured(rows, settings, seeds)


def standard_split(
    name: str, place: int, seeds: int, settings: Mapping[str, Setting]
) -> dict[str, Any]:
    """One standard split with given settings."""
    torch.set_num_threads(1)
    table = uci(name)
    rows = Rows.of(table.features, table.target, table.standard[place])
    return measured(rows, settings, seeds)


def measured(rows: Rows, settings: Mapping[str, Setting], seeds: int) -> dict[str, Any]:
    """Scores of every method, the mean over seeds."""
    found: dict[str, Any] = {}
    for method, setting in settings.items():
        runs = [scores(METHODS[method][0](rows, setting, seed), rows) for seed in range(seeds)]
        each = {key: statistics.mean(run[key] for run in runs) for key in runs[0]}
        spread = statistics.stdev(run["log likelihood"] for run in runs) if seeds > 1 else 0.0
        found[method] = {"setting": setting, "sd over seeds": spread, **each}
    return found


def together(splits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over splits: mean and standard error of every score, the median of the log likelihood."""
    found: dict[str, Any] = {}
    for method in METHODS:
        rows = [split[method] for split in splits]
        keys = [key for key in rows[0] if key != "setting"]
        found[method] = {
            key: [statistics.mean(row[key] for row in rows), error([row[key] for row in rows])]
            for key in keys
        }
        found[method]["median log likelihood"] = statistics.median(
            row["log likelihood"] for row in rows
        )
        found[method]["settings"] = [row["setting"] for row in rows]
    return found


def error(values: Sequence[float]) -> float:
    """Standard error of a mean."""
    return statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0


def commonest(splits: Sequence[Mapping[str, Any]]) -> dict[str, Setting]:
    """The setting that most splits of a set chose, method by method."""
    return {
        m: Counter(split[m]["setting"] for split in splits).most_common(1)[0][0] for m in METHODS
    }


def show(title: str, found: Mapping[str, Any]) -> None:
    """One line a method."""
    print(title)
    for method, row in found.items():
        cells = [
            f"{key} {value[0]:.3f} ± {value[1]:.3f}"
            for key, value in row.items()
            if key not in ("settings", "median log likelihood", "sd over seeds")
        ]
        print(f"  {method:20s} " + "  ".join(cells), flush=True)


def main() -> None:
    """Every set."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sets", nargs="+", default=list(UCI_NAMES))
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--standard", type=int, default=3, help="standard splits a set")
    arguments.add_argument("--gaps", type=int, default=99, help="gap splits a set, at most")
    arguments.add_argument("--processes", type=int, default=2)
    told = arguments.parse_args()
    kept = RESULTS / "luna_gap.json"  # sets that are not asked for stay as they were
    sets: dict[str, Any] = json.loads(kept.read_text())["sets"] if kept.exists() else {}
    with ProcessPoolExecutor(told.processes) as pool:
        for name in told.sets:
            start = time.time()
            places = range(min(told.gaps, uci(name).features.shape[1]))
            gaps = list(pool.map(partial(gap_split, name, seeds=told.seeds), places))
            settings = commonest(gaps)
            ask = partial(standard_split, name, seeds=told.seeds, settings=settings)
            plain = list(pool.map(ask, range(told.standard)))
            sets[name] = {"gap": together(gaps), "standard": together(plain)}
            show(f"{name}: {len(gaps)} gap splits", sets[name]["gap"])
            show(f"{name}: {told.standard} standard splits", sets[name]["standard"])
            sets[name]["seconds"] = round(time.time() - start)
            about = {"seeds": told.seeds, "steps": STEPS, "batch": BATCH, "heads": HEADS}
            record("luna_gap", {"environment": environment(), **about, "sets": sets})


if __name__ == "__main__":
    main()
