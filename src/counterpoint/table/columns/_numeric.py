"""Columns that are one or several numbers made of a value, each standardised and binned."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np

from counterpoint.errors import InputError
from counterpoint.findings import Bins
from counterpoint.nn import embedding_width
from counterpoint.table.columns._column import Lesson, Moved, UsableColumn
from counterpoint.table.columns._counts import ColumnCounts
from counterpoint.table.columns._encoded import NAMELESS, EmbeddingSpec, Encoded
from counterpoint.table.columns._raw import ParsedColumn
from counterpoint.table.columns._repeated import find_codes, find_repeated
from counterpoint.table.targets._count import CountHead
from counterpoint.table.targets._number import NumberHead
from counterpoint.table.targets._transform import Transform

_CONSTANT = (-1e-9, 1e-9)
_BINS = 24
_ROUNDING = 8 * float(np.finfo(np.float64).eps)
_HIDDEN = 0.1  # without it the network forgets how to read a value between two that it knows


@dataclass(frozen=True)
class Feature:
    """One number made from a column: standardised as ``(x - mean) / scale``.

    Attributes:
        part: "value", or a part of a date such as "year sin".
        mean: of the training rows, in the column's units.
        scale: standard deviation of the training rows; 1 where they do not vary.
        edges: increasing quantiles of the training rows, standardised.
    """

    part: str
    mean: float
    scale: float
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        # of a folder that somebody changed: by such a scale every value would be NaN, or mirrored
        if not (np.isfinite(self.mean) and 0 < self.scale < np.inf):
            raise InputError(
                f"{self.part}: mean and scale must be finite and the scale positive, found "
                f"{self.mean} and {self.scale}"
            )
        if any(one >= other for one, other in pairwise(self.edges)):
            raise InputError(f"{self.part}: edges of bins must increase")

    @classmethod
    def learn(cls, part: str, number: np.ndarray, lesson: Lesson, name: str) -> "Feature":
        """The scale and bins of the rows that have a value and a weight.

        Raises:
            InputError: the values are too large to be squared.
        """
        known = ~np.isnan(number) & (lesson.weights > 0)
        value, weight = number[known], lesson.weights[known]
        if value.size == 0:
            return cls(part, 0.0, 1.0)
        with np.errstate(over="ignore"):
            mean = float(np.average(value, weights=weight))
            scale = float(np.sqrt(np.average((value - mean) ** 2, weights=weight)))
        if not np.isfinite(scale):
            raise InputError(
                f"{lesson.where}: column {name!r}: its values are too large to be squared: give it"
                " in another unit"
            )
        # rounding alone spreads equal values by some 1e-16 of their size; integers beside 2 ** 53
        # differ by as little, and do vary
        if not scale > _ROUNDING * abs(mean):
            return cls(part, mean, 1.0)
        edges = find_edges((value - mean) / scale, weight, max(lesson.bins, 1))
        return cls(part, mean, scale, tuple(edges.tolist()))


@dataclass(frozen=True)
class NumericColumn(UsableColumn):
    """What kinds of numbers share: a kind says which numbers (`parts`) and how one is written.

    Attributes:
        features: the numbers; the first is the value itself.
        repeated: the values that have a vector of their own beside, increasing; see
            `find_repeated`.
        transform: of a target, to the scale on which it is predicted; none: its own.
        counted: "poisson" or "negative-binomial" of a target that is a count; or empty.
    """

    embeds: ClassVar[bool] = False
    """Whether values of the kind that repeat are learnt as levels, too."""

    features: tuple[Feature, ...] = ()
    repeated: tuple[float, ...] = ()
    transform: Transform | None = None
    counted: str = ""

    @abstractmethod
    def parts(self, data: np.ndarray) -> Mapping[str, np.ndarray]:
        """Numbers made of values: name -> float64 (N,), NaN where there is no value."""

    @abstractmethod
    def summary(self, known: np.ndarray) -> str:
        """How known values, of which there are some, are spread, in words."""

    def learn(self, lesson: Lesson) -> "NumericColumn":
        """See `UsableColumn`; a target must vary."""
        parts = self.parts(lesson.values.data).items()
        features = tuple(Feature.learn(part, n, lesson, self.name) for part, n in parts)
        if self.role == "target" and len(features[0].edges) < 2:
            raise InputError(
                f"{lesson.where}: target {self.name!r}: does not vary in the training rows"
            )
        repeated = ()
        if self.embeds and self.role == "input":
            counted = ~lesson.values.missing & (lesson.weights > 0)
            repeated = find_repeated(lesson.values.data[counted], lesson.repeated)
        gaps = bool(lesson.values.missing.any())
        return replace(self, features=features, repeated=repeated, gaps=gaps)

    def grown(self, values: ParsedColumn, where: str) -> "NumericColumn":
        """The same: scales, bins and vectors stay, so that old weights keep their meaning."""
        del values, where
        return self

    def encode(self, values: ParsedColumn) -> Encoded:
        """See `UsableColumn`."""
        parts = self.parts(values.data)
        numbers = tuple((parts[f.part] - f.mean) / f.scale for f in self.features)
        indicator = values.missing.astype(np.float64) if self.indicated else None
        codes = (find_codes(values, self.repeated),) if self.repeated else ()
        return Encoded(codes=codes, numbers=numbers, indicator=indicator)

    @property
    def embeddings(self) -> tuple[EmbeddingSpec, ...]:
        """One, of the values that repeat, where some do."""
        if not self.repeated:
            return ()
        labels = (*NAMELESS, *map(self.show, self.repeated))
        return (EmbeddingSpec(labels, embedding_width(len(labels)), _HIDDEN),)

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """See `UsableColumn`."""
        return tuple(feature.edges for feature in self.features)

    @property
    def indicated(self) -> bool:
        """Where training rows miss the value; elsewhere nothing could be learnt of it."""
        return self.gaps

    @property
    def head(self) -> NumberHead | CountHead:
        """See `UsableColumn`."""
        value = self.features[0]
        if self.counted:
            return CountHead(value.mean, value.scale, self.counted == "negative-binomial")
        return NumberHead(value.mean, value.scale, self.transform)

    def describe(self, values: ParsedColumn) -> tuple[str, Bins | None]:
        """See `UsableColumn`."""
        value = next(iter(self.parts(values.data).values()))
        known = value[~np.isnan(value)]
        if known.size == 0:
            return "no value", None
        low, high = float(known.min()), float(known.max())
        if low == high:
            return self.summary(known), Bins([int(known.size)], edges=[low, high])
        try:
            counts, edges = np.histogram(known, bins=_BINS)
        except ValueError:
            # numbers so great that they have no 24 between them, such as those beside 2 ** 53
            return self.summary(known), Bins([int(known.size)], edges=[low, high])
        return self.summary(known), Bins(counts.tolist(), edges=edges.tolist())

    def unseen(self, values: ParsedColumn) -> int:
        """None: every number has a place on the scale."""
        del values
        return 0

    def typical(self, values: ParsedColumn) -> ParsedColumn:
        """See `UsableColumn`."""
        rows = np.flatnonzero(~values.missing)
        if not len(rows):
            return values.take(np.zeros(1, dtype=np.int64))
        value = next(iter(self.parts(values.data[rows]).values()))
        middle = np.argsort(value, kind="stable")[len(rows) // 2]
        return values.take(rows[[middle]])

    def count(self, values: ParsedColumn, weights: np.ndarray) -> ColumnCounts:
        """See `UsableColumn`."""
        known = ~values.missing
        number = self.encode(values).numbers[0][known]
        # a column that did not vary: below its value, the value, above it
        edges = self.features[0].edges or _CONSTANT
        bins = np.searchsorted(edges, number, side="right") + 1
        counts = np.bincount(bins, minlength=len(edges) + 2).astype(float)
        counts[0] = values.missing.sum()
        return ColumnCounts(
            tuple(counts.tolist()), float(number.sum()), float(weights[known].sum())
        )

    @property
    def ordered(self) -> bool:
        """Bins are."""
        return True

    def moved(self, before: ColumnCounts, now: ColumnCounts) -> Moved:
        """The means, in the column's units."""
        first = self.features[0]
        was, became = (
            first.mean + first.scale * counts.total / counts.known if counts.known else None
            for counts in (before, now)
        )
        return Moved(was, became, self._shown(was), self._shown(became))

    @property
    def grain(self) -> float:
        """The unit to which a mean is told; 0: as it is."""
        return 0.0

    def _shown(self, mean: float | None) -> str:
        if mean is None:
            return ""
        grain = self.grain
        return self.show(mean if not grain else float(np.floor(mean / grain)) * grain)


def find_edges(value: np.ndarray, weight: np.ndarray, bins: int) -> np.ndarray:
    """Edges of at most so many bins that share the weight as evenly as the values allow.

    Every distinct value is an edge where they are few; else each bin takes the next values until
    it has its share of what is left, so that one value that fills half of the column costs one
    bin and not half of them.
    """
    values, index = np.unique(value, return_inverse=True)
    if len(values) <= bins + 1:
        return values
    mass = np.bincount(index, weights=weight)
    edges, left, rest, taken = [values[0]], bins, float(mass.sum()), 0.0
    for here, following in zip(mass[:-1], values[1:], strict=True):
        taken += float(here)
        if left > 1 and taken >= rest / left:
            edges.append(following)
            left, rest, taken = left - 1, rest - taken, 0.0
    return np.unique([*edges, values[-1]])
