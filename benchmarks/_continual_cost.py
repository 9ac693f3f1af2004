"""What importances and penalties cost, in plain epochs and plain steps: for ``continual.py``."""

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from _measure import installed, interleave, ratios, show
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.continual import EWC
from counterpoint.curvature import fisher
from counterpoint.datasets import mnist
from counterpoint.errors import InputError
from counterpoint.goals import Categorical
from counterpoint.seeding import generator, seeded

ROWS, BATCH, CHUNK = 10_000, 128, 1000
FEW, FEWER = 200, 20
"""Rows of the loops over one row at a time, with the observed label and with all ten."""

TASKS = (1, 5, 20)
STEPS = 10
"""In one timing of a step."""

Case = Callable[[], Any]
Batches = list[tuple[Tensor, Tensor]]


def cost(repeats: int) -> dict[str, Any]:
    """Both parts."""
    return {"rows": ROWS, "importances": importances(repeats), "penalties": penalties(repeats)}


def rows() -> tuple[Tensor, Tensor]:
    """Rows of MNIST, or random ones of its shape."""
    try:
        found = mnist()
    except InputError:
        draw = generator(0)
        return torch.rand(ROWS, 784, generator=draw), torch.randint(10, (ROWS,), generator=draw)
    x = torch.tensor(found.train_images[:ROWS]).flatten(1) / 255
    return x, torch.tensor(found.train_labels[:ROWS]).long()


def network() -> nn.Module:
    """784-400-400-10."""
    with seeded(0):
        return nn.Sequential(
            nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10)
        )


def split(found: tuple[Tensor, Tensor], size: int) -> Batches:
    """In batches."""
    return list(zip(*(part.split(size) for part in found), strict=True))


def importances(repeats: int) -> dict[str, Any]:
    """Fisher information of a net that has learnt for three epochs, in epochs."""
    found, net = rows(), network()
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)

    def epoch(*, step: bool = True) -> None:
        for x, y in split(found, BATCH):
            optimiser.zero_grad()
            functional.cross_entropy(net(x), y).backward()
            if step:
                optimiser.step()

    for _ in range(3):
        epoch()
    cases: dict[str, Case] = {
        "plain epoch": epoch,
        "forward and backward alone": partial(epoch, step=False),
        **ours(net, split(found, CHUNK)),
    }
    notes = dict[str, str]()
    if installed("avalanche-lib"):
        cases["wrong: Avalanche, batches of 128"] = through_avalanche(net, optimiser, found)
    else:
        notes["Avalanche"] = "not installed"
    # one row after the other takes minutes an epoch: few rows, scaled
    slow = {
        "torch.func.vmap, observed labels": (through_func(net, split(found, BATCH)[:8]), 8 * BATCH),
        "loop of one row, observed label": (loop(net, found, FEW, every=False), FEW),
        "loop of one row, all ten labels": (loop(net, found, FEWER, every=True), FEWER),
    }
    for name, (case, count) in slow.items():
        cases[name] = partial(scaled, case, ROWS / count)
    print("\nImportances, in plain epochs")
    timings = {name: timed(case) for name, case in cases.items()}
    table = ratios(interleave(timings, repeats), "plain epoch")
    show(table, notes)
    return {"ratios": table, "notes": notes, "batch squares": batch_squares(net, found)}


def ours(net: nn.Module, batches: Batches) -> dict[str, Case]:
    """Counterpoint's."""
    likelihood = Categorical(validate=False)

    def of(**options: Any) -> Case:
        return lambda: fisher(net, likelihood, batches, **options)

    return {
        "empirical diagonal": of(labels="empirical"),
        "sampled diagonal": of(labels="sampled", generator=generator(1)),
        "exact diagonal": of(),
        "jac diagonal": of(labels="jac"),
        "exact Kronecker": of(structure="kronecker"),
        "EWC.consolidate, exact diagonal": lambda: EWC().consolidate(net, likelihood, batches),
    }


def loop(net: nn.Module, found: tuple[Tensor, Tensor], count: int, *, every: bool) -> Case:
    """A backward pass for each row, or for each row and label."""
    weights = list(net.parameters())

    def case() -> None:
        total = [torch.zeros_like(weight) for weight in weights]
        for x, y in zip(found[0][:count], found[1][:count], strict=True):
            logs = net(x[None])[0].log_softmax(0)
            for label in range(10) if every else [int(y)]:
                parts = torch.autograd.grad(logs[label], weights, retain_graph=True)
                share = float(logs[label].detach().exp()) if every else 1.0
                for into, part in zip(total, parts, strict=True):
                    into.addcmul_(part, part, value=share)

    return case


def through_func(net: nn.Module, batches: Batches) -> Case:
    """A gradient for each row by `torch.func`."""
    weights = {name: value.detach() for name, value in net.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        output = torch.func.functional_call(net, weights, (x[None],))
        return functional.cross_entropy(output, y[None])

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))

    def case() -> None:
        total = {name: torch.zeros_like(value) for name, value in weights.items()}
        for x, y in batches:
            for name, value in each(weights, x, y).items():
                total[name] += value.square().sum(0)

    return case


def through_avalanche(
    net: nn.Module, optimiser: torch.optim.Optimizer, found: tuple[Tensor, Tensor]
) -> Case:
    """Its plugin's importances: squares of the mean gradients of batches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from avalanche.training.plugins import EWCPlugin

    class Rows(torch.utils.data.Dataset[Any]):
        """Rows as it wants them: input, label, task."""

        def __len__(self) -> int:
            return ROWS

        def __getitem__(self, place: int) -> tuple[Tensor, Tensor, int]:
            return found[0][place], found[1][place], 0

    plugin, criterion = EWCPlugin(1.0), nn.CrossEntropyLoss()
    return lambda: plugin.compute_importances(net, criterion, optimiser, Rows(), "cpu", BATCH)


def batch_squares(net: nn.Module, found: tuple[Tensor, Tensor]) -> dict[str, float]:
    """How far the square of the batch gradient is from the Fisher information, by batch size."""
    likelihood = Categorical()
    exact = fisher(net, likelihood, split(found, CHUNK)).diagonal()
    result = dict[str, float]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for size in (16, 128, 1000):
            memory = EWC(labels="batch")
            memory.consolidate(net, likelihood, split(found, size))
            wrong = memory.gaussian.precision.diagonal()
            trace = sum(float(value.sum()) for value in exact.values())
            other = sum(float(value.sum()) for value in wrong.values())
            result[f"exact trace over that of batches of {size}"] = round(trace / other, 2)
    return result


def penalties(repeats: int) -> dict[str, Any]:
    """A step with the penalty of so many tasks, in plain steps; and the bytes held."""
    x, y = (part[:BATCH] for part in rows())
    content = dict[str, Any]()
    for count in TASKS:
        diagonal = remembered(count)
        cases = {
            "plain step": stepping(x, y),
            "gradients added": stepping(x, y, after=adding(diagonal)),
            "gradients added, value read": stepping(x, y, after=adding(diagonal, value=True)),
            "penalty in the loss": stepping(x, y, before=in_the_loss(diagonal)),
        }
        for name in ("kronecker-merged", "kronecker"):
            memory = remembered(count, structure=name)
            cases[f"gradients added, {name}"] = stepping(x, y, after=adding(memory))
        if installed("avalanche-lib"):
            cases["Avalanche, separate"] = avalanche_step(x, y, count)
        print(f"\nA step after {count} tasks, in plain steps")
        timings = {name: timed(case) for name, case in cases.items()}
        table = ratios(interleave(timings, repeats), "plain step")
        show(table, {})
        held = sum(value.nbytes for value in diagonal.state_dict().values())
        content[str(count)] = {"ratios": table, "megabytes held": round(held / 2**20, 2)}
    return content


def remembered(tasks: int, **options: Any) -> EWC:
    """A memory of tasks, learnt at weights a little apart."""
    net, memory, draw = network(), EWC(**options), generator(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(tasks):
            with torch.no_grad():
                for weight in net.parameters():
                    weight += 0.01 * torch.randn(weight.shape, generator=draw)
            x, y = torch.rand(64, 784, generator=draw), torch.arange(64) % 10
            memory.consolidate(net, Categorical(), [(x, y)])
    return memory


def adding(memory: EWC, *, value: bool = False) -> Callable[[nn.Module], object]:
    """After the backward pass."""

    def act(net: nn.Module) -> object:
        memory.add_gradients(net, rows=ROWS)
        return memory.value(net, rows=ROWS) if value else None

    return act


def in_the_loss(memory: EWC) -> Callable[[nn.Module], Tensor]:
    """With a graph."""
    return lambda net: memory.penalty(net, rows=ROWS)


def stepping(
    x: Tensor,
    y: Tensor,
    before: Callable[[nn.Module], Tensor] | None = None,
    after: Callable[[nn.Module], object] | None = None,
) -> Case:
    """Some steps of Adam, with something before and after the backward pass."""
    net = network()
    optimiser = torch.optim.Adam(net.parameters(), 1e-4)

    def case() -> None:
        for _ in range(STEPS):
            optimiser.zero_grad()
            loss = functional.cross_entropy(net(x), y)
            (loss if before is None else loss + before(net)).backward()
            if after is not None:
                after(net)
            optimiser.step()

    return case


def avalanche_step(x: Tensor, y: Tensor, tasks: int) -> Case:
    """Its plugin's penalty in the loss, a quadratic a task."""
    import types

    from avalanche.training.plugins import EWCPlugin
    from avalanche.training.utils import ParamData

    net, plugin = network(), EWCPlugin(1.0, mode="separate")
    for task in range(tasks):
        weights = {name: value.detach() for name, value in net.named_parameters()}
        plugin.saved_params[task] = {
            name: ParamData(name, init_tensor=value + 0.01) for name, value in weights.items()
        }
        plugin.importances[task] = {
            name: ParamData(name, init_tensor=torch.rand_like(value) * 1e-3)
            for name, value in weights.items()
        }
    clock = types.SimpleNamespace(train_exp_counter=tasks)
    strategy = types.SimpleNamespace(clock=clock, model=net, device=torch.device("cpu"))
    optimiser = torch.optim.Adam(net.parameters(), 1e-4)

    def case() -> None:
        for _ in range(STEPS):
            optimiser.zero_grad()
            strategy.loss = functional.cross_entropy(net(x), y)
            plugin.before_backward(strategy)
            strategy.loss.backward()
            optimiser.step()

    return case


def timed(case: Case) -> Callable[[], float]:
    """Processor seconds of a run, which other work on the machine hardly moves; or its own."""

    def measure() -> float:
        begin = time.process_time()
        own = case()
        return own if isinstance(own, float) else time.process_time() - begin

    return measure


def scaled(case: Case, factor: float) -> float:
    """Processor seconds of a few rows, as if of all."""
    begin = time.process_time()
    case()
    return factor * (time.process_time() - begin)
