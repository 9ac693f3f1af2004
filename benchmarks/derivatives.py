"""Input gradients by every scheme: what they cost, and what float32 makes of them.

A tanh network D-50-50-M in float32, D in {1, 8, 64}, M in {1, 50}, N in {100, 1000} points. Beside
our schemes three ways of `torch` alone: one backward pass over all outputs (is_grads_batched),
`vmap(jacrev)` and `vmap(jacfwd)`. Two costs, as ratios to one forward and backward pass of the
summed squared output over the same points, in processor time: J alone without a graph, and J, the
diversity of the heads (their squared cosines, stacked) and its gradient by the weights; at D = 8
also with layer normalisation, and with maxout, through which no slopes are pushed. And errors of
differences in float32 and float64 by their step, which `--figure` alone computes and draws.

    python benchmarks/derivatives.py [--repeats 7] [--quick] [--figure]
"""

import argparse
import itertools
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from _measure import environment, interleave, ratios, record, show
from torch import Tensor, nn
from torch.func import functional_call, jacfwd, jacrev, vmap

from counterpoint.derivatives import (
    CentralDifference,
    Drawn,
    Fixed,
    ForwardDifference,
    Richardson,
    Scheme,
    gradients,
)
from counterpoint.goals import diversity
from counterpoint.report.figures import Axis, Figure, Line, sheet
from counterpoint.seeding import generator, seeded

Way = Callable[[nn.Module, Tensor], Tensor]
Case = Callable[[], None]
FIGURE = Path(__file__).parents[1] / "docs" / "_static" / "difference-errors.svg"
BUDGET = 0.02
"""Seconds that one turn of a case takes at least, by repeating it."""
EXACT = ("auto", "forward-mode", "reverse-mode")
LARGEST = 500_000
"""Numbers in J beyond which `torch.func`'s ways are left out where they take minutes."""


class Maxout(nn.Module):
    """The greater of two sums, an operation that `derivatives.pushed` has no rule for."""

    def forward(self, x: Tensor) -> Tensor:
        """Half as many columns."""
        return x.unflatten(1, (-1, 2)).amax(2)


def net(
    inputs: int, outputs: int, dtype: torch.dtype = torch.float32, kind: str = "tanh"
) -> nn.Sequential:
    """The network of every row, of a kind."""
    hidden: dict[str, Callable[[], list[nn.Module]]] = {
        "tanh": lambda: [nn.Linear(50, 50), nn.Tanh()],
        "layer norm": lambda: [nn.LayerNorm(50), nn.Linear(50, 50), nn.LayerNorm(50), nn.Tanh()],
        "maxout": lambda: [nn.Linear(50, 100), Maxout()],
    }
    with seeded(0):
        first = [nn.Linear(inputs, 50), nn.Tanh()]
        return nn.Sequential(*first, *hidden[kind](), nn.Linear(50, outputs)).to(dtype)


def by(name: str | Scheme) -> Way:
    """One of our schemes."""
    return lambda model, x: gradients(model, x, name)


def batched_backward(model: nn.Module, x: Tensor) -> Tensor:
    """All backward passes as one, vectorised."""
    kept = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        values = model(x)
    picks = torch.eye(values.shape[1])[:, None].expand(-1, len(x), -1)
    options = {"is_grads_batched": True, "create_graph": kept}
    return torch.autograd.grad(values, x, picks, **options)[0].transpose(0, 1)


def through_func(jacobian: Callable[..., Any]) -> Way:
    """`torch.func`, row by row."""

    def way(model: nn.Module, x: Tensor) -> Tensor:
        weights = dict(model.named_parameters())
        return vmap(jacobian(lambda row: functional_call(model, weights, (row,))))(x)

    return way


WAYS: Mapping[str, Way] = {
    **{name: by(name) for name in EXACT},
    "forward": by(ForwardDifference(Fixed(0.05))),
    "forward, relative": by("forward"),
    "forward, drawn": by(ForwardDifference(Drawn())),
    "central": by(CentralDifference(Fixed(0.05))),
    "richardson": by(Richardson(Fixed(0.1))),
    "complex-step": by("complex-step"),
    "torch batched backward": batched_backward,
    "torch vmap(jacrev)": through_func(jacrev),
    "torch vmap(jacfwd)": through_func(jacfwd),
}


def timed(run: Case) -> Callable[[], float]:
    """Processor seconds of one run, from as many as fill the budget."""
    run()
    begin = time.process_time()
    run()
    times = max(1, round(BUDGET / max(time.process_time() - begin, 1e-6)))

    def once() -> float:
        start = time.process_time()
        for _ in range(times):
            run()
        return (time.process_time() - start) / times

    return once


def cases(
    inputs: int, outputs: int, rows: int, kind: str
) -> tuple[dict[str, Case], dict[str, Case]]:
    """J alone, and J with the weights' gradient of its diversity, by name of the way."""
    model = net(inputs, outputs, kind=kind)
    x = torch.randn(rows, inputs, generator=generator(0))
    weights = list(model.parameters())

    def plain() -> None:
        torch.autograd.grad(model(x).square().sum(), weights)

    def alone(way: Way) -> Case:
        def run() -> None:
            with torch.no_grad():
                way(model, x)

        return run

    def again(way: Way) -> Case:
        def run() -> None:
            found = way(model, x)
            goal = diversity(found) if outputs > 1 else found.square().sum()
            torch.autograd.grad(goal, weights, allow_unused=True)

        return run

    small = rows * outputs * inputs <= LARGEST
    ways = {name: way for name, way in WAYS.items() if small or not name.startswith("torch")}
    if kind != "tanh":  # which have no complex version
        ways.pop("complex-step")
    return (
        {"plain": plain, **{name: alone(way) for name, way in ways.items()}},
        {"plain": plain, **{name: again(way) for name, way in ways.items()}},
    )


def table(repeats: int, sizes: Sequence[tuple[int, int, int, str]]) -> dict[str, Any]:
    """Every size; and how far the automatic choice is from the fastest exact scheme."""
    content, apart = dict[str, Any](), list[float]()
    for inputs, outputs, rows, kind in sizes:
        label = f"D={inputs} M={outputs} N={rows}" + (f" {kind}" if kind != "tanh" else "")
        print(f"\n{label}")
        content[label] = dict[str, Any]()
        parts = ("J alone", "J, diversity and its gradient")
        for part, found in zip(parts, cases(inputs, outputs, rows, kind), strict=True):
            runs = {name: timed(run) for name, run in found.items()}
            rows_found = ratios(interleave(runs, repeats), "plain")
            print(f"  {part}: times one forward and backward pass")
            show(rows_found, {})
            exact = {name: rows_found[name]["median"] for name in EXACT}
            apart.append(exact["auto"] / min(exact.values()))
            content[label][part] = rows_found
    near = sum(one <= 1.15 for one in apart)
    content["auto"] = {
        "cases": len(apart),
        "within 15 % of the fastest exact scheme": near,
        "largest ratio to it": round(max(apart), 2),
    }
    print(f"\nauto is within 15 % of the fastest exact scheme in {near} of {len(apart)} cases")
    return content


def errors() -> dict[str, dict[str, list[float]]]:
    """Relative errors of J by step, 8-50-50-10 at 300 points, against float64 forward mode."""
    steps = [10**exponent for exponent in torch.linspace(-6, 0, 25).tolist()]
    kinds = {"forward": ForwardDifference, "central": CentralDifference, "richardson": Richardson}
    found: dict[str, dict[str, list[float]]] = {"step": {"all": steps}}
    x = torch.randn(300, 8, dtype=torch.float64, generator=generator(0))
    model = net(8, 10, torch.float64)
    with torch.no_grad():
        exact = gradients(model, x)
        for dtype in (torch.float32, torch.float64):
            small, points = net(8, 10, dtype), x.to(dtype)
            found[str(dtype).removeprefix("torch.")] = {
                name: [
                    float((gradients(small, points, kind(Fixed(step))) - exact).norm())
                    / float(exact.norm())
                    for step in steps
                ]
                for name, kind in kinds.items()
            }
    return found


def show_errors(found: Mapping[str, Mapping[str, list[float]]]) -> None:
    """The best step of every difference and its error; and errors at some steps."""
    steps = found["step"]["all"]
    for dtype in ("float32", "float64"):
        for name, each in found[dtype].items():
            least = min(range(len(steps)), key=each.__getitem__)
            some = ", ".join(f"{steps[at]:.0e}: {each[at]:.1e}" for at in range(0, len(steps), 4))
            print(f"{dtype} {name}: best {each[least]:.1e} at {steps[least]:.1e}; {some}")


def draw(found: Mapping[str, Mapping[str, list[float]]]) -> None:
    """The figure of the page on derivatives."""
    tones = dict(zip(("forward", "central", "richardson"), ("one", "two", "three"), strict=True))
    lines = [
        Line(
            found["step"]["all"],
            [math.log10(error) for error in found[dtype][name]],
            label=f"{name}, {dtype}",
            tone=tone,  # pyright: ignore[reportArgumentType]
            dashed=dtype == "float64",
        )
        for dtype in ("float32", "float64")
        for name, tone in tones.items()
    ]
    figure = Figure(
        "errors of differences by their step",
        lines,
        Axis("step", log=True),
        Axis("relative error of the input gradients, as a power of ten"),
        description="In float32 the best steps are 0.002 (forward), 0.02 and 0.3 (Richardson), "
        "with errors of 4e-4, 2e-5 and 4e-6; smaller steps are worse in proportion. In float64 "
        "the least errors are 1e-7 and below.",
        width=560,
        height=380,
    )
    FIGURE.write_text(sheet([figure]), "utf-8")
    print(f"The figure: {FIGURE}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one size, no files")
    parser.add_argument("--figure", action="store_true", help="only the errors, and their figure")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.figure:
        show_errors(found := errors())
        draw(found)
        return
    sizes = [
        *itertools.product((1, 8, 64), (1, 50), (100, 1000), ("tanh",)),
        *itertools.product((8,), (1, 50), (100, 1000), ("layer norm", "maxout")),
    ]
    found = errors()
    content = {
        "environment": environment(),
        "repeats": options.repeats,
        "input gradients": table(options.repeats, sizes[2:3] if options.quick else sizes),
        "errors": found,
        "load": [round(value, 2) for value in os.getloadavg()],
    }
    if not options.quick:
        draw(found)
        print(record("derivatives", content))


if __name__ == "__main__":
    main()
