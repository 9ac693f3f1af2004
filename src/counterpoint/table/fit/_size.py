"""How much memory and time a fit takes, known before the training."""

import resource
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from counterpoint.errors import InputError
from counterpoint.nn import TableNet
from counterpoint.recipe import Recipe
from counterpoint.seeding import seeded
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.model._network import build_network, chunk

_COPIES = 7
"""Of the weights: themselves, gradients, two moments, best, a checkpoint's, a step's."""

_PIECES = 4
"""Of a piece of encoded rows: codes' vectors, numbers, bins, and all of them side by side."""

_ROOMS = (
    Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"), Path("/proc/meminfo")
)  # fmt: skip
_TRIED = 3


@dataclass(frozen=True)
class FitSize:
    """What a fit will take.

    Attributes:
        rows: to learn from.
        inputs: encoded entries of a row.
        memory: bytes at the peak, those in use already included.
        seconds: of training, at most.
    """

    rows: int
    inputs: int
    memory: float
    seconds: float

    @property
    def sentence(self) -> str:
        """The size for people."""
        return (
            f"{self.rows:,} rows of {self.inputs:,} encoded inputs: training takes at most about"
            f" {_time(self.seconds)}, and about {self.memory / 1e9:.1f} GB of memory"
        )

    def refuse_too_large(self, free: float | None) -> None:
        """Refuse what does not fit, before hours are spent on it.

        Args:
            free: bytes that there are; none: not known.

        Raises:
            InputError: says what would make it smaller.
        """
        if free is not None and self.memory > free:
            raise InputError(
                f"memory: this fit needs about {self.memory / 1e9:.1f} GB, and {free / 1e9:.1f} GB"
                " are free; take fewer networks (--network.members 1), fewer bins (--network.bins"
                " 8), fewer rows, or leave columns out (--ignore NAME)"
            )


def measure_size(prepared: Prepared, recipe: Recipe, free: float | None) -> FitSize:
    """How much memory and time the training of a table takes, by its shapes and a few steps.

    Args:
        prepared: the table.
        recipe: with every default resolved.
        free: bytes of memory that there are; none: not known.

    Raises:
        InputError: it needs more, see `FitSize.refuse_too_large`.
    """
    with torch.device("meta"):  # by shapes alone: what does not fit is not made to find out
        network = build_network(prepared.schema, recipe)
    members, fitted = recipe.network.members, len(prepared.rows.fitted(0))
    weights = sum(value.numel() for value in network.parameters())
    features = recipe.network.width * len(prepared.rows.train) * members
    piece = chunk(network) * (network.inputs + 4 * recipe.network.width)
    # features of all members in float32, of one in float64 beside it and once more squared
    numbers = _COPIES * members * weights + _PIECES * piece + features * (1 + 4 / members)
    batch = min(recipe.training.batch_size, fitted)
    steps = recipe.training.epochs * -(-fitted // batch) * members
    size = FitSize(fitted, network.inputs, resident() + 4 * numbers, seconds=0.0)
    size.refuse_too_large(free)
    half = recipe.training.precision == "bfloat16"
    with seeded(0):  # the weights are thrown away; the caller's random numbers are not to be
        network = build_network(prepared.schema, recipe)
    return replace(size, seconds=steps * _step(network, prepared, batch, half=half))


def _step(network: TableNet, prepared: Prepared, batch: int, *, half: bool) -> float:
    """Seconds of one step of one network, the update of its weights included."""
    rows = torch.from_numpy(prepared.rows.train[:batch])
    inputs = [prepared.inputs[name][rows] for name in ("categories", "numbers")]
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), 0.0, fused=True)
    seconds = list[float]()
    with seeded(0):  # of dropout
        for _ in range(_TRIED):
            began = time.perf_counter()
            optimiser.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                total = torch.stack([out.sum() for out in network(*inputs).values()]).sum()
            total.backward()
            optimiser.step()
            seconds.append(time.perf_counter() - began)
    # the first ones warm up
    return min(seconds)


def resident() -> float:
    """Bytes that this process holds."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    # without it, the most that it ever held, in KiB but for macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def free_memory() -> float | None:
    """Bytes that this process may hold, those it holds included; None where nothing says so."""
    limit, current, machine = _ROOMS
    held, found = resident(), list[float]()
    if machine.exists():
        lines = dict(line.split(":", 1) for line in machine.read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024 + held)
    if limit.exists() and current.exists() and limit.read_text().strip().isdigit():
        found.append(int(limit.read_text()) - int(current.read_text()) + held)
    space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if space != resource.RLIM_INFINITY:
        found.append(float(space))
    return min(found, default=None)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
