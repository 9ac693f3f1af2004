"""How to train: one frozen value."""

from collections.abc import Sequence
from dataclasses import dataclass

from counterpoint.balance.rules import RULES
from counterpoint.errors import InputError, nearest

__all__ = ["PLAIN", "Training"]

PLAIN = "sum"
"""The rule by which goals share a step without a balancer: the plain mean."""

_OPTIMISERS = ("adam", "adamw", "sgd")
_SCHEDULES = ("one-cycle", "cosine", "constant")
_PRECISIONS = ("float32", "bfloat16", "float16", "auto")


@dataclass(frozen=True)
class Training:
    """How `fit` trains.

    Attributes:
        epochs: passes over the rows.
        batch_size: rows of one optimiser step.
        optimiser: "adamw", "adam" or "sgd".
        rate: the highest learning rate (of the groups that name none of their own).
        schedule: "one-cycle", "cosine" or "constant"; see `counterpoint.train.schedule`.
        warmup: share of all steps in which the rate rises; None: 0.3 for one-cycle, else 0.
        momentum: Adam's first beta, or SGD's momentum (0: plain SGD); one-cycle moves it between
            0.95 and 0.85 unless it is 0.
        weight_decay: decoupled for "adamw" and "sgd" (every step subtracts rate x decay x weight;
            Loshchilov & Hutter 2019); for "adam" the gradient of an L2 penalty, as in torch.
        clip: largest 2-norm of a step's gradient over all parameters; 0: no limit.
        accumulate: parts in which a step's rows are computed, to save memory; the step is the same.
        precision: "float32"; "bfloat16" (autocast); "float16" (autocast and a scaled loss; CUDA
            only); "auto": bfloat16 where a CUDA device has it, else float32.
        patience: epochs without a better validation score before stopping; 0: never.
        seed: decides the order of rows and all that the model draws (dropout).
        balance: how several goals share a step: "sum" (the plain mean) or another rule of
            `counterpoint.balance.rules`, such as "impartial".
        compile: compile the whole step with torch.compile; slow to start, then faster on small
            networks; needs a C++ compiler.
        log_every: steps between the log lines inside an epoch; 0: one line an epoch.
        checkpoint_every: seconds between checkpoints inside an epoch (the end of an epoch has
            one too, unless the last is under a second old); 0: none inside an epoch. When
            checkpoints are written never changes the result.
        checkpoint_steps: steps between checkpoints; 0: by time alone.

    Raises:
        InputError: names the field, its rule and the value found.
    """

    epochs: int = 10
    batch_size: int = 256
    optimiser: str = "adamw"
    rate: float = 1e-3
    schedule: str = "one-cycle"
    warmup: float | None = None
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float = 0.0
    accumulate: int = 1
    precision: str = "float32"
    patience: int = 0
    seed: int = 0
    balance: str = PLAIN
    compile: bool = False
    log_every: int = 0
    checkpoint_every: float = 60.0
    checkpoint_steps: int = 0

    def __post_init__(self) -> None:
        _one_of("optimiser", self.optimiser, _OPTIMISERS)
        _one_of("schedule", self.schedule, _SCHEDULES)
        _one_of("precision", self.precision, _PRECISIONS)
        _one_of("balance", self.balance, sorted(RULES))
        for name in ("epochs", "batch_size", "accumulate"):
            _whole(name, getattr(self, name), 1)
        for name in ("patience", "log_every", "checkpoint_steps", "seed"):
            _whole(name, getattr(self, name), 0)
        for name in ("weight_decay", "clip", "checkpoint_every"):
            _between(name, getattr(self, name), 0.0, float("inf"))
        _between("rate", self.rate, 0.0, 1e6)
        _between("momentum", self.momentum, 0.0, 0.9999999)
        _between("warmup", self.warmup or 0.0, 0.0, 0.99)
        if self.compile and self.accumulate > 1:
            raise InputError("training.compile: works with accumulate = 1 only")
        if self.compile and self.precision == "float16":
            raise InputError("training.compile: works with float32 and bfloat16 only")
        if self.compile and self.balance != PLAIN:
            raise InputError(f"training.compile: works with balance = {PLAIN!r} only")


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(
            f"training.{name}: expected one of {', '.join(known)}, found"
            f" {value!r}{nearest(str(value), known)}"
        )


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
        raise InputError(
            f"training.{name}: expected a whole number of at least {least}, found {value!r}"
        )


def _between(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(
            f"training.{name}: expected a number from {low:g} to {high:g}, found {value!r}"
        )
