"""The sections of a recipe: every key, its type, its default and its rule."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from counterpoint.errors import InputError, nearest

__all__ = ["BALANCE", "UNCERTAINTY", "Data", "Network", "Posterior", "Recipe", "Training"]

BALANCE = (
    "sum",
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

UNCERTAINTY = ("last-layer", "luna", "laplace", "ensemble")
"""Where a prediction's knowledge comes from; see `counterpoint.table.uncertainty`."""


@dataclass(frozen=True)
class Data:
    """Which table, which of its columns mean what, and which rows are held out.

    Attributes:
        table: path of a CSV (also .gz), TSV or Parquet file.
        target: the columns to predict.
        weight: the column that says how much a row counts; none: every row counts one.
        split: the held-out rows: a share such as "0.2", "none", the name of a column with
            train/test marks, "time:COLUMN" (the latest fifth) or "group:COLUMN" (whole groups).
        validation: the share of the other rows that each member leaves out of its training, to
            decide when to stop and how large the noise is; at most one part in so many as there
            are members.
        category, number, date, ignore: columns whose kind is given, not inferred.
        encoding: text encoding of a CSV or TSV.
        separator: the sign between cells; empty: by the file's name and first line.
        missing: further words that mean "no value".
        decimal: the sign before the decimals in a text file, "." or ",".
        dates: "day-first" or "month-first", for dates such as 01/02/2024 that allow both.
        keep_sample: rows that stay in the model's folder, encoded, so that updates can say what
            they forget; held-out ones where there are such. 0: none.
    """

    table: str = ""
    target: tuple[str, ...] = ()
    weight: str = ""
    split: str = "0.2"
    validation: float = 0.2
    category: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    date: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    encoding: str = "utf-8"
    separator: str = ""
    missing: tuple[str, ...] = ()
    decimal: str = "."
    dates: str = ""
    keep_sample: int = 0

    def __post_init__(self) -> None:
        _within("data.keep_sample", self.keep_sample, 0, 10_000_000)
        _within("data.validation", self.validation, 0.01, 0.5)
        _one_of("data.dates", self.dates, ("", "day-first", "month-first"))
        _one_of("data.decimal", self.decimal, (".", ","))


@dataclass(frozen=True)
class Network:
    """The trunk between the encoded columns and the heads.

    Attributes:
        trunk: "plain" or "residual".
        width: units of each layer.
        depth: layers (plain) or blocks (residual).
        dropout: share of units silenced in training.
        bins: most quantile bins of the piecewise-linear encoding of a number; 0: none.
        members: networks trained side by side, each leaving out another part of the rows.
    """

    trunk: str = "plain"
    width: int = 128
    depth: int = 2
    dropout: float = 0.2
    bins: int = 32
    members: int = 4

    def __post_init__(self) -> None:
        _one_of("network.trunk", self.trunk, ("plain", "residual"))
        _within("network.width", self.width, 1, 8192)
        _within("network.depth", self.depth, 1, 64)
        _within("network.dropout", self.dropout, 0.0, 0.9)
        _within("network.bins", self.bins, 0, 1024)
        _within("network.members", self.members, 1, 64)


@dataclass(frozen=True)
class Training:
    """How the trunk is trained.

    Attributes:
        epochs: passes over the training rows; 0: by their number.
        batch_size: rows a step; 0: by their number.
        optimiser: "adamw", "adam" or "sgd".
        rate: the highest learning rate.
        schedule: "one-cycle", "cosine" or "constant".
        weight_decay: decoupled.
        clip: largest norm of a step's gradient; 0: no limit.
        patience: epochs without a better validation score before stopping; 0: never.
        balance: how several targets share a step: "sum" (the plain mean of their losses) or
            another rule of `counterpoint.balance.rules`, such as "impartial"; of no effect with
            one target.
        seed: decides split, initial weights, order and dropout.
        threads: threads of a step. One is right for small networks: their steps are too short to
            divide, and threads that wait for one another on a busy machine made a fit 20 times
            slower; also, the bits of a result depend on the number.
    """

    epochs: int = 0
    batch_size: int = 0
    optimiser: str = "adamw"
    rate: float = 0.002
    schedule: str = "one-cycle"
    weight_decay: float = 0.01
    clip: float = 0.0
    patience: int = 0
    balance: str = "sum"
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        _one_of("training.optimiser", self.optimiser, ("adamw", "adam", "sgd"))
        _one_of("training.schedule", self.schedule, ("one-cycle", "cosine", "constant"))
        if self.balance not in BALANCE:
            raise InputError(
                f"training.balance: no rule is called {self.balance!r}"
                f"{nearest(self.balance, BALANCE, most=len(BALANCE))}"
            )
        _within("training.epochs", self.epochs, 0, 1_000_000)
        _within("training.batch_size", self.batch_size, 0, 2**24)
        _within("training.rate", self.rate, 1e-8, 100.0)
        _within("training.weight_decay", self.weight_decay, 0.0, 100.0)
        _within("training.clip", self.clip, 0.0, 1e9)
        _within("training.patience", self.patience, 0, 1_000_000)
        _within("training.seed", self.seed, 0, 2**63 - 1)
        _within("training.threads", self.threads, 1, 1024)


@dataclass(frozen=True)
class Posterior:
    """What the model knows of its own ignorance.

    Attributes:
        interval: nominal share of rows inside the reported intervals.
        uncertainty: "last-layer" (an exact Gaussian over each head's weights), "luna" (the same on
            a trunk that was trained to disagree where there are no rows), "laplace" (a Gaussian
            over all weights) or "ensemble" (what the members disagree about, and nothing else).
        heads: auxiliary heads a target while training, of "luna" alone.
        diversity: lambda, what the heads' likeness counts against the fit, of "luna" alone. With
            the plain rule training lowers F + lambda C: F is the mean over targets (and their
            heads) of the negative log likelihood in nats a row, numbers standardised with unit
            noise; C the mean over targets of the squared cosine between the input gradients of two
            heads, over all pairs, from 0 to 1. So it does not depend on how many targets, heads or
            rows there are. With another `training.balance` it scales the goal "diverse" alone.
    """

    interval: float = 0.9
    uncertainty: str = "last-layer"
    heads: int = 20
    diversity: float = 0.1

    def __post_init__(self) -> None:
        _within("posterior.interval", self.interval, 0.01, 0.999)
        if self.uncertainty not in UNCERTAINTY:
            raise InputError(
                f"posterior.uncertainty: no kind is called {self.uncertainty!r}"
                f"{nearest(self.uncertainty, UNCERTAINTY)}"
            )
        _within("posterior.heads", self.heads, 2, 1000)
        _within("posterior.diversity", self.diversity, 0.0, 1e6)


@dataclass(frozen=True)
class Recipe:
    """All that a fit is told; see the sections."""

    data: Data = field(default_factory=Data)
    network: Network = field(default_factory=Network)
    training: Training = field(default_factory=Training)
    posterior: Posterior = field(default_factory=Posterior)

    def __post_init__(self) -> None:
        if self.posterior.uncertainty == "ensemble" and self.network.members < 2:
            raise InputError(
                "network.members: an ensemble knows by disagreement, so it needs at least 2, found"
                f" {self.network.members}"
            )


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"{name}: expected a value from {low:g} to {high:g}, found {value:g}")


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(f"{name}: expected one of {', '.join(known)}, found {value!r}")
