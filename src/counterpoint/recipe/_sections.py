"""The sections of a recipe but how to train: every key, its type, its default and its rule."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from counterpoint.errors import InputError, one_of
from counterpoint.recipe._checks import number, whole
from counterpoint.recipe._training import Training

_PATIENCE = 12  # of a table; see docs/decisions.md
_TRUNKS = ("auto", "plain", "residual", "linear")

_THOUSANDS = ("", ",", ".", "'", "_", "space", "none")

UNCERTAINTY = ("last-layer", "luna", "laplace", "ensemble")
"""Where a prediction's knowledge comes from; see `counterpoint.table.uncertainty`."""


DISTRIBUTIONS = (
    "auto", "normal", "log-normal", "power-normal", "poisson", "negative-binomial"
)  # fmt: skip
"""How a number is distributed around what is predicted of it; see `Data`."""


@dataclass(frozen=True)
class Data:
    """Which table, which of its columns mean what, and which rows are held out.

    Attributes:
        table: path of a CSV (also .gz), TSV or Parquet file.
        target: the columns to predict.
        weight: the column that says how much a row counts; none: every row counts one.
        user, item: the columns of who rated and what, which make the table one of ratings; none:
            found, where there are two ids and little else.
        split: the held-out rows: a share such as "0.2", "none", the name of a column with
            train/test marks, "time:COLUMN" (the latest fifth) or "group:COLUMN" (whole groups).
        validation: the share of the other rows that each member leaves out of its training, to
            decide when to stop and how large the noise is; at most one part in so many as there
            are members.
        kinds: column -> the kind that it is taken for, instead of the one that would be found, such
            as "category", "number" or "date"; see `counterpoint.table.columns`.
        ignore: columns that are left out.
        encoding: text encoding of a CSV or TSV.
        separator: the sign between cells; empty: by the file's name and first line.
        missing: further words that mean "no value".
        not_missing: words that usually mean "no value" and here are values, such as "None".
        decimal: the sign before decimals, "." or ","; empty: found column by column.
        thousands: the sign between thousands, one of ``, . ' _``, "space" or "none"; empty: found
            column by column.
        header: whether the first line of a text file has the names of the columns.
        names: of all columns, instead of the file's.
        dates: "day-first" or "month-first", for dates such as 01/02/2024 that allow both.
        distribution: how numbers to predict are distributed around their mean: "normal",
            "log-normal" or "power-normal" (normal on the scale of the logarithm or of a power, and
            never below 0), "poisson" or "negative-binomial" (counts), or "auto": whichever of the
            first three predicts training rows that are left out best. "NAME" is for all of them,
            "TARGET=NAME" for one.
        conformal: share of the rows to learn from that nothing is fitted to, and which make the
            intervals of numbers hold what they say; 0: none.
        conformal_by: a category among the inputs in each of whose groups intervals are to hold; by
            itself it sets `conformal` to 0.2.
        teacher: what another model predicts of the rows, for the network to imitate beside fitting
            them: the name of a column (of a class: of columns "NAME p(CLASS)", as `counterpoint
            predict` writes them), or on the command line a model's folder. "NAME" is of the one
            target, "TARGET=NAME" of one of several. Predictions of rows that the teacher was not
            fitted to teach most.
        keep_sample: rows that stay in the model's folder, encoded, so that updates can say what
            they forget; held-out ones where there are such. 0: none.
    """

    table: str = ""
    target: tuple[str, ...] = ()
    weight: str = ""
    user: str = ""
    item: str = ""
    split: str = "0.2"
    validation: float = 0.2
    kinds: Mapping[str, str] = field(default_factory=dict[str, str])
    ignore: tuple[str, ...] = ()
    encoding: str = "utf-8"
    separator: str = ""
    missing: tuple[str, ...] = ()
    not_missing: tuple[str, ...] = ()
    decimal: str = ""
    thousands: str = ""
    header: bool = True
    names: tuple[str, ...] = ()
    dates: str = ""
    distribution: tuple[str, ...] = ()
    conformal: float = 0.0
    conformal_by: str = ""
    teacher: tuple[str, ...] = ()
    keep_sample: int = 0

    def __post_init__(self) -> None:
        whole("data.keep_sample", self.keep_sample, 0, 10_000_000)
        number("data.validation", self.validation, 0.01, 0.5)
        number("data.conformal", self.conformal, 0.0, 0.5)
        if self.conformal_by and not self.conformal:
            object.__setattr__(self, "conformal", 0.2)
        dates = one_of("data.dates", self.dates, ("", "day-first", "month-first"))
        object.__setattr__(self, "dates", dates)
        for name in ("target", "ignore", "names", "teacher"):
            object.__setattr__(self, name, tuple(map(_composed, getattr(self, name))))
        for name in ("weight", "user", "item", "split"):
            object.__setattr__(self, name, _composed(getattr(self, name)))
        if bool(self.user) != bool(self.item):
            absent = "item" if self.user else "user"
            raise InputError(f"data.{absent}: ratings need both --user and --item; name this, too")
        kinds = {_composed(name): kind for name, kind in self.kinds.items()}
        object.__setattr__(self, "kinds", kinds)
        one_of("data.decimal", self.decimal, ("", ".", ","))
        thousands = {" ": "space"}.get(self.thousands, self.thousands)
        object.__setattr__(self, "thousands", one_of("data.thousands", thousands, _THOUSANDS))
        if self.decimal and self.decimal == self.thousands:
            raise InputError(
                f"data.thousands: {self.thousands!r} stands before decimals; choose another sign"
            )
        object.__setattr__(self, "distribution", tuple(map(_distribution, self.distribution)))

    @property
    def teachers(self) -> dict[str, str]:
        """The teacher of each target that has one.

        Raises:
            InputError: one is told for several targets, or several for one.
        """
        found = dict[str, str]()
        for entry in self.teacher:
            named = [target for target in self.target if entry.startswith(f"{target}=")]
            if not named and len(self.target) != 1:
                raise InputError(
                    f"data.teacher: {entry!r} says of none of {len(self.target)} targets; write"
                    f" TARGET={entry}"
                )
            target = max(named, key=len, default=self.target[0])
            name = entry.removeprefix(f"{target}=") if named else entry
            if target in found:
                raise InputError(f"data.teacher: target {target!r} has two; choose one")
            found[target] = name
        return found


def _composed(name: str) -> str:
    """A name in Unicode's composed form, as files and keyboards write it in either."""
    return unicodedata.normalize("NFC", name)


def _distribution(entry: str) -> str:
    target, sign, name = entry.rpartition("=")
    return f"{target}{sign}{one_of('data.distribution', name, DISTRIBUTIONS)}"


@dataclass(frozen=True)
class Network:
    """The trunk between the encoded columns and the heads.

    Attributes:
        trunk: "plain", "residual", "linear" (none: the model is linear in the columns), or "auto":
            plain, and linear where there are fewer than 100 rows to learn from and those that were
            left out do not speak for a network.
        width: units of each layer.
        depth: layers (plain) or blocks (residual).
        dropout: share of units silenced in training.
        bins: most quantile bins of the piecewise-linear encoding of a number, fewer where all
            numbers would have more than 4,096 together; 0: none.
        repeated: a number of at most so many distinct values, each of many rows, also has a vector
            for each of them, as a category has; 0: none has.
        members: networks trained side by side, each leaving out another part of the rows: in one
            pass, or one after the other where a balancer or "luna" looks at all weights of a
            network at once, or the step is compiled.
        factors: of a table of ratings, the entries of a user's and of an item's taste.
    """

    trunk: str = "auto"
    width: int = 128
    depth: int = 2
    dropout: float = 0.0
    bins: int = 32
    repeated: int = 256
    members: int = 4
    factors: int = 20

    def __post_init__(self) -> None:
        object.__setattr__(self, "trunk", one_of("network.trunk", self.trunk, _TRUNKS))
        whole("network.width", self.width, 1, 8192)
        whole("network.depth", self.depth, 1, 64)
        number("network.dropout", self.dropout, 0.0, 0.9)
        whole("network.bins", self.bins, 0, 1024)
        whole("network.repeated", self.repeated, 0, 10_000)
        whole("network.members", self.members, 1, 64)
        whole("network.factors", self.factors, 0, 512)


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
        number("posterior.interval", self.interval, 0.01, 0.999)
        found = one_of("posterior.uncertainty", self.uncertainty, UNCERTAINTY)
        object.__setattr__(self, "uncertainty", found)
        whole("posterior.heads", self.heads, 2, 1000)
        number("posterior.diversity", self.diversity, 0.0, 1e6)


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

    @property
    def threads(self) -> int:
        """Threads of all that is computed: those of the training, or one.

        One is right for a table's networks: their steps are too short to divide, and threads that
        wait for one another on a busy machine made a fit 20 times slower.
        """
        return self.training.threads or 1

    def resolved(self, rows: int) -> "Recipe":
        """The recipe with the settings that the number of training rows decides, of one member."""
        training = self.training.resolved(rows)
        if training.patience is None:
            training = replace(training, patience=_PATIENCE)
        network = self.network
        if network.trunk == "auto":
            network = replace(network, trunk="plain")
        return replace(self, network=network, training=training)
