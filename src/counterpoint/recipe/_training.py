"""How to train: the one value that a recipe, the loop and the tables share."""

import math
from dataclasses import dataclass, replace

from counterpoint.errors import InputError, one_of
from counterpoint.recipe._checks import number, whole

PLAIN = "sum"
"""The rule by which goals share a step without a balancer: the plain mean."""

BALANCE = (
    PLAIN,
    "impartial",
    "aligned-mtl",
    "alternate",
    "cagrad",
    "config",
    "db-mtl",
    "dwa",
    "fairgrad",
    "famo",
    "geometric-mean",
    "gradnorm",
    "imtl-g",
    "imtl-l",
    "magnitude",
    "mgda",
    "nash-mtl",
    "pamoo",
    "pcgrad",
    "relobralo",
    "softadapt",
    "stch",
    "uncertainty",
    "upgrad",
)
"""Names of `counterpoint.balance.rules`, written out here since those import torch."""

_STEPS = 2_000  # of a whole run, where the number of rows decides; see docs/decisions.md
_NAMED = {
    "optimiser": ("adamw", "adam", "sgd"),
    "schedule": ("one-cycle", "cosine", "constant"),
    "precision": ("float32", "bfloat16", "float16", "auto"),
    "balance": BALANCE,
}
_FROM_ZERO = ("epochs", "batch_size", "log_every", "checkpoint_steps", "seed")


@dataclass(frozen=True)
class Training:
    """How a network is trained, by a recipe as by `counterpoint.train.fit`.

    Attributes:
        epochs: passes over the rows; 0: by their number, see `resolved`.
        batch_size: rows of one optimiser step; 0: by the number of rows.
        optimiser: "adamw", "adam" or "sgd".
        rate: the highest learning rate (of the groups that name none of their own).
        schedule: "one-cycle", "cosine" or "constant"; see `counterpoint.train._schedule`.
        warmup: share of all steps in which the rate rises; None, or no such key: 0.3 for one-cycle,
            else 0.
        momentum: Adam's first beta, or SGD's momentum (0: plain SGD); one-cycle moves it between
            0.95 and 0.85 unless it is 0.
        weight_decay: decoupled for "adamw" and "sgd" (every step subtracts rate x decay x weight;
            Loshchilov & Hutter 2019); for "adam" the gradient of an L2 penalty, as in torch.
        clip: largest 2-norm of a step's gradient over all parameters, of several models in one pass
            over each one's; 0: no limit.
        accumulate: parts in which a step's rows are computed, to save memory; the step is the same.
        precision: "float32"; "bfloat16" (autocast); "float16" (autocast and a scaled loss; CUDA
            only); "auto": bfloat16 where a CUDA device has it, else float32.
        patience: epochs without a better validation score before stopping; 0: never; None, or no
            such key: 12 for a table, else never.
        balance: how several goals, such as several targets, share a step: "sum" (the plain mean of
            their losses) or another rule of `counterpoint.balance.rules`, such as "impartial".
        compile: compile the whole step with torch.compile; slow to start, then faster on small
            networks; needs a C++ compiler.
        seed: decides split, initial weights, order of rows and dropout.
        threads: threads of a step; 0: one for a table (see `Recipe.threads`), otherwise as many as
            torch has. The bits of a result depend on the number; a run that goes on has the number
            it began with.
        log_every: steps between the log lines inside an epoch; 0: one line an epoch.
        checkpoint_every: seconds between checkpoints inside an epoch (the end of an epoch has
            one too, unless the last is under a second old); 0: none inside an epoch. When
            checkpoints are written never changes the result.
        checkpoint_steps: steps between checkpoints; 0: by time alone.
        checkpoints_kept: how many stay in the run folder, the newest; two at least, so that there
            is one before a damaged one. More are for `counterpoint merge run/ --last N`.

    Raises:
        InputError: names the key, its rule and the value found.
    """

    epochs: int = 0
    batch_size: int = 0
    optimiser: str = "adamw"
    rate: float = 0.002
    schedule: str = "one-cycle"
    warmup: float | None = None
    momentum: float = 0.9
    weight_decay: float = 0.01
    clip: float = 0.0
    accumulate: int = 1
    precision: str = "float32"
    patience: int | None = None
    balance: str = PLAIN
    compile: bool = False
    seed: int = 0
    threads: int = 0
    log_every: int = 0
    checkpoint_every: float = 60.0
    checkpoint_steps: int = 0
    checkpoints_kept: int = 2

    def __post_init__(self) -> None:
        for name, known in _NAMED.items():
            found = one_of(f"training.{name}", getattr(self, name), known)
            # the known spelling is what is compared, written down and hashed ever after
            object.__setattr__(self, name, found)
        for name in _FROM_ZERO:
            whole(f"training.{name}", getattr(self, name), 0)
        whole("training.patience", 0 if self.patience is None else self.patience, 0)
        whole("training.accumulate", self.accumulate, 1)
        whole("training.checkpoints_kept", self.checkpoints_kept, 2)
        whole("training.threads", self.threads, 0, 1024)
        for name in ("weight_decay", "clip", "checkpoint_every"):
            number(f"training.{name}", getattr(self, name), 0.0, math.inf)
        number("training.rate", self.rate, 0.0, 1e6)
        # below 1: at 1 the bias correction of Adam divides by zero
        number("training.momentum", self.momentum, 0.0, 0.9999999)
        number("training.warmup", 0.0 if self.warmup is None else self.warmup, 0.0, 0.99)
        self._check_compile()

    def _check_compile(self) -> None:
        if self.compile and self.accumulate > 1:
            raise InputError("training.compile: works with accumulate = 1 only")
        if self.compile and self.precision == "float16":
            raise InputError("training.compile: works with float32 and bfloat16 only")
        if self.compile and self.balance != PLAIN:
            raise InputError(f"training.compile: works with balance = {PLAIN!r} only")

    def resolved(self, rows: int) -> "Training":
        """The same with every 0 replaced that means "by the number of rows".

        About 50 steps an epoch and 2,000 steps in all, within bounds; found on held-out parts of
        the training rows of five tables (see `docs/decisions.md`).

        Args:
            rows: to train on.

        >>> [Training().resolved(rows).batch_size for rows in (300, 3_000, 30_000)]
        [32, 64, 256]
        >>> [Training().resolved(rows).epochs for rows in (300, 3_000, 30_000)]
        [100, 43, 17]
        """
        batch, epochs = self.batch_size, self.epochs
        if batch == 0:
            # a power of two near a fiftieth of the rows; below 50 rows the bound of 32 decides
            even = 2 ** round(math.log2(rows / 50)) if rows > 50 else 1
            batch = min(256, max(32, even))
        if epochs == 0:
            # a last batch that is shorter is a step of its own
            steps = max(1, -(-rows // batch))
            epochs = min(100, max(10, round(_STEPS / steps)))
        return replace(self, batch_size=batch, epochs=epochs)
