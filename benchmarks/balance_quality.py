"""What balancing is worth: errors of every goal beside the plain sum and tuned static weights.

Two digits side by side (equal units, and the second loss times 0.01); the toy of Liu et al.,
Conflict-Averse Gradient Descent, NeurIPS 2021; Adult as three goals in their own units; a
physics-informed net for Poisson's equation. Within a seed every case has the same rows, first
weights and batches, one Adam and one falling learning rate (the toy: a constant one), which nobody
tuned. Static weights are chosen for each seed on validation rows, from a grid of powers of ten,
and trained again at two other rates: a rule may also win by the length of its steps.

    python benchmarks/balance_quality.py [--only digits toy adult poisson] [--seeds 3] [--smoke]

Results are kept by problem: ``--only`` replaces those it names; ``--smoke`` writes nothing.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from _measure import RESULTS, environment, record
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.balance import Balancer, Rule, RuleInputs
from counterpoint.balance.rules import Alternate, Magnitude, Sum, rule
from counterpoint.datasets import adult
from counterpoint.seeding import generator, seeded

Runs = dict[str, list[dict[str, Any]]]
Weights = Mapping[str, float]

TUNED = "static, tuned"
RATES = {f"{TUNED}, rate x {factor:g}": factor for factor in (0.3, 3.0)}  # is it the step alone?
LOSSES = "famo geometric-mean imtl-l uncertainty alternate"
MANY = f"impartial upgrad mgda nash-mtl config db-mtl {LOSSES}"
STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))
NUMBERS = ("age", "capital-gain", "capital-loss")
TARGETS = ("hours-per-week", "education-num")
UNUSED = ("income", "education", "fnlwgt")  # a target; a target in words; a survey weight


def rules(names: str) -> dict[str, Rule]:
    """Rules by name, after the sum and the two that follow whoever pulls hardest."""
    awake, relative = Magnitude(power=1.0), Magnitude(power=1.0, relative=True)
    first = {"sum": Sum(), "magnitude, a = +1": awake, "relative, a = +1": relative}
    return first | {name: rule(name) for name in names.split()}


@dataclass(frozen=True)
class Problem:
    """One seed of a problem."""

    model: Callable[[], nn.Module]
    losses: Callable[[Any, int], dict[str, Tensor]]  # from net and number of the step
    measure: Callable[[Any], dict[str, float]]  # "validation" chooses static weights: most is best
    steps: int
    rate: float  # at the start; it falls to 0 along a cosine


def fit(problem: Problem, chosen: Rule | Weights, seed: int) -> dict[str, Any]:
    """Train with one rule, or with fixed weights, and measure."""
    with seeded(seed):
        model = problem.model()
    balanced, wanted = (Sum(), chosen) if isinstance(chosen, Mapping) else (chosen, {})
    balancer = Balancer(balanced, preference=wanted, monitor=False, seed=seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=problem.rate, fused=True)
    begin = time.process_time()
    for step in range(problem.steps):
        share = 0.5 * (1 + math.cos(math.pi * step / problem.steps))
        optimiser.param_groups[0]["lr"] = problem.rate * share
        optimiser.zero_grad()
        balancer.backward(problem.losses(model, step), model)
        optimiser.step()
    about = {"seconds": time.process_time() - begin, "source": balancer.source}
    with torch.no_grad():
        return problem.measure(model) | about


def compare(
    title: str, problems: list[Problem], cases: Mapping[str, Rule | Weights], grid: list[Weights]
) -> dict[str, Any]:
    """Every case and the grid on every seed; a row each, and one of what validation rows choose."""
    static = {"static " + ":".join(f"{w:g}" for w in each.values()): each for each in grid}
    runs: Runs = {name: [] for name in (*cases, TUNED, *RATES, *static)}
    for seed, problem in enumerate(problems):
        for name, chosen in {**cases, **static}.items():
            runs[name].append(fit(problem, chosen, seed))
        best = max(static, key=lambda name: runs[name][seed]["validation"])
        cost = sum(runs[name][seed]["seconds"] for name in static)
        runs[TUNED].append(runs[best][seed] | {"chosen": best, "seconds": cost})
        for name, factor in RATES.items():
            other = replace(problem, rate=factor * problem.rate)
            runs[name].append(fit(other, static[best], seed))
    rows = {name: summary(each, runs) for name, each in runs.items()}
    head(f"{title} ({len(problems)} seeds)", [*rows[TUNED]])
    for name, row in rows.items():
        cells = [f"{m:.4g} ± {sd:.2g}" for m, sd in row.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("tuned:", [run["chosen"] for run in runs[TUNED]], flush=True)
    return {"rows": rows, "runs": runs}


def summary(each: list[dict[str, Any]], runs: Runs) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation over seeds; and of the difference to the tuned, seed by seed."""
    hidden = ("validation", "seconds", "source", "chosen")
    columns = [column for column in each[0] if column not in hidden]
    row = {column: spread([run[column] for run in each]) for column in columns}
    tuned, plain = (zip(each, runs[name], strict=True) for name in (TUNED, "sum"))
    row["minus tuned"] = spread([run[columns[0]] - best[columns[0]] for run, best in tuned])
    row["time, sums"] = spread([run["seconds"] / other["seconds"] for run, other in plain])
    return row


def spread(values: Sequence[float]) -> tuple[float, float]:
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def head(title: str, columns: Sequence[str]) -> None:
    print(f"\n{title}\n\n| | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")


def pairs(seed: int) -> list[tuple[Tensor, ...]]:
    """To train, choose, test: two images side by side, both labels; no image in two parts."""
    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    parts = np.split(random.permutation(len(images)), [1000, 1300])
    found = []
    for part, count in zip(parts, (4000, 1000, 2000), strict=True):
        both = random.choice(part, (2, count))
        x = np.concatenate([images[one].reshape(-1, 8, 8) / 16 for one in both], 2)
        x = torch.tensor(x.reshape(count, 128), dtype=torch.float32)
        found.append((x, *(torch.tensor(labels[one]) for one in both)))
    return found


class Heads(nn.Module):
    """A trunk, and a linear layer for each goal."""

    def __init__(self, inputs: int, outputs: Mapping[str, int]) -> None:
        super().__init__()
        layers = nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({name: nn.Linear(32, n) for name, n in outputs.items()})

    def forward(self, x: Tensor) -> list[Tensor]:
        """Outputs, goal by goal."""
        z = self.trunk(x)
        return [head(z) for head in self.heads.values()]


def digits_problem(seed: int, scale: float, steps: int) -> Problem:
    (x, *labels), held, test = pairs(seed)
    rows = torch.randint(len(x), (steps, 128), generator=generator(seed, 1))

    def losses(net: Heads, step: int) -> dict[str, Tensor]:
        truth = [label[rows[step]] for label in labels]
        left, right = map(functional.cross_entropy, net(x[rows[step]]), truth)
        return {"left": left, "right": scale * right}

    def accuracies(net: Heads, x: Tensor, *labels: Tensor) -> list[float]:
        found = zip(net(x), labels, strict=True)
        return [100 * float((y.argmax(1) == label).float().mean()) for y, label in found]

    def measure(net: Heads) -> dict[str, float]:
        left, right = accuracies(net, *test)
        validation, both = sum(accuracies(net, *held)), (left + right) / 2
        return {"both": both, "left": left, "right": right, "validation": validation}

    model = partial(Heads, 128, {"left": 10, "right": 10})
    return Problem(model, losses, measure, steps, 3e-3)


def digits(seeds: int, steps: int) -> dict[str, Any]:
    """Both units."""
    grid = [{"left": 1.0, "right": w} for w in (0.01, 0.1, 1.0, 10.0, 100.0)]
    found = {}
    for scale in (1.0, 0.01):
        name = f"Two digits, second loss x {scale:g}"
        problems = [digits_problem(seed, scale, steps) for seed in range(seeds)]
        found[name] = compare(name, problems, rules(MANY), grid)
    return found


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


def weigher(chosen: Rule, seed: int = 0) -> Callable[..., Tensor]:
    """One rule for five walkers: closed forms at once; others, which forget, one by one."""
    random, ones = generator(seed), torch.ones(2, dtype=torch.float64)
    state = {name: torch.stack([value] * 5) for name, value in chosen.start(2).items()}

    def one(losses: Tensor, norms: Tensor, cosines: Tensor, state: Any) -> Any:
        return chosen.weights(RuleInputs(losses, norms, cosines, ones, random), state)

    def five(*given: Tensor) -> Tensor:
        nonlocal state
        if chosen.waits:
            return torch.stack([one(*each, {})[0] for each in zip(*given, strict=True)])
        weights, state = torch.func.vmap(one)(*given, state)
        return weights

    return five


def toy(seeds: int, steps: int) -> dict[str, Any]:
    """From five starts: where Adam is after 35,000 steps; only `alternate` depends on a seed."""
    balanced = rules("impartial upgrad mgda cagrad nash-mtl config famo")
    cases = {name: weigher(chosen) for name, chosen in balanced.items()}
    cases |= {f"alternate, seed {seed}": weigher(Alternate(), seed) for seed in range(seeds)}
    cases |= {f"static {w:g}:1": torch.tensor([w, 1.0]) for w in (0.1, 3.0, 10.0, 30.0, 100.0)}
    x = torch.tensor(STARTS, dtype=torch.float64).repeat(len(cases), 1, 1).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=1e-3)
    weights = torch.ones_like(x, requires_grad=False)
    for _ in range(steps):
        losses = valleys(x)
        parts = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in losses.sum((0, 1))]
        rows, losses = torch.stack(parts, -2), losses.detach()
        norms = rows.norm(dim=-1)
        cosines = rows @ rows.mT / (norms[..., None] * norms[..., None, :]).clamp_min(1e-300)
        for k, case in enumerate(cases.values()):
            given = losses[k], norms[k], cosines[k]
            weights[k] = case if isinstance(case, Tensor) else case(*given)
        x.grad = (weights[..., None] * rows).mean(-2)
        optimiser.step()
    a, b = x.detach().unbind(-1)
    on = ((b + 8.3552).abs() < 0.1) & (a.abs() <= 7.1)
    rows = {name: {"ends": x[k].tolist(), "on": on[k].tolist()} for k, name in enumerate(cases)}
    head("Toy: where each start ends; a alone on the front", [*map(str, STARTS), "on the front"])
    for name, row in rows.items():
        ends = zip(row["ends"], row["on"], strict=True)
        cells = [f"{a:.2f}" if on else f"({a:.2f}, {b:.2f})" for (a, b), on in ends]
        print(f"| {name} | " + " | ".join(cells) + f" | {sum(row['on'])} of 5 |")
    return {"rows": rows}


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


def adult_problem(seed: int, steps: int) -> Problem:
    everything, test = adult()
    rows = np.random.default_rng(seed).permutation(len(everything))
    train, held = everything.iloc[rows[:8000]], everything.iloc[rows[8000:10_000]]
    (x, y), validation, test = (encoded(table, train) for table in (train, held, test))
    batches = torch.randint(len(x), (steps, 128), generator=generator(seed, 1))
    means = y.mean(0)
    entropy = functional.binary_cross_entropy(means[0].expand(len(y)), y[:, 0])
    units = torch.stack([entropy, *y.var(0)[1:]])  # the losses of a constant

    def model() -> Heads:
        net = Heads(x.shape[1], {"income": 1, "hours": 1, "years": 1})
        for layer, mean in zip(net.heads.values(), (means[0].logit(), *means[1:]), strict=True):
            nn.init.constant_(layer.bias, float(mean))  # a search for 40 hours is not the subject
        return net

    def goals(net: Heads, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        income, hours, years = (output[:, 0] for output in net(x))
        loss = functional.binary_cross_entropy_with_logits(income, y[:, 0])
        hours, years = (hours - y[:, 1]).square().mean(), (years - y[:, 2]).square().mean()
        return {"income": loss, "hours": hours, "years": years}

    def measure(net: Heads) -> dict[str, float]:
        held = torch.stack([*goals(net, *validation).values()])
        found = torch.stack([*goals(net, *test).values()])
        right = (net(test[0])[0][:, 0] > 0) == (test[1][:, 0] > 0.5)
        return {
            "relative loss": float((found / units).mean()),
            "accuracy": 100 * float(right.float().mean()),
            "log loss": float(found[0]),
            "RMSE hours": float(found[1].sqrt()),
            "RMSE years": float(found[2].sqrt()),
            "validation": -float((held / units).mean()),
        }

    batch = [(x[rows], y[rows]) for rows in batches]
    return Problem(model, lambda net, step: goals(net, *batch[step]), measure, steps, 3e-3)


def adult_goals(seeds: int, steps: int) -> dict[str, Any]:
    """Income, hours a week, years of education."""
    hours, years = adult()[0][list(TARGETS)].var()
    standard = {"income": 1.0, "hours": 1 / hours, "years": 1 / years}
    cases = rules(f"{MANY} gradnorm") | {"sum, numbers standardised": standard}
    hours, years = (1.0, 0.1, 0.01, 0.001), (1.0, 0.1, 0.01)
    grid = [{"income": 1.0, "hours": one, "years": two} for one in hours for two in years]
    problems = [adult_problem(seed, steps) for seed in range(seeds)]
    return compare("Adult, three goals", problems, cases, grid)


def solution(x: Tensor) -> Tensor:
    """The u of -Laplace u = f on the unit square; f is the source."""
    return torch.sin(math.pi * x[:, 0]) * torch.sin(2 * math.pi * x[:, 1]) + x.prod(1)


def source(x: Tensor) -> Tensor:
    return 5 * math.pi**2 * (solution(x) - x.prod(1))


def field() -> nn.Sequential:
    """A net for u."""
    tanh = nn.Tanh()
    return nn.Sequential(nn.Linear(2, 32), tanh, nn.Linear(32, 32), tanh, nn.Linear(32, 1))


def laplacian(net: nn.Sequential, x: Tensor) -> Tensor:
    """Second derivatives of u, summed, (rows,): carried forward through the layers."""
    value, bend = x, torch.zeros_like(x)
    right, up = torch.eye(2)[:, None].expand(2, len(x), 2)
    for layer in (net[0], net[2]):
        value, right, up, bend = torch.stack([value, right, up, bend]) @ layer.weight.T
        value = (value + layer.bias).tanh()
        slope = 1 - value.square()
        bend = slope * (bend - 2 * value * (right.square() + up.square()))
        right, up = slope * right, slope * up
    return (bend @ net[4].weight.T)[:, 0]


def poisson_problem(seed: int, steps: int) -> Problem:
    random = generator(seed, 1)
    inside, around = (torch.rand(steps, rows, 2, generator=random) for rows in (128, 64))
    for side, points in enumerate(around.split(16, 1)):
        points[..., side // 2] = side % 2
    held, test = torch.rand(2, 4000, 2, generator=random)

    def losses(net: nn.Sequential, step: int) -> dict[str, Tensor]:
        x, edge = inside[step], around[step]
        residual, gap = laplacian(net, x) + source(x), net(edge)[:, 0] - solution(edge)
        return {"residual": residual.square().mean(), "boundary": gap.square().mean()}

    def error(net: nn.Module, x: Tensor) -> float:
        return 100 * float((net(x)[:, 0] - solution(x)).norm() / solution(x).norm())

    def measure(net: nn.Module) -> dict[str, float]:
        return {"relative L2 error": error(net, test), "validation": -error(net, held)}

    return Problem(field, losses, measure, steps, 5e-3)


def poisson(seeds: int, steps: int) -> dict[str, Any]:
    """Residual and boundary."""
    cases = rules("impartial upgrad config gradnorm nash-mtl")
    grid = [{"residual": 1.0, "boundary": w} for w in (1.0, 10.0, 100.0, 1000.0, 10_000.0)]
    problems = [poisson_problem(seed, steps) for seed in range(seeds)]
    return compare("Poisson, per cent", problems, cases, grid)


STEPS = {"digits": 600, "toy": 35_000, "adult": 400, "poisson": 1000}
PROBLEMS = {"digits": digits, "toy": toy, "adult": adult_goals, "poisson": poisson}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PROBLEMS, default=[*PROBLEMS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything")
    told = parser.parse_args()
    torch.set_num_threads(1)
    for name in told.only:
        seeds, steps, begin = told.seeds, STEPS[name], time.process_time()
        about = {"environment": environment("scikit-learn"), "seeds": seeds, "steps": steps}
        found = PROBLEMS[name](*((1, 10) if told.smoke else (seeds, steps)))
        about["seconds"] = round(time.process_time() - begin, 1)
        print(f"\n{name}: {about['seconds']} processor seconds", flush=True)
        if not told.smoke:
            path = RESULTS / "balance_quality.json"
            content = json.loads(path.read_text()) if path.exists() else {}
            record("balance_quality", content | {name: about | {"found": found}})


if __name__ == "__main__":
    main()
