"""How far from true is the diagonal of elastic weight consolidation?

Six small networks (64-16-10, 1,210 weights, ReLU and tanh, three seeds each) learn scikit-learn's
digits, to the most probable weights under a prior of precision 1. Of each the Hessian, the
Gauss-Newton matrix (which is the Fisher information) and the empirical Fisher are computed, and
what the diagonal, Kronecker factors and whole layers keep of them is printed and drawn.

    python examples/curvature.py [FIGURE.svg]
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from torch import Tensor, nn

from counterpoint.curvature import fisher, ggn, hessian
from counterpoint.gaussian import Precision
from counterpoint.goals import Categorical
from counterpoint.parameters import flatten
from counterpoint.report.figures import Axis, Cells, Figure, Guide, Line, sheet

PRIOR = 1.0
HIDDEN = 16
STRUCTURES = ("diagonal", "kronecker", "block")
Numbers = Mapping[str, Mapping[str, float]]


def digits(rows: int) -> tuple[Tensor, Tensor]:
    """Pictures of 8 x 8 pixels between 0 and 1, and what they show."""
    found = load_digits()
    return torch.tensor(found.data[:rows] / 16), torch.tensor(found.target[:rows])


def trained(activation: type[nn.Module], seed: int, x: Tensor, y: Tensor, steps: int) -> nn.Module:
    """The most probable weights: negative log likelihood and half the squared weights, L-BFGS."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, HIDDEN), activation(), nn.Linear(HIDDEN, 10)).double()
    likelihood, weights = Categorical(), list(model.parameters())
    optimizer = torch.optim.LBFGS(
        weights,
        max_iter=steps,
        max_eval=2 * steps,
        history_size=50,
        tolerance_grad=1e-3,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        penalty = torch.stack([weight.square().sum() for weight in weights]).sum() / 2
        value = likelihood.nll_each(model(x), y).sum() + PRIOR * penalty
        value.backward()
        return value

    optimizer.step(loss)
    return model.eval()


@dataclass(frozen=True)
class Curvatures:
    """One network's: the exact Hessian, and the Gauss-Newton matrix in full and in structures."""

    hessian: Precision
    full: Precision
    structures: Mapping[str, Precision]
    empirical: Tensor

    @classmethod
    def of(cls, model: nn.Module, x: Tensor, y: Tensor) -> "Curvatures":
        """One call each."""
        data, likelihood = [(x, y)], Categorical()
        return cls(
            hessian(model, likelihood, data),
            ggn(model, likelihood, data, structure="dense"),
            {name: ggn(model, likelihood, data, structure=name) for name in STRUCTURES},
            flatten(fisher(model, likelihood, data, labels="empirical").diagonal()),
        )

    def ratios(self, name: str) -> Tensor:
        """Marginal variances of the full matrix over those of a structure, prior included."""
        exact, rough = (one.shift(PRIOR) for one in (self.full, self.structures[name]))
        return flatten(exact.variances()) / flatten(rough.variances())


def correlations(matrix: Tensor) -> Tensor:
    """Each entry off the diagonal in units of its row's and column's: |c|, 0 for dead weights."""
    scale = matrix.diagonal().clamp_min(1e-12 * matrix.diagonal().max()).rsqrt()
    found = (matrix * scale[:, None] * scale).abs()
    return found - torch.diag(found.diagonal())


def energies(matrix: Tensor, sizes: Sequence[int]) -> dict[str, float]:
    """Where the squared Frobenius norm is: on the diagonal, and off it inside layers."""
    squares, layer = (
        matrix.square(),
        torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)),
    )
    diagonal, inside = squares.diagonal().sum(), squares[layer[:, None] == layer].sum()
    return {
        "share on the diagonal": float(diagonal / squares.sum()),
        "share of the rest inside layers": float((inside - diagonal) / (squares.sum() - diagonal)),
    }


def second_task(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The first step that the same pictures in negative would take: minus their gradient."""
    found = torch.autograd.grad(Categorical().nll(model(1 - x), y), list(model.parameters()))
    return -torch.cat([part.flatten() for part in found])


def kept(curvatures: Curvatures, name: str, step: Tensor) -> dict[str, float]:
    """What a structure keeps of variances, of the evidence, of the matrix and of a penalty."""
    ratio, rough = curvatures.ratios(name), curvatures.structures[name]
    exact, matrix = curvatures.full.dense(), rough.dense()
    apart = rough.shift(PRIOR).logdet() - curvatures.full.shift(PRIOR).logdet()
    return {
        "true variance over its own: median": float(ratio.median()),
        "  90 %": float(ratio.quantile(0.9)),
        "  greatest": float(ratio.max()),
        "log det minus true (nats)": float(apart),
        "relative error of the matrix": float((matrix - exact).norm() / exact.norm()),
        "penalty of the other task's step": float(step @ matrix @ step / (step @ exact @ step)),
    }


def measured(model: nn.Module, curvatures: Curvatures, x: Tensor, y: Tensor) -> Numbers:
    """Everything that is said about one network, by topic."""
    sizes = [sum(weight.numel() for weight in layer.parameters()) for layer in (model[0], model[2])]
    exact, rough = curvatures.hessian.dense(), curvatures.full.dense()
    diagonal, apart = exact.diagonal(), (exact - rough).diagonal()
    values = correlations(rough)[~torch.eye(len(rough), dtype=torch.bool)]
    empirical, step = curvatures.empirical, second_task(model, x, y)
    with torch.no_grad():
        output = model(x)
    return {
        "the network": {
            "negative log likelihood (nats)": float(Categorical().nll_each(output, y).sum()),
            "training accuracy": float((output.argmax(1) == y).double().mean()),
            "least eigenvalue, Hessian + prior": curvatures.hessian.shift(PRIOR).least(),
        },
        "Hessian H": energies(exact, sizes),
        "Gauss-Newton G": {
            **energies(rough, sizes),
            "|correlation|: mean": float(values.mean()),
            "  90 %": float(values.quantile(0.9)),
        },
        "H against G": {
            "relative distance": float((exact - rough).norm() / exact.norm()),
            "relative distance of the diagonals": float(apart.norm() / diagonal.norm()),
            "share of diag H below 0": float((diagonal < 0).double().mean()),
        },
        **{f"G kept by {name}": kept(curvatures, name, step) for name in STRUCTURES},
        "empirical Fisher against diag H": {
            "Pearson": float(torch.corrcoef(torch.stack([empirical, diagonal]))[0, 1]),
            "Spearman": float(spearmanr(empirical, diagonal).statistic),
            "sum over sum": float(empirical.sum() / diagonal.sum()),
        },
    }


def show(studies: Sequence[Numbers]) -> None:
    """The mean over seeds, the least and the greatest."""
    for topic, names in studies[0].items():
        print(f"  {topic}")
        for name in names:
            found = [one[topic][name] for one in studies]
            mean = sum(found) / len(found)
            print(f"    {name:35} {short(mean):>9}  ({short(min(found))} to {short(max(found))})")


def short(value: float) -> str:
    """Three digits, whole numbers in full."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def heat_map(full: Precision) -> Figure:
    """Correlations of the incoming weights of each pair of units, root mean square."""
    squares = correlations(full.dense()).square()
    layers = [(unit, 64) for unit in range(HIDDEN)], [(HIDDEN + unit, HIDDEN) for unit in range(10)]
    owner = [
        unit
        for layer in layers
        for unit in [u for u, width in layer for _ in range(width)] + [u for u, _ in layer]
    ]
    member = nn.functional.one_hot(torch.tensor(owner)).to(squares)
    counts = member.sum(0)
    pairs = torch.outer(counts, counts) - torch.diag(counts)
    table = (member.T @ squares @ member / pairs).sqrt()
    high = float(table.max())
    names = [f"hidden {u + 1}" for u in range(HIDDEN)] + [f"digit {digit}" for digit in range(10)]
    rows = list(zip(names, table.tolist(), strict=True))
    tips = [[f"{a}, {b}: {v:.2f}" for b, v in zip(names, row, strict=True)] for a, row in rows]
    shade = [[value / high for value in row] for _, row in rows]
    beside = [
        {HIDDEN // 2: "hidden", HIDDEN + 4: "digits"}.get(unit, "") for unit in range(len(names))
    ]
    return Figure(
        "correlations between the weights of units",
        [Cells(shade, tips=tips)],
        Axis(f"{len(names)} units: {HIDDEN} hidden, 10 digits", names=[""] * len(names)),
        Axis(f"|correlation| of weights, up to {high:.2g}", names=beside),
        width=380,
        height=370,
    )


def curves(curvatures: Curvatures) -> Figure:
    """Weights in order of how many times too small a structure says their variance is."""
    lines = list[Line]()
    for name, tone in zip(STRUCTURES, ("two", "one", "three"), strict=True):
        ratio = curvatures.ratios(name).sort().values[::10]
        share = torch.linspace(0, 1, len(ratio)).tolist()
        lines.append(Line(share, ratio.tolist(), label=name, tone=tone))
    return Figure(
        "true variance over that of each structure",
        [Guide(y=1.0), *lines],
        Axis("share of the weights", kind="percent"),
        Axis("true variance / the structure's own", log=True),
        width=380,
        height=370,
    )


def run(path: Path, seeds: int = 3, rows: int = 1797, steps: int = 500) -> None:
    """Train, measure, print; draw the first ReLU network."""
    x, y = digits(rows)
    for name, activation in {"ReLU": nn.ReLU, "tanh": nn.Tanh}.items():
        studies = list[Numbers]()
        for seed in range(seeds):
            model = trained(activation, seed, x, y, steps)
            curvatures = Curvatures.of(model, x, y)
            studies.append(measured(model, curvatures, x, y))
            if name == "ReLU" and seed == 0:
                drawn = heat_map(curvatures.full), curves(curvatures)
                path.write_text(sheet(drawn), "utf-8")
        print(f"\n{name}: mean over {seeds} seeds (from least to greatest)")
        show(studies)
    print(f"\nThe figure: {path.resolve()}")


if __name__ == "__main__":
    run(Path(sys.argv[1] if len(sys.argv) > 1 else "curvature.svg"))
