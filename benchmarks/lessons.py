"""The measurements that the lessons quote: too heavy for a page that is run as a test.

    python benchmarks/lessons.py [width] [decay] [labels] [heads] [dropout]

- width: test error of networks of 1 to 1,000 hidden units on 40 rows, with and without decay;
- decay: weight decay 0, 0.01, 0.1 and 0.3 on Adult and on MovieLens latest-small;
- labels: weights by confidence for noisy labels, digits of scikit-learn;
- heads: effective rank and CKA of hidden layers, with and without diverse heads;
- dropout: the scaled network against the average over masks, by depth.

Each part is written to benchmarks/results/lessons.json when it is done.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from _measure import record_parts
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.data import Batch, Tensors
from counterpoint.datasets import adult, cubic_gap, movielens
from counterpoint.derivatives import values_and_gradients
from counterpoint.goals import Goals, diversity
from counterpoint.nn import Embeddings, plain_trunk
from counterpoint.seeding import generator, seeded
from counterpoint.train import Training, fit, minimize

Part = dict[str, Any]
SEEDS = 3


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, deviation and number over seeds or draws."""
    deviation = stdev(values) if len(values) > 1 else 0.0
    return {"mean": mean(values), "deviation": deviation, "count": len(values)}


# Width: is it bad to have more parameters than rows?


def wave(x: Tensor) -> Tensor:
    """The function that is learnt."""
    return torch.sin(3 * x) + 0.3 * x


def width() -> Part:
    """40 rows with noise 0.3; full-batch minima; root mean square error on 1,000 clean rows."""
    found: Part = {"rows": 40, "noise": 0.3, "units": {}}
    for units in (1, 3, 5, 8, 13, 20, 40, 100, 300, 1000):
        each: dict[str, Any] = {"weights": 3 * units + 1}
        for name, decay in (("none", 0.0), ("decay", 1e-3)):
            train, test = zip(*(_fitted(units, decay, seed) for seed in range(SEEDS)), strict=True)
            each[name] = {"train": spread(train), "test": spread(test)}
        found["units"][str(units)] = each
        print("width", units, each, flush=True)
    return found


def _fitted(units: int, decay: float, seed: int) -> tuple[float, float]:
    draws = generator(seed)
    x = torch.rand(40, 1, generator=draws, dtype=torch.float64) * 4 - 2
    y = wave(x) + 0.3 * torch.randn(40, 1, generator=draws, dtype=torch.float64)
    with seeded(seed):
        model = plain_trunk(1, units, 1, activation=nn.Tanh)
        model = nn.Sequential(model, nn.Linear(units, 1)).double()

    def goals(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        squares = torch.stack([one.square().sum() for one in net.parameters()]).sum()
        fit_ = (net(batch["x"]) - batch["y"]).square().mean()
        return {"fit": fit_} | ({"decay": decay * squares} if decay else {})

    minimize(goals, model, {"x": x, "y": y}, method="l-bfgs", iterations=1000, progress=False)
    clean = torch.linspace(-2, 2, 1000, dtype=torch.float64)[:, None]
    with torch.no_grad():
        errors = [
            float((model(a) - b).square().mean().sqrt()) for a, b in ((x, y), (clean, wave(clean)))
        ]
    return errors[0], errors[1]


# Decay on two real tables.


def decay() -> Part:
    """Validation measures for four decays; rows held out of the training rows."""
    return {"adult": _adult(), "movielens": _movielens()}


class Census(nn.Module):
    """Embeddings and numbers into two hidden layers."""

    def __init__(self, levels: Sequence[int], numbers: int) -> None:
        super().__init__()
        self.embeddings = Embeddings(levels)
        trunk = plain_trunk(self.embeddings.width + numbers, 128, 2)
        self.rest = nn.Sequential(*trunk, nn.Linear(128, 2))

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """Two outputs a row."""
        return self.rest(torch.cat([self.embeddings(codes), numbers], -1))


def _adult() -> Part:
    table, _ = adult()
    target = (table.pop("income") == ">50K").to_numpy().astype("int64")
    words = table.select_dtypes(exclude="number").columns
    codes = np.stack([table[name].astype("category").cat.codes + 1 for name in words], 1)
    numbers = table.drop(columns=words).to_numpy("float64")
    numbers = (numbers - numbers.mean(0)) / numbers.std(0)
    levels = [int(column.max()) + 2 for column in codes.T]
    rows = {
        "codes": torch.tensor(codes.astype("int64")),
        "numbers": torch.tensor(numbers, dtype=torch.float32),
        "y": torch.tensor(target),
    }

    def goals(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {"fit": functional.cross_entropy(net(batch["codes"], batch["numbers"]), batch["y"])}

    def scores(net: nn.Module, held: Mapping[str, Tensor]) -> dict[str, float]:
        out = net(held["codes"], held["numbers"])
        loss = float(functional.cross_entropy(out, held["y"]))
        return {"accuracy": float((out.argmax(1) == held["y"]).float().mean()), "nll": loss}

    return _sweep(rows, lambda: Census(levels, numbers.shape[1]), goals, scores, 256, 0.005, 10)


class Factors(nn.Module):
    """A rating as a product of factors of user and film, and a bias of each."""

    def __init__(self, users: int, films: int, width: int = 40) -> None:
        super().__init__()
        self.factors = nn.ModuleList([nn.Embedding(users, width), nn.Embedding(films, width)])
        self.biases = nn.ModuleList([nn.Embedding(users, 1), nn.Embedding(films, 1)])
        for table in (*self.factors, *self.biases):
            nn.init.trunc_normal_(table.weight, std=0.01)

    def forward(self, ids: Tensor) -> Tensor:
        """Ratings between 0 and 5.5."""
        pairs = [
            (f(ids[:, j]), b(ids[:, j]))
            for j, (f, b) in enumerate(zip(self.factors, self.biases, strict=True))
        ]
        (user, one), (film, two) = pairs
        return 5.5 * ((user * film).sum(-1) + one[:, 0] + two[:, 0]).sigmoid()


def _movielens() -> Part:
    ratings, _ = movielens()
    ids = np.stack(
        [np.unique(ratings[name], return_inverse=True)[1] for name in ("userId", "movieId")], 1
    )
    rows = {
        "ids": torch.tensor(ids.astype("int64")),
        "y": torch.tensor(ratings["rating"].to_numpy("float32")),
    }
    users, films = (int(column.max()) + 1 for column in ids.T)

    def goals(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {"fit": functional.mse_loss(net(batch["ids"]), batch["y"])}

    def scores(net: nn.Module, held: Mapping[str, Tensor]) -> dict[str, float]:
        return {"rmse": float(functional.mse_loss(net(held["ids"]), held["y"]).sqrt())}

    return _sweep(rows, lambda: Factors(users, films), goals, scores, 256, 0.01, 5)


def _sweep(
    rows: Mapping[str, Tensor],
    model: Callable[[], nn.Module],
    goals: Goals,
    scores: Callable[[nn.Module, Mapping[str, Tensor]], dict[str, float]],
    batch: int,
    rate: float,
    epochs: int,
) -> Part:
    """AdamW under one-cycle, 90 of 100 rows; three seeds, each with a split of its own."""
    found: Part = {"batch": batch, "rate": rate, "epochs": epochs, "decays": {}}
    for weight in (0.0, 0.01, 0.1, 0.3, 1.0):
        each: dict[str, list[float]] = {}
        for seed in range(3):
            order = torch.randperm(len(rows["y"]), generator=generator(seed))
            held, kept = order[: len(order) // 10], order[len(order) // 10 :]
            with seeded(seed):
                net = model()
            settings = Training(
                epochs=epochs, batch_size=batch, rate=rate, weight_decay=weight, seed=seed
            )
            fit(
                net, goals, Tensors({k: v[kept] for k, v in rows.items()}), settings, progress=False
            )
            with torch.no_grad():
                for name, value in scores(
                    net.eval(), {k: v[held] for k, v in rows.items()}
                ).items():
                    each.setdefault(name, []).append(value)
        found["decays"][f"{weight:g}"] = {name: spread(values) for name, values in each.items()}
        print("decay", weight, found["decays"][f"{weight:g}"], flush=True)
    return found


# Noisy labels: do weights from confidence help?


def labels() -> Part:
    """A share of the training labels is replaced; rows are then weighted, or not."""
    digits = load_digits()
    found: Part = {}
    for noise in (0.0, 0.2, 0.4):
        each: dict[str, list[float]] = {}
        for seed in range(SEEDS):
            x, test, y, truth = train_test_split(
                digits.data / 16, digits.target, test_size=0.5, random_state=seed
            )
            for name, value in _weighted(x, y, test, truth, noise, seed).items():
                each.setdefault(name, []).append(value)
        found[f"{noise:g}"] = {name: spread(values) for name, values in each.items()}
        print("labels", noise, found[f"{noise:g}"], flush=True)
    return found


def _weighted(
    x: np.ndarray, y: np.ndarray, test: np.ndarray, truth: np.ndarray, noise: float, seed: int
) -> dict[str, float]:
    draws = np.random.default_rng(seed)
    wrong = draws.random(len(y)) < noise
    given = np.where(wrong, (y + draws.integers(1, 10, len(y))) % 10, y)
    inputs, targets = torch.tensor(x, dtype=torch.float32), torch.tensor(given)
    half = torch.arange(len(x)) % 2 == 0
    # confidence from a model that was not trained on the row: by halves
    confidence = torch.zeros(len(x))
    for part in (half, ~half):
        model = _digits(inputs[part], targets[part], torch.ones(int(part.sum())), seed)
        with torch.no_grad():
            log = model(inputs[~part]).log_softmax(1)
        confidence[~part] = log.gather(1, targets[~part, None])[:, 0].exp()
    weights = {
        "all alike": torch.ones(len(x)),
        "by confidence": confidence,
        "confident half": (confidence >= confidence.median()).float(),
        "only the right ones": torch.tensor(~wrong).float(),
    }
    found = dict[str, float]()
    for name, weight in weights.items():
        model = _digits(inputs, targets, weight, seed)
        with torch.no_grad():
            out = model(torch.tensor(test, dtype=torch.float32)).argmax(1).numpy()
        found[name] = float((out == truth).mean())
    return found


def _digits(x: Tensor, y: Tensor, weight: Tensor, seed: int) -> nn.Module:
    with seeded(seed):
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    total = weight.mean()

    def goals(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        each = functional.cross_entropy(net(batch["x"]), batch["y"], reduction="none")
        return {"fit": (batch["w"] * each).mean() / total}

    settings = Training(epochs=60, batch_size=32, rate=0.005, seed=seed)
    fit(model, goals, Tensors({"x": x, "y": y, "w": weight}), settings, progress=False)
    return model.eval()


# What diverse heads do to the hidden layers.


def effective_rank(features: Tensor) -> float:
    """Exponential of the entropy of the shares of the singular values (Roy & Vetterli 2007)."""
    values = torch.linalg.svdvals(features - features.mean(0))
    shares = values / values.sum()
    return float((-(shares * shares.clamp_min(1e-300).log()).sum()).exp())


def cka(one: Tensor, two: Tensor) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019)."""
    one, two = one - one.mean(0), two - two.mean(0)
    both = (one.T @ two).square().sum()
    return float(both / ((one.T @ one).norm() * (two.T @ two).norm()))


def heads() -> Part:
    """The cubic with a gap, 2 x 50 tanh units, 20 heads, with and without diversity."""
    found: Part = {}
    for strength in (0.0, 0.1, 1.0):
        models = [_headed(strength, seed) for seed in range(SEEDS)]
        grid = torch.linspace(-4, 4, 401, dtype=torch.float64)[:, None]
        with torch.no_grad():
            layers = [[model[:2](grid), model[:4](grid)] for model in models]
            outputs = [model(grid) for model in models]
        gap = (grid.abs() < 1.5)[:, 0]
        each: Part = {
            "rank": [spread([effective_rank(both[place]) for both in layers]) for place in (0, 1)],
            "cka first to second": spread([cka(*both) for both in layers]),
            "cka between seeds": [
                spread([
                    cka(layers[a][place], layers[b][place])
                    for a in range(SEEDS) for b in range(a)
                ])
                for place in (0, 1)
            ],
            "spread in the gap": spread([float(out[gap].std(1).mean()) for out in outputs]),
            "spread at the rows": spread([float(out[~gap].std(1).mean()) for out in outputs]),
        }  # fmt: skip
        found[f"{strength:g}"] = each
        print("heads", strength, json.dumps(each), flush=True)
    return found


def _headed(strength: float, seed: int) -> nn.Sequential:
    x, y = cubic_gap(0, 100, 3.0)
    rows = {"x": torch.from_numpy(x), "y": torch.from_numpy(y)[:, None] / 20}
    with seeded(seed):
        layers = [nn.Linear(1, 50), nn.Tanh(), nn.Linear(50, 50), nn.Tanh(), nn.Linear(50, 20)]
        model = nn.Sequential(*layers).double()

    def goals(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        values, slopes = values_and_gradients(net, batch["x"])
        squares = torch.stack([one.square().sum() for one in net.parameters()]).sum()
        both = {"fit": (values - batch["y"]).square().mean(), "decay": 1e-4 * squares}
        return both | ({"diverse": strength * diversity(slopes)} if strength else {})

    minimize(goals, model, rows, method="l-bfgs", iterations=1000, progress=False)
    return model


# Dropout: is scaling at test time exact in depth?


def dropout() -> Part:
    """Trained networks of one to four hidden layers; scaled, against 2,000 masks."""
    digits = load_digits()
    x = torch.tensor(digits.data / 16, dtype=torch.float32)
    y = torch.tensor(digits.target)
    found: Part = {}
    for depth in (0, 1, 2, 3, 4):
        gaps, sure, drawn = list[float](), list[float](), list[float]()
        for seed in range(3):
            with seeded(seed):
                trunk = [nn.Dropout(0.5), *plain_trunk(64, 64, depth, dropout=0.5)]
                model = nn.Sequential(*trunk, nn.Linear(64, 10))
            settings = Training(epochs=40, batch_size=64, rate=0.005, seed=seed)
            fit(
                model,
                lambda net, batch: {"fit": functional.cross_entropy(net(batch["x"]), batch["y"])},
                Tensors({"x": x[:1000], "y": y[:1000]}),
                settings,
                progress=False,
            )
            rows = x[1000:1100]
            with torch.no_grad(), seeded(seed):
                scaled = model.eval()(rows)
                model.train()
                each = torch.stack([model(rows) for _ in range(2_000)])
            average = each.mean(0)
            error = (scaled - average).square().mean().sqrt()
            gaps.append(float(error / average.std()))
            sure.append(float(scaled.softmax(-1).amax(-1).mean()))
            drawn.append(float(each.softmax(-1).mean(0).amax(-1).mean()))
        found[str(depth)] = {
            "relative gap of outputs": spread(gaps),
            "confidence, scaled": spread(sure),
            "confidence, masks": spread(drawn),
        }
        print("dropout", depth, found[str(depth)], flush=True)
    return found


PARTS: dict[str, Callable[[], Part]] = {
    "width": width,
    "decay": decay,
    "labels": labels,
    "heads": heads,
    "dropout": dropout,
}


def main(wanted: Sequence[str]) -> None:
    torch.set_num_threads(1)
    record_parts("lessons", PARTS, wanted)


if __name__ == "__main__":
    main(sys.argv[1:])
