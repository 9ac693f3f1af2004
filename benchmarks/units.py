"""Do units that add and multiply find the formula? Success over seeds, and what a balance does.

    python benchmarks/units.py [--seeds 20] [--steps 12000]

The arithmetic task of Madsen & Johansen (2020), made small: eight inputs from U[1, 2], of which a
is the sum of two neighbours and b that of the next two, overlapping in one; the target is a + b,
a - b or a x b; two layers, NAU 8-2 and NAU or NMU 2-1, batches of 128, Adam. (Theirs: 100 inputs,
25 of which are summed, and five million steps.) A seed succeeds where the root mean square error on
inputs from U[2, 6] is below a thousandth of the targets' standard deviation there.

Two goals, the fit and the sparsity of the wiring, in four ways: their sum with the sparsity growing
from the middle of the run on, as published; the sum from the start; impartial weights
(``w ~ 1 / |g|``) from the start; and UPGrad from the start (of each gradient that is left out which
points against the other). All ways and seeds run side by side as one batch;
that the weights are those of the library's rules is checked at the beginning.
"""

import argparse
import math
from collections.abc import Sequence

import torch
from _measure import environment, record
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from counterpoint.balance import Balancer
from counterpoint.nn import NAU, NMU, sparsity
from counterpoint.seeding import generator, seeded

INPUTS, BATCH, RATE, STRENGTH = 8, 128, 0.01, 10.0
WAYS = ("sum, late", "sum, at once", "impartial, at once", "upgrad, at once")
PUBLISHED = {"+": 1.0, "-": 1.0, "x": 0.98}  # NAU, NAU, NMU: 100 seeds, table of stable-nalu


class Arithmetic(nn.Module):
    """Two layers, and beside the output how sparse they are."""

    def __init__(self, operation: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(NAU(INPUTS, 2), (NMU if operation == "x" else NAU)(2, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and the goal of sparsity."""
        return self.layers(x)[..., 0], sparsity(self)


def target(x: Tensor, first: Tensor, operation: str) -> Tensor:
    """``a o b``; `first` is where the three inputs begin, a run each."""
    place = first[:, None, None] + torch.arange(3)
    one, two, three = x.gather(2, place.expand(-1, x.shape[1], -1)).unbind(-1)
    a, b = one + two, two + three
    return a + b if operation == "+" else a - b if operation == "-" else a * b


def shares(fit: Tensor, sparse: Tensor, way: str) -> Tensor:
    """Weights of the two gradients, a row a run; they stand as rows of `fit` and `sparse`."""
    ones = torch.ones(len(fit), 2)
    if way.startswith("sum"):
        return ones
    inner, own = (fit * sparse).sum(1), fit.square().sum(1)
    if way.startswith("impartial"):
        norms = torch.stack([own.sqrt(), sparse.norm(dim=1)], 1).clamp_min(1e-20)
        return 2 / norms / (1 / norms).sum(1, keepdim=True)
    # f - min(f.s, 0) s / s.s + s - min(f.s, 0) f / f.f
    back = (-inner).clamp_min(0.0)[:, None]
    sizes = torch.stack([own, sparse.square().sum(1)], 1).clamp_min(1e-30)
    return 1 + back / sizes


def check() -> None:
    """Weights as the library's balancer has them, up to a common factor."""
    at = nn.Parameter(torch.tensor([1.0, 2.0]))
    gradients = torch.tensor([[1.0, 0.5], [-3.0, 0.2]])
    for way in ("impartial", "upgrad"):
        at.grad = None
        goals = {"fit": gradients[0] @ at, "sparse": gradients[1] @ at}
        module = nn.ParameterList([at])
        Balancer(way, gram="parameters").backward(goals, module)
        ours = shares(gradients[:1], gradients[1:], way)[0] @ gradients
        cosine = torch.nn.functional.cosine_similarity(at.grad, ours, dim=0)
        if not cosine > 1 - 1e-5:
            raise SystemExit(f"{way}: another direction than the library's, cosine {cosine:.6f}")


def study(operation: str, seeds: int, steps: int) -> dict[str, dict[str, float]]:
    """All ways and seeds side by side; the share of seeds that succeed, a way."""
    runs = len(WAYS) * seeds
    models = list[nn.Module]()
    for run in range(runs):
        with seeded(run % seeds):  # every way begins where the others do
            models.append(Arithmetic(operation))
    weights, _ = stack_module_state(models)
    first = torch.arange(runs) % seeds % (INPUTS - 2)
    call = torch.vmap(lambda each, x: functional_call(models[0], each, (x,)))
    optimiser = torch.optim.Adam(list(weights.values()), lr=RATE, fused=True)
    draws = generator(0)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        x = (torch.rand(seeds, BATCH, INPUTS, generator=draws) + 1).repeat(len(WAYS), 1, 1)
        out, sparse = call(weights, x)
        fit = (out - target(x, first, operation)).square().mean(1)
        late = min(max((step / steps - 0.5) / 0.25, 0.0), 1.0)
        begun = torch.tensor([late if "late" in way else 1.0 for way in WAYS])
        parts = [
            torch.autograd.grad(goal, list(weights.values()), retain_graph=True)
            for goal in (fit.sum(), (STRENGTH * begun.repeat_interleave(seeds) * sparse).sum())
        ]
        flat = [torch.cat([part.flatten(1) for part in each], 1) for each in parts]
        share = torch.cat([
            shares(one, two, way)
            for one, two, way in zip(*(part.split(seeds) for part in flat), WAYS, strict=True)
        ])  # fmt: skip
        for place, weight in enumerate(weights.values()):
            shape = (-1, *(1,) * (weight.ndim - 1))
            weight.grad = sum(share[:, goal].view(shape) * parts[goal][place] for goal in (0, 1))
        optimiser.step()
        if step % 2000 == 1999:
            print(operation, step + 1, summary(operation, call, weights, first, seeds), flush=True)
    return summary(operation, call, weights, first, seeds)


def summary(operation, call, weights, first, seeds) -> dict[str, dict[str, float]]:  # noqa: ANN001
    """Success and median sparsity, a way."""
    x = 2 + 4 * torch.rand(len(first), 2000, INPUTS, generator=generator(1))
    with torch.no_grad():
        (out, sparse), y = call(weights, x), target(x, first, operation)
        error = (out - y).square().mean(1).sqrt() / y.std(1)
    found = {}
    for way, errors, wiring in zip(WAYS, error.split(seeds), sparse.split(seeds), strict=True):
        right = float((errors < 1e-3).float().mean())
        found[way] = {
            "success": right,
            "standard error": round(math.sqrt(right * (1 - right) / seeds), 3),
            "median error": float(errors.median()),
            "median sparsity": float(wiring.median()),
        }
    return found


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=12_000)
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    check()
    found = {name: study(name, given.seeds, given.steps) for name in ("+", "-", "x")}
    content = {
        "environment": environment(),
        "seeds": given.seeds,
        "steps": given.steps,
        "published": PUBLISHED,
        "found": found,
    }
    record("units", content)


if __name__ == "__main__":
    main()
