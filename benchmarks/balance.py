"""What balancing costs: a step beside a plain one, the peers, and the least work there is.

Two nets of the same run (MLP 784-512-512, 128 rows; CNN of three convolutions, 64 images of
3 x 32 x 32), with K heads of ten classes: every Gram source under the impartial rule, beside
TorchJD (default, one gradient at a time, autogram), LibMTL's IMTL and ConFIG, as ratios to one
plain step on the mean of the losses. Steps are interleaved and taken in processor time. Peak memory
is each case's own process's, above what is resident before the first step. Rules on their own:
microseconds a matrix, beside TorchJD's.

    python benchmarks/balance.py [--repeats 9] [--threads 1] [--only mlp|cnn|memory|rules]
"""

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _measure import RESULTS, environment, interleave, ratios, record, show
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.balance import Balancer, Gram, RuleInputs
from counterpoint.balance.rules import RULES, rule
from counterpoint.seeding import seeded

GOALS = (2, 4, 8, 16)
PACKAGES = ("torchjd", "conflictfree", "LibMTL", "quadprog", "cvxpy")
Step = Callable[[], Any]


class Net(nn.Module):
    """A trunk and K heads of ten classes."""

    def __init__(self, kind: str, goals: int) -> None:
        super().__init__()
        if kind == "mlp":
            layers = [nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU()]
            width = 512
        else:
            layers = []
            for before, after in ((3, 32), (32, 64), (64, 64)):
                layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            layers += [nn.Flatten(), nn.Linear(1024, 256), nn.ReLU()]
            width = 256
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Linear(width, 10) for _ in range(goals))

    def losses(self, z: Tensor, targets: list[Tensor]) -> list[Tensor]:
        """One cross entropy a head."""
        pairs = zip(self.heads, targets, strict=True)
        return [functional.cross_entropy(head(z), target) for head, target in pairs]


class Problem:
    """A net, a batch and plain gradient descent."""

    def __init__(self, kind: str, goals: int) -> None:
        rows, shape = (128, (784,)) if kind == "mlp" else (64, (3, 32, 32))
        with seeded(0):
            self.net = Net(kind, goals)
            self.x = torch.randn(rows, *shape)
            self.targets = [torch.randint(0, 10, (rows,)) for _ in range(goals)]
        self.trunk = list(self.net.trunk.parameters())
        self.optimiser = torch.optim.SGD(self.net.parameters(), 1e-4)

    def losses(self) -> list[Tensor]:
        """All losses, from a forward pass."""
        return self.net.losses(self.net.trunk(self.x), self.targets)

    def goals(self, model: Net, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same by name."""
        found = model.losses(model.trunk(batch["x"]), self.targets)
        return {f"head {place}": loss for place, loss in enumerate(found)}

    def step(self, backward: Callable[[], Any]) -> Step:
        """An optimiser step around a way to fill `.grad`."""

        def whole() -> float:
            start = time.process_time()
            self.optimiser.zero_grad()
            backward()
            self.optimiser.step()
            return time.process_time() - start

        return whole


def plain(kind: str, goals: int) -> Step:
    """The baseline: one backward pass of the mean."""
    problem = Problem(kind, goals)
    return problem.step(lambda: torch.stack(problem.losses()).mean().backward())


def ours(gram: str, name: str = "impartial", *, monitor: bool = True) -> Callable[..., Step]:
    """A balanced step of the library."""

    def make(kind: str, goals: int) -> Step:
        problem = Problem(kind, goals)
        balancer = Balancer(name, gram=gram, monitor=monitor)
        batch = {"x": problem.x}
        return problem.step(lambda: balancer.step(problem.goals, problem.net, batch))

    return make


def floor_features(kind: str, goals: int) -> Step:
    """The least work for a Gram matrix of the features, written for this net."""
    problem = Problem(kind, goals)

    def backward() -> None:
        z = problem.net.trunk(problem.x)
        leaf = z.detach().requires_grad_()
        rows = []
        for loss in problem.net.losses(leaf, problem.targets):
            loss.backward()
            rows.append(leaf.grad)
            leaf.grad = None
        table = torch.stack(rows).flatten(1)
        weights = (table @ table.T).diagonal().rsqrt()
        mixed = (weights * goals / weights.sum() / goals) @ table
        for head, weight in zip(problem.net.heads, weights, strict=True):
            for parameter in head.parameters():
                parameter.grad *= weight
        z.backward(mixed.view_as(z))

    return problem.step(backward)


def floor_loop(kind: str, goals: int) -> Step:
    """K backward passes, one after the other, and their Gram matrix."""
    problem = Problem(kind, goals)

    def backward() -> None:
        losses = problem.losses()
        rows = []
        for place, loss in enumerate(losses):
            loss.backward(retain_graph=place + 1 < goals)
            rows.append(torch.cat([p.grad.flatten() for p in problem.trunk]))
            for parameter in problem.trunk:
                parameter.grad = None
        table = torch.stack(rows)
        mixed = (table @ table.T).diagonal().rsqrt() @ table
        parts = mixed.split([p.numel() for p in problem.trunk])
        for parameter, part in zip(problem.trunk, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    return problem.step(backward)


def torchjd(*, chunk: int | None = None, engine: bool = False) -> Callable[..., Step]:
    """TorchJD with its recommended UPGrad."""

    def make(kind: str, goals: int) -> Step:
        from torchjd.aggregation import UPGrad, UPGradWeighting
        from torchjd.autogram import Engine
        from torchjd.autojac import jac_to_grad, mtl_backward

        problem = Problem(kind, goals)
        if engine:
            gram, weighting = Engine(problem.net.trunk, batch_dim=None), UPGradWeighting()

            def backward() -> None:
                losses = torch.stack(problem.losses())
                losses.backward(weighting(gram.compute_gramian(losses)))
        else:
            aggregator = UPGrad()

            def backward() -> None:
                z = problem.net.trunk(problem.x)
                losses = problem.net.losses(z, problem.targets)
                mtl_backward(losses, features=z, parallel_chunk_size=chunk)
                jac_to_grad(problem.trunk, aggregator)

        return problem.step(backward)

    return make


def config(kind: str, goals: int) -> Step:
    """The reference implementation of ConFIG."""
    from conflictfree.grad_operator import ConFIGOperator
    from conflictfree.utils import apply_gradient_vector, get_gradient_vector

    problem, operator = Problem(kind, goals), ConFIGOperator()

    def backward() -> None:
        rows = []
        losses = problem.losses()
        for place, loss in enumerate(losses):
            problem.optimiser.zero_grad()
            loss.backward(retain_graph=place + 1 < goals)
            rows.append(get_gradient_vector(problem.net, none_grad_mode="zero"))
        apply_gradient_vector(problem.net, operator.calculate_gradient(rows))

    return problem.step(backward)


def libmtl(kind: str, goals: int) -> Step:
    """LibMTL's IMTL on features; its package imports only without its root."""
    if "LibMTL" not in sys.modules:
        spec = importlib.util.find_spec("LibMTL")
        if spec is None or spec.origin is None:
            raise ImportError("LibMTL is not installed")
        root = types.ModuleType("LibMTL")
        root.__path__ = [str(Path(spec.origin).parent)]
        sys.modules["LibMTL"] = root
    from LibMTL.weighting import IMTL

    problem = Problem(kind, goals)

    class Shared(IMTL):
        """What LibMTL expects of the model it is mixed into."""

        def get_share_params(self) -> list[Tensor]:
            return problem.trunk

        def zero_grad_share_params(self) -> None:
            problem.net.trunk.zero_grad(set_to_none=False)

    weighting = Shared()
    weighting.task_num, weighting.task_name = goals, list(range(goals))
    weighting.device, weighting.rep_grad, weighting.epoch = torch.device("cpu"), True, 1
    weighting.init_param()

    def backward() -> None:
        weighting.rep = z = problem.net.trunk(problem.x)
        weighting.rep_tasks = {k: z.detach().clone().requires_grad_() for k in range(goals)}
        pairs = zip(problem.net.heads, problem.targets, strict=True)
        losses = [
            functional.cross_entropy(head(weighting.rep_tasks[k]), target)
            for k, (head, target) in enumerate(pairs)
        ]
        weighting.backward(torch.stack(losses))

    return problem.step(backward)


CASES: dict[str, Callable[..., Step]] = {
    "plain": plain,
    "features": ours("features", monitor=False),
    "features, monitored": ours("features"),
    "parameters": ours("parameters", monitor=False),
    "last": ours("last", monitor=False),
    "sketch": ours("sketch", monitor=False),
    "features, upgrad": ours("features", "upgrad", monitor=False),
    "losses only (uncertainty)": ours("loss", "uncertainty", monitor=False),
    "floor: features by hand": floor_features,
    "floor: K backward passes": floor_loop,
    "TorchJD": torchjd(),
    "TorchJD, chunk 1": torchjd(chunk=1),
    "TorchJD, autogram": torchjd(engine=True),
    "LibMTL IMTL, features": libmtl,
    "conflictfree ConFIG": config,
}


def steps(kind: str, goals: int, repeats: int) -> dict[str, Any]:
    """Ratios to the plain step, and what could not be run."""
    made: dict[str, Step] = {}
    notes: dict[str, str] = {}
    for name, make in CASES.items():
        try:
            made[name] = make(kind, goals)
            for _ in range(2):
                made[name]()
        except (ImportError, RuntimeError, AttributeError, TypeError) as error:
            made.pop(name, None)
            notes[name] = f"{type(error).__name__}: {error}"[:120]
    found = ratios(interleave(made, repeats), "plain")
    print(f"\n{kind}, {goals} goals: plain {found['plain']['median_seconds'] * 1e3:.1f} ms")
    show(found, notes)
    return {"ratios": found, "not run": notes}


def memory(kind: str, goals: int) -> dict[str, float]:
    """Peak resident memory of each case above what was there before, MiB."""
    found: dict[str, float] = {}
    for name in CASES:
        command = [sys.executable, __file__, "--peak", name, kind, str(goals)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found[name] = float(done.stdout.split()[-1])
    print(f"\n{kind}, {goals} goals: peak memory, MiB")
    for name, value in found.items():
        print(f"{value:8.1f}  {name}")
    return found


def peak(name: str, kind: str, goals: int) -> None:
    """One case in a process of its own."""
    step = CASES[name](kind, goals)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(4):
        step()
    print(round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1))


def solvers(repeats: int) -> dict[str, dict[str, float]]:
    """Microseconds of every rule on random gradients of unlike lengths."""
    peers = _peer_rules()
    found: dict[str, dict[str, float]] = {}
    for goals in (2, 4, 8, 16, 32, 64):
        generator = torch.Generator().manual_seed(goals)
        rows = torch.randn(goals, 1000, generator=generator, dtype=torch.float64)
        rows *= 10 ** torch.linspace(-1, 1, goals, dtype=torch.float64)[:, None]
        gram, ones = Gram.of(rows), torch.ones(goals, dtype=torch.float64)
        given = RuleInputs(ones, gram.norms, gram.cosines, ones, generator)
        for name in RULES:
            solver = rule(name)
            state = solver.start(goals)
            key = f"{name}, {goals}"
            found[key] = {
                "ours": _each(lambda s=solver, g=given, t=state: s.weights(g, t), repeats)
            }
            if name in peers:
                weighting = peers[name](goals)
                matrix = gram.matrix.float()
                found[key]["TorchJD"] = _each(lambda w=weighting, m=matrix: w(m), repeats)
    for key, row in found.items():
        print(f"{key:24s}" + "".join(f"  {who} {value:9.1f} us" for who, value in row.items()))
    return found


def _peer_rules() -> dict[str, Callable[[int], Any]]:
    try:
        from torchjd import aggregation as peer
    except ImportError:
        return {}
    return {
        "upgrad": lambda _: peer.UPGradWeighting(),
        "mgda": lambda _: peer.MGDAWeighting(),
        "pcgrad": lambda _: peer.PCGradWeighting(),
        "cagrad": lambda _: peer.CAGradWeighting(c=0.5),
        "imtl-g": lambda _: peer.IMTLGWeighting(),
        "aligned-mtl": lambda _: peer.AlignedMTLWeighting(),
    }


def _each(run: Callable[[], Any], repeats: int) -> float:
    run()
    times = []
    for _ in range(max(5, repeats)):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return round(statistics.median(times) * 1e6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=["mlp", "cnn", "memory", "rules"])
    parser.add_argument("--peak", nargs=3, metavar=("CASE", "NET", "GOALS"))
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    warnings.filterwarnings("ignore")
    if told.peak:
        peak(told.peak[0], told.peak[1], int(told.peak[2]))
        return
    path = RESULTS / "balance.json"
    content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for kind in ("mlp", "cnn"):
        if told.only in (None, kind):
            content[kind] = {str(k): steps(kind, k, told.repeats) for k in GOALS}
    if told.only in (None, "memory"):
        content["memory"] = {str(k): memory("mlp", k) for k in (4, 16)}
    if told.only in (None, "rules"):
        content["rules"] = solvers(told.repeats)
    content["environment"] = environment("counterpoint", *PACKAGES)
    print(f"\n{record('balance', content)}")


if __name__ == "__main__":
    main()
