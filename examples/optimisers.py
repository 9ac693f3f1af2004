"""Full-batch optimisers: which of them finds a minimum, at what cost, on smooth nets and on kinks.

First two bowls, then the cubic with a gap (y = x³ + N(0, 3²), 100 rows on [-4, -2] and [2, 4]) for
a net of 2 x 50 units with ReLU or tanh, started from N(0, 1), under two objectives:

- NLM:  SSE / 18 + γ |w|²
- LUNA: mean over 50 heads of SSE / 18, + γ |w|² + λ times the sum over pairs of heads of squared
  cosines between their slopes, by forward differences with steps drawn once and held.

With γ = 0.1, λ = 1. Afterwards the last layer is exact Bayesian regression (prior variance 1,
noise variance 9). One start each: single runs, of which the costs say more than the ranks. Last
the table of the first published report of such runs, its numbers beside ours.

    python examples/optimisers.py [FIGURE.svg] [--full]

By default nets of 2 x 20 units, 20 heads and few iterations, under a minute; with ``--full`` 2 x 50
units, 50 heads, up to 1,000 iterations (Adam 3,500).
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from counterpoint.data import Batch
from counterpoint.datasets import cubic_gap
from counterpoint.derivatives import Drawn, ForwardDifference, values_and_gradients
from counterpoint.goals import Goals, diversity
from counterpoint.posterior import LastLayer, Statistics
from counterpoint.report.figures import Axis, Figure, Line, Tone, sheet
from counterpoint.seeding import generator
from counterpoint.train import Minimum, minimize

NOISE, DECAY, DIVERSITY, HEADS = 9.0, 0.1, 1.0, 50
STEPS = {  # iterations at most: those of Newton's family cost tens or hundreds of gradients each
    "steepest-descent": 1000,
    "cg": 1000,
    "l-bfgs": 1000,
    "bfgs": 500,
    "newton": 40,
    "trust-exact": 40,
    "newton-cg": 100,
    "trust-ncg": 100,
    "trust-krylov": 100,
    "adam": 3500,
}
FEW = ("steepest-descent", "cg", "l-bfgs", "bfgs", "adam")
TONES: dict[str, tuple[Tone, bool]] = {
    "steepest-descent": ("soft", False),
    "adam": ("one", False),
    "l-bfgs": ("two", False),
    "bfgs": ("two", True),
    "cg": ("three", False),
    "newton": ("four", False),
    "trust-exact": ("four", True),
    "newton-cg": ("five", False),
    "trust-ncg": ("six", False),
    "trust-krylov": ("six", True),
}
REPORTED = {  # method: squared error summed over rows and seconds of the NLM; the same of LUNA's
    "steepest-descent": ((500.8, 6), (-122.6, 682)),  # log likelihood, 1,000 iterations
    "bfgs": ((291.6, 173), (-121.9, 3022)),
    "cg": ((271.5, 145), (-136.2, 1576)),
}
SEED_REPORT = """
  Its "MSE" is a SUM of squares over 100 rows (the noise alone: 900 on average), its log likelihood
  a SUM over the first 50 rows only, and of training targets (the true curve: -126 on average); its
  LUNA by 3,500 steps of Adam, "-120", took 90 minutes. Both signs of what its LUNA minimised were
  wrong, which makes heads collinear and weights grow, and steps were drawn anew at every
  evaluation, so that line searches compared noise; here draws are held, and a noisy objective is
  refused. The iterations it reports for the NLM (3 or 4) are too few for those seconds. Ours are
  the same two sums: squared errors on the rows of fit, and 50 times the mean over new rows.
"""


class Bowl(nn.Module):
    """Coordinates and nothing else."""

    def __init__(self, *start: float) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.tensor(start, dtype=torch.float64))


def bowls(most: int) -> None:
    """Iterations to the minimum of x² + 3 x + 1 from 10 and of x² + y² from (12, 5)."""
    functions: dict[str, tuple[tuple[float, ...], Callable[[Tensor], Tensor]]] = {
        "x² + 3x + 1 from 10": ((10.0,), lambda x: (x**2 + 3 * x + 1).sum()),
        "x² + y² from (12, 5)": ((12.0, 5.0), lambda x: x.square().sum()),
    }
    print("Iterations (gradients) until no entry of the gradient is above 1e-6")
    print(f"  {'':18}" + "".join(f"{name:>24}" for name in functions))
    for method in STEPS:
        cells = list[str]()
        for start, function in functions.values():
            found = minimize(
                lambda model, _, f=function: {"bowl": f(model.at)},
                Bowl(*start),
                method=method,
                iterations=most,
                progress=False,
            )
            cells.append(f"{found.iterations} ({found.evaluations.gradients})")
        print(f"  {method:18}" + "".join(f"{cell:>24}" for cell in cells))


def cubic(seed: int, rows: int = 100) -> dict[str, Tensor]:
    """x³ + N(0, 3²) on both sides of a gap."""
    x, y = cubic_gap(seed, rows, NOISE**0.5)
    return {"x": torch.from_numpy(x), "y": torch.from_numpy(y)[:, None]}


def net(activation: type[nn.Module], width: int, heads: int, seed: int = 0) -> nn.Sequential:
    """Two hidden layers; every weight from N(0, 1)."""
    layers = [nn.Linear(1, width), activation(), nn.Linear(width, width), activation()]
    model = nn.Sequential(*layers, nn.Linear(width, heads)).double()
    draws = generator(seed)
    for weight in model.parameters():
        nn.init.normal_(weight, generator=draws)
    return model


def decay(model: nn.Module) -> Tensor:
    """|w|² of all weights."""
    return torch.stack([weight.square().sum() for weight in model.parameters()]).sum()


def nlm(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """One output."""
    return {
        "fit": (model(batch["x"]) - batch["y"]).square().sum() / (2 * NOISE),
        "decay": DECAY * decay(model),
    }


def luna() -> Goals:
    """Heads that fit alike and slope differently; the steps of the differences are held."""
    scheme = ForwardDifference(Drawn(0.1, generator(1), hold=None))

    def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        values, slopes = values_and_gradients(model, batch["x"], scheme)
        return {
            "fit": (values - batch["y"]).square().sum(0).mean() / (2 * NOISE),
            "decay": DECAY * decay(model),
            "diverse": DIVERSITY * diversity(slopes, reduction="sum"),
        }

    return goals


@dataclass(frozen=True)
class Result:
    """A minimum, and what the exact last layer on its features predicts."""

    minimum: Minimum
    mse: float
    likelihood: float
    gap: float


def judged(minimum: Minimum, model: nn.Sequential) -> Result:
    """Training error of the net (mean over heads), then the last layer on new rows and in the gap.

    Test log likelihood is in nats a row; the true curve would have -2.52.
    """
    train, test = cubic(0), cubic(1)
    with torch.no_grad():
        mse = (model(train["x"]).mean(1, keepdim=True) - train["y"]).square().mean()
        layer = LastLayer.fit(
            Statistics.of(model[:-1](train["x"]), train["y"]), prior=1.0, noise=NOISE
        )
        likelihood = layer.predict(model[:-1](test["x"])).log_prob(test["y"]).mean()
        between = torch.linspace(-1.5, 1.5, 31).double().unsqueeze(1)
        gap = layer.predict(model[:-1](between)).knowledge.sqrt().mean()
    return Result(minimum, float(mse), float(likelihood), float(gap))


def fitted(
    goals: Goals, model: nn.Sequential, method: str, most: int, progress: str | bool = False
) -> Result:
    """One run."""
    minimum = minimize(goals, model, cubic(0), method=method, iterations=most, progress=progress)
    return judged(minimum, model)


def study(
    name: str, goals: Goals, model: Callable[[], nn.Sequential], steps: Mapping[str, int]
) -> dict[str, Result]:
    """Every method from the same start; one line each."""
    size = sum(weight.numel() for weight in model().parameters())
    print(f"\n{name}, {size:,} weights")
    head = ("iterations", "gradients", "products", "Hessians", "seconds", "objective", "|gradient|")
    print(f"  {'':18}" + "".join(f"{word:>11}" for word in (*head, "MSE", "test LL", "gap sd")))
    found = dict[str, Result]()
    for method, most in steps.items():
        found[method] = fitted(goals, model(), method, most, f"{name}: {method}")
        print(line(method, found[method]))
    return found


def line(method: str, result: Result) -> str:
    """What one run cost and found; the objective is the sum of the goals, not their mean."""
    minimum, made = result.minimum, result.minimum.evaluations
    counts = (minimum.iterations, made.gradients, made.products, made.hessians)
    values = (sum(minimum.goals.values()), minimum.slope)
    cells = [f"{count:11,}" for count in counts] + [f"{minimum.seconds:11.2f}"]
    cells += [f"{value:11.4g}" for value in values]
    cells += [f"{value:11.3f}" for value in (result.mse, result.likelihood, result.gap)]
    return f"  {method:18}" + "".join(cells) + f"  {minimum.status.value}"


def curves(title: str, found: Mapping[str, Result]) -> Figure:
    """The lowest objective so far against time."""
    lines = list[Line]()
    for method, result in found.items():
        history, goals = result.minimum.history, len(result.minimum.goals)
        best = [row.score * goals for row in history]
        for place in range(1, len(best)):
            best[place] = min(best[place - 1], best[place])
        tone, dashed = TONES[method]
        seconds = [max(row.seconds, 1e-3) for row in history]
        lines.append(Line(seconds, best, label=method, tone=tone, dashed=dashed))
    return Figure(
        title,
        lines,
        Axis("seconds", log=True),
        Axis("objective, lowest so far", log=True),
        width=400,
        height=330,
    )


def history(width: int, heads: int, limits: Sequence[int]) -> None:
    """The table of the first report, ReLU, at its numbers of iterations, and at the other one."""
    print(f"\nThe first report's table (2 x 50 ReLU) beside ours (2 x {width}, {heads} heads)")
    print(f"  {'':18}{'NLM: squared errors (seconds)':>40}{'LUNA: log likelihood, 50 rows':>40}")
    words = ("reported", *(f"{most:,} its" for most in limits)) * 2
    print(f"  {'':18}" + "".join(f"{word:>16}" for word in words))
    for method, (one, many) in REPORTED.items():
        cells = [f"{one[0]:g} ({one[1]})"]
        for most in limits:
            found = fitted(nlm, net(nn.ReLU, width, 1), method, most)
            cells.append(f"{100 * found.mse:.1f} ({found.minimum.seconds:.2g})")
        cells.append(f"{many[0]:g} ({many[1]:,})")
        for most in limits:
            found = fitted(luna(), net(nn.ReLU, width, heads), method, most)
            cells.append(f"{50 * found.likelihood:.1f} ({found.minimum.seconds:.2g})")
        print(f"  {method:18}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
    print(SEED_REPORT)


def run(path: Path, width: int, heads: int, effort: float) -> None:
    """The bowls, four studies, the first report; `effort` scales how many iterations there are."""
    bowls(round(effort * 10_000))
    steps = {method: max(2, round(effort * most)) for method, most in STEPS.items()}
    few = {method: steps[method] for method in FEW}
    figures = list[Figure]()
    for word, kind in {"tanh": nn.Tanh, "ReLU": nn.ReLU}.items():
        one = study(f"NLM, {word}", nlm, lambda kind=kind: net(kind, width, 1), steps)
        many = study(f"LUNA, {word}", luna(), lambda kind=kind: net(kind, width, heads), few)
        figures += [curves(f"NLM, {word}", one), curves(f"LUNA, {word}", many)]
    history(width, heads, [max(2, round(effort * most)) for most in (100, 1000)])
    path.write_text(sheet(figures), "utf-8")
    print(f"The figure: {path.resolve()}")


def main(arguments: Sequence[str]) -> None:
    torch.set_num_threads(1)
    path = Path(next((word for word in arguments if not word.startswith("-")), "optimisers.svg"))
    if "--full" in arguments:
        run(path, width=50, heads=HEADS, effort=1.0)
    else:
        run(path, width=20, heads=20, effort=0.2)


if __name__ == "__main__":
    main(sys.argv[1:])
