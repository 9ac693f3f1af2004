"""What balancing is worth: errors of every goal beside the plain sum and tuned static weights.

Four problems: two digits side by side (equal units, and the second loss times 0.01); the toy of
Liu et al., Conflict-Averse Gradient Descent, NeurIPS 2021, from its five starts; Adult as three
goals in their own units; a physics-informed net for Poisson's equation. Within a seed every case
has the same rows, first weights and batches, one Adam and one falling learning rate, which nobody
tuned. Static weights are chosen for each seed on validation rows, from a grid of powers of ten.

    python benchmarks/balance_quality.py [--only digits toy adult poisson] [--seeds 3] [--smoke]

Results are kept by problem: ``--only`` replaces those it names; ``--smoke`` writes nothing.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from _measure import RESULTS, environment, record
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.balance import Balancer, Given, Rule
from counterpoint.balance.rules import Alternate, Magnitude, Sum, rule
from counterpoint.datasets import adult
from counterpoint.seeding import generator, seeded

Run = dict[str, Any]
Runs = dict[str, list[Run]]
Weights = Mapping[str, float]

TUNED = "static, tuned"
MANY = (
    "impartial upgrad mgda nash-mtl config famo db-mtl geometric-mean imtl-l uncertainty alternate"
)


def rules(names: str) -> dict[str, Rule]:
    """Rules by name, after the sum and the two that follow whoever pulls hardest."""
    awake, relative = Magnitude(power=1.0), Magnitude(power=1.0, relative=True)
    first = {"sum": Sum(), "magnitude, a = +1": awake, "relative, a = +1": relative}
    return first | {name: rule(name) for name in names.split()}


@dataclass(frozen=True)
class Problem:
    """One seed of a problem.

    Attributes:
        model: makes the net; the first weights are the seed's.
        losses: of a step, by the number of the step.
        measure: of a trained net; "validation" is what static weights are chosen by (most is best).
        steps: of training.
        rate: the learning rate at the start; it falls to 0 along a cosine.
    """

    model: Callable[[], nn.Module]
    losses: Callable[[Any, int], dict[str, Tensor]]
    measure: Callable[[Any], dict[str, float]]
    steps: int
    rate: float


def fit(problem: Problem, chosen: Rule, wanted: Weights, seed: int) -> Run:
    """Train with one rule, and measure."""
    with seeded(seed):
        model = problem.model()
    balancer = Balancer(chosen, preference=wanted, monitor=False, seed=seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=problem.rate, fused=True)
    begin = time.process_time()
    for step in range(problem.steps):
        share = 0.5 * (1 + math.cos(math.pi * step / problem.steps))
        optimiser.param_groups[0]["lr"] = problem.rate * share
        optimiser.zero_grad()
        balancer.backward(problem.losses(model, step), model)
        optimiser.step()
    seconds = time.process_time() - begin
    with torch.no_grad():
        found = problem.measure(model)
    return found | {"seconds": seconds, "source": balancer.source}


def compare(
    make: Callable[[int], Problem],
    seeds: int,
    balanced: Mapping[str, Rule],
    grid: Mapping[str, Weights],
) -> tuple[Runs, Runs]:
    """All rules and the tuned static weights; then the grid that these were chosen from."""
    runs: Runs = {name: [] for name in balanced}
    static: Runs = {name: [] for name in grid}
    for seed in range(seeds):
        problem = make(seed)
        for name, chosen in balanced.items():
            runs[name].append(fit(problem, chosen, {}, seed))
        for name, wanted in grid.items():
            static[name].append(fit(problem, Sum(), wanted, seed))
    runs[TUNED] = [tuned(static, seed) for seed in range(seeds)]
    return runs, static


def tuned(static: Runs, seed: int) -> Run:
    """What validation rows choose; its cost is that of the whole grid."""
    best = max(static, key=lambda name: static[name][seed]["validation"])
    cost = sum(runs[seed]["seconds"] for runs in static.values())
    return static[best][seed] | {"chosen": best, "seconds": cost}


# Two digits side by side


PARTS = ("train", "validation", "test")


@cache
def pairs(seed: int) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Two images side by side, and both labels; no image is in two parts."""
    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    parts = np.split(random.permutation(len(images)), [1000, 1300])
    found = {}
    for name, part, count in zip(PARTS, parts, (4000, 1000, 2000), strict=True):
        left, right = random.choice(part, (2, count))
        both = np.concatenate([images[left].reshape(-1, 8, 8), images[right].reshape(-1, 8, 8)], 2)
        x = torch.tensor(both.reshape(count, 128) / 16, dtype=torch.float32)
        found[name] = x, torch.tensor(labels[left]), torch.tensor(labels[right])
    return found


class Heads(nn.Module):
    """A trunk, and a linear layer for each goal."""

    def __init__(self, inputs: int, widths: Sequence[int], outputs: Mapping[str, int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip([inputs, *widths], widths, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({k: nn.Linear(widths[-1], n) for k, n in outputs.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Outputs by goal."""
        z = self.trunk(x)
        return {name: head(z) for name, head in self.heads.items()}


def digits_problem(seed: int, *, scale: float, steps: int) -> Problem:
    parts = pairs(seed)
    x, *labels = parts["train"]
    rows = torch.randint(len(x), (steps, 128), generator=generator(seed, 1))

    def losses(model: Heads, step: int) -> dict[str, Tensor]:
        outputs = model(x[rows[step]]).values()
        truth = (label[rows[step]] for label in labels)
        left, right = map(functional.cross_entropy, outputs, truth)
        return {"left": left, "right": scale * right}

    def accuracy(model: Heads, part: str) -> list[float]:
        outputs, truth = model(parts[part][0]).values(), parts[part][1:]
        pairs = zip(outputs, truth, strict=True)
        return [100 * float((y.argmax(1) == label).float().mean()) for y, label in pairs]

    def measure(model: Heads) -> dict[str, float]:
        left, right = accuracy(model, "test")
        validation = statistics.mean(accuracy(model, "validation"))
        return {"both": (left + right) / 2, "left": left, "right": right, "validation": validation}

    model = partial(Heads, 128, (64, 32), {"left": 10, "right": 10})
    return Problem(model, losses, measure, steps, 3e-3)


def digits(seeds: int, *, smoke: bool) -> dict[str, Any]:
    """Both units."""
    balanced = rules(MANY)
    grid = {f"1:{w:g}": {"left": 1.0, "right": w} for w in (0.01, 0.1, 1.0, 10.0, 100.0)}
    found = {}
    for scale in (1.0, 0.01):
        make = partial(digits_problem, scale=scale, steps=10 if smoke else 600)
        runs, static = compare(make, seeds, balanced, grid)
        name = f"second loss x {scale:g}"
        found[name] = summary(f"Two digits, {name}", runs, static, ("both", "left", "right"))
    return found


# The toy of two crossing valleys

STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))


def valleys(x: Tensor) -> Tensor:
    """Both losses, (..., 2); the first is scaled by 0.1, as in the papers."""
    a, b = x.unbind(-1)
    turn, low = torch.tanh(-b), 0.1 * (b + 8).square()
    first = (0.5 * (-a - 7) - turn).abs().clamp_min(5e-6).log() + 6
    second = (0.5 * (3 - a) + turn + 2).abs().clamp_min(5e-6).log() + 6
    up, down = torch.tanh(b / 2).clamp_min(0), torch.tanh(-b / 2).clamp_min(0)
    one = first * up + (((7 - a).square() + low) / 10 - 20) * down
    two = second * up + (((a + 7).square() + low) / 10 - 20) * down
    return torch.stack([0.1 * one, two], -1)


class Weigher:
    """One rule for the five walkers: closed forms at once, the others one by one."""

    def __init__(self, chosen: Rule, seed: int = 0) -> None:
        self.rule, self.generator, self.states = chosen, generator(seed), [chosen.start(2)] * 5
        self.state = {k: torch.stack([value] * 5) for k, value in self.states[0].items()}

    def __call__(self, *given: Tensor) -> Tensor:
        """Weights, (5, 2), from losses, norms and cosines."""
        if not self.rule.waits:
            weights, self.state = torch.func.vmap(self._one)(*given, self.state)
            return weights
        found = [self._one(*each) for each in zip(*given, self.states, strict=True)]
        self.states = [state for _, state in found]
        return torch.stack([weights for weights, _ in found])

    def _one(self, losses: Tensor, norms: Tensor, cosines: Tensor, state: Any) -> Any:
        ones = torch.ones(2, dtype=torch.float64)
        return self.rule.weights(Given(losses, norms, cosines, ones, self.generator), state)


def toy(seeds: int, *, smoke: bool) -> dict[str, Any]:
    """From five starts: where Adam is after 35,000 steps; only `alternate` depends on a seed."""
    balanced = rules("impartial upgrad mgda cagrad nash-mtl config famo")
    cases = {name: Weigher(chosen) for name, chosen in balanced.items() if name != "sum"}
    cases |= {f"alternate, seed {seed}": Weigher(Alternate(), seed) for seed in range(seeds)}
    fixed = {"sum": 1.0} | {f"static {w:g}:1": w for w in (0.1, 3.0, 10.0, 30.0, 100.0)}
    names = [*fixed, *cases]
    x = torch.tensor(STARTS, dtype=torch.float64).repeat(len(names), 1, 1).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=1e-3)
    weights = torch.ones(len(names), 5, 2, dtype=torch.float64)
    weights[: len(fixed), :, 0] = torch.tensor([*fixed.values()], dtype=torch.float64)[:, None]
    for _ in range(350 if smoke else 35_000):
        losses = valleys(x)
        parts = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in losses.sum((0, 1))]
        rows, losses = torch.stack(parts, -2), losses.detach()
        norms = rows.norm(dim=-1)
        unit = rows / norms[..., None].clamp_min(1e-300)
        cosines = unit @ unit.mT
        for k, name in enumerate(cases, len(fixed)):
            weights[k] = cases[name](losses[k], norms[k], cosines[k])
        x.grad = (weights[..., None] * rows).mean(-2)
        optimiser.step()
    a, b = x.detach().unbind(-1)
    on = ((b + 8.3552).abs() < 0.1) & (a.abs() <= 7.1)
    rows = {name: {"ends": x[k].tolist(), "on": on[k].tolist()} for k, name in enumerate(names)}
    head("Toy: where each start ends; a alone on the front", [*map(str, STARTS), "on the front"])
    for name, row in rows.items():
        ends = zip(row["ends"], row["on"], strict=True)
        cells = [f"{a:.2f}" if on else f"({a:.2f}, {b:.2f})" for (a, b), on in ends]
        print(f"| {name} | " + " | ".join(cells) + f" | {sum(row['on'])} of 5 |")
    return {"rows": rows}


def head(title: str, columns: Sequence[str]) -> None:
    print(f"\n{title}\n\n| | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")


# Adult as three goals

NUMBERS = ("age", "capital-gain", "capital-loss")
TARGETS = ("hours-per-week", "education-num")
UNUSED = ("income", "education", "fnlwgt")  # a target; a target in words; a survey weight


def encoded(table: pd.DataFrame, known: pd.DataFrame) -> tuple[Tensor, Tensor]:
    """Inputs, one-hot and standardised by what is known; targets in their own units."""
    columns = []
    for name in known.columns.difference([*TARGETS, *UNUSED]):
        if name in NUMBERS:
            value, base = (np.log1p(t[name].to_numpy(float)) for t in (table, known))
            columns.append((value - base.mean()) / base.std())
        else:
            columns += [(table[name] == one).to_numpy(float) for one in known[name].unique()]
    rich = table["income"].str.startswith(">").to_numpy(float)
    y = [rich, *(table[name].to_numpy(float) for name in TARGETS)]
    x, y = (torch.tensor(np.stack(part, 1), dtype=torch.float32) for part in (columns, y))
    return x, y


def adult_problem(seed: int, *, steps: int) -> Problem:
    everything, test = adult()
    rows = np.random.default_rng(seed).permutation(len(everything))
    train, held = everything.iloc[rows[:8000]], everything.iloc[rows[8000:10_000]]
    (x, y), validation, test = (encoded(table, train) for table in (train, held, test))
    batches = torch.randint(len(x), (steps, 128), generator=generator(seed, 1))
    means = y.mean(0)
    entropy = functional.binary_cross_entropy(means[0].expand(len(y)), y[:, 0])
    units = torch.stack([entropy, *y.var(0)[1:]])  # the losses of a constant

    def model() -> Heads:
        net = Heads(x.shape[1], (64, 32), {"income": 1, "hours": 1, "years": 1})
        for layer, mean in zip(net.heads.values(), (means[0].logit(), *means[1:]), strict=True):
            nn.init.constant_(layer.bias, float(mean))  # a search for 40 hours is not the subject
        return net

    def goals(net: Heads, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        income, hours, years = (output[:, 0] for output in net(x).values())
        return {
            "income": functional.binary_cross_entropy_with_logits(income, y[:, 0]),
            "hours": functional.mse_loss(hours, y[:, 1]),
            "years": functional.mse_loss(years, y[:, 2]),
        }

    def measure(net: Heads) -> dict[str, float]:
        held = torch.stack([*goals(net, *validation).values()])
        found = torch.stack([*goals(net, *test).values()])
        right = (net(test[0])["income"][:, 0] > 0) == (test[1][:, 0] > 0.5)
        return {
            "relative loss": float((found / units).mean()),
            "accuracy": 100 * float(right.float().mean()),
            "log loss": float(found[0]),
            "RMSE hours": float(found[1].sqrt()),
            "RMSE years": float(found[2].sqrt()),
            "validation": -float((held / units).mean()),
        }

    def losses(net: Heads, step: int) -> dict[str, Tensor]:
        return goals(net, x[batches[step]], y[batches[step]])

    return Problem(model, losses, measure, steps, 3e-3)


def adult_goals(seeds: int, *, smoke: bool) -> dict[str, Any]:
    """Income, hours a week, years of education."""
    balanced = rules(MANY + " gradnorm")
    grid = {
        f"1:{hours:g}:{years:g}": {"income": 1.0, "hours": hours, "years": years}
        for hours in (1.0, 0.1, 0.01, 0.001)
        for years in (1.0, 0.1, 0.01)
    }
    make = partial(adult_problem, steps=10 if smoke else 600)
    runs, static = compare(make, seeds, balanced, grid)
    columns = ("relative loss", "accuracy", "log loss", "RMSE hours", "RMSE years")
    return summary("Adult, three goals", runs, static, columns)


# Poisson's equation on the unit square: -Laplace u = f, with u known


def solution(x: Tensor) -> Tensor:
    return torch.sin(math.pi * x[:, 0]) * torch.sin(2 * math.pi * x[:, 1]) + x.prod(1)


def source(x: Tensor) -> Tensor:
    return 5 * math.pi**2 * torch.sin(math.pi * x[:, 0]) * torch.sin(2 * math.pi * x[:, 1])


class Field(nn.Module):
    """A tanh net u(x), with its Laplacian carried forward beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 1)])

    def forward(self, x: Tensor) -> Tensor:
        """u, (rows,)."""
        first, second, last = self.layers
        return last(second(first(x).tanh()).tanh())[:, 0]

    def laplacian(self, x: Tensor) -> Tensor:
        """Second derivatives of u, summed, (rows,)."""
        value, bend = x, torch.zeros_like(x)
        right, up = torch.eye(2)[:, None].expand(2, len(x), 2)
        for layer in self.layers[:-1]:
            parts = torch.stack([value, right, up, bend]) @ layer.weight.T
            value, right, up, bend = parts.unbind()
            value = (value + layer.bias).tanh()
            slope = 1 - value.square()
            bend = slope * (bend - 2 * value * (right.square() + up.square()))
            right, up = slope * right, slope * up
        return (bend @ self.layers[-1].weight.T)[:, 0]


def poisson_problem(seed: int, *, steps: int) -> Problem:
    random = generator(seed, 1)
    inside, around = (torch.rand(steps, rows, 2, generator=random) for rows in (128, 64))
    for side, points in enumerate(around.split(16, 1)):
        points[..., side // 2] = side % 2
    held, test = torch.rand(2, 4000, 2, generator=random)

    def losses(net: Field, step: int) -> dict[str, Tensor]:
        x, edge = inside[step], around[step]
        return {
            "residual": (net.laplacian(x) + source(x)).square().mean(),
            "boundary": (net(edge) - solution(edge)).square().mean(),
        }

    def error(net: Field, x: Tensor) -> float:
        return 100 * float((net(x) - solution(x)).norm() / solution(x).norm())

    def measure(net: Field) -> dict[str, float]:
        return {"relative L2 error": error(net, test), "validation": -error(net, held)}

    return Problem(Field, losses, measure, steps, 5e-3)


def poisson(seeds: int, *, smoke: bool) -> dict[str, Any]:
    """Residual and boundary."""
    balanced = rules("impartial upgrad config gradnorm nash-mtl")
    weights = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
    grid = {f"1:{w:g}": {"residual": 1.0, "boundary": w} for w in weights}
    make = partial(poisson_problem, steps=10 if smoke else 2000)
    runs, static = compare(make, seeds, balanced, grid)
    return summary("Poisson, per cent", runs, static, ("relative L2 error",))


def summary(title: str, runs: Runs, static: Runs, columns: Sequence[str]) -> dict[str, Any]:
    """Mean and standard deviation over seeds, printed and kept; pairs of a seed are compared."""
    rows: dict[str, Any] = {}
    main = columns[0]
    for name, each in {**runs, **{f"static {name}": each for name, each in static.items()}}.items():
        row = {column: spread([run[column] for run in each]) for column in columns}
        zipped = zip(each, runs[TUNED], strict=True)
        row["minus tuned"] = spread([run[main] - best[main] for run, best in zipped])
        cost = [a["seconds"] / b["seconds"] for a, b in zip(each, runs["sum"], strict=True)]
        row["time"] = round(statistics.median(cost), 2)
        rows[name] = row
    head(f"{title} ({len(runs['sum'])} seeds)", [*columns, "minus tuned", "time, sums"])
    for name, row in rows.items():
        cells = [f"{m:.4g} ± {s:.2g}" for m, s in (row[c] for c in (*columns, "minus tuned"))]
        print(f"| {name} | " + " | ".join(cells) + f" | {row['time']} |")
    print("tuned:", [run["chosen"] for run in runs[TUNED]], flush=True)
    return {"rows": rows, "runs": runs, "grid": static}


def spread(values: Sequence[float]) -> tuple[float, float]:
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


PROBLEMS = {"digits": digits, "toy": toy, "adult": adult_goals, "poisson": poisson}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PROBLEMS, default=[*PROBLEMS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / "balance_quality.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    for name in options.only:
        begin = time.perf_counter()
        found = PROBLEMS[name](1 if options.smoke else options.seeds, smoke=options.smoke)
        seconds = round(time.perf_counter() - begin, 1)
        print(f"\n{name}: {seconds} s", flush=True)
        content[name] = {"environment": environment("scikit-learn"), "seeds": options.seeds}
        content[name] |= {"seconds": seconds, **found}
        if not options.smoke:
            record("balance_quality", content)


if __name__ == "__main__":
    main()
