"""Columns whose values are levels: texts that repeat, each with a code and a vector of its own."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from counterpoint.errors import InputError
from counterpoint.findings import Bins
from counterpoint.nn import embedding_width
from counterpoint.table.columns._column import Lesson, Moved, UsableColumn
from counterpoint.table.columns._counts import ColumnCounts
from counterpoint.table.columns._date import Date
from counterpoint.table.columns._encoded import (
    MISSING_LEVEL,
    NAMELESS,
    UNSEEN_LEVEL,
    EmbeddingSpec,
    Encoded,
)
from counterpoint.table.columns._notation import factorized
from counterpoint.table.columns._raw import ParsedColumn, RawColumn
from counterpoint.table.columns._spelling import folded
from counterpoint.table.targets._category import CategoryHead

_MOST_LEVELS = 10_000
_RARE = 2
_LABELS = 12
_ALIKE = 3
_SHORT = 20


@dataclass(frozen=True)
class LevelColumn(UsableColumn):
    """What kinds of levels share: all but which columns they take.

    Attributes:
        levels: sorted, those of updates after them; codes are their places + 2.
        width: of the embedding once it has grown; 0: by the number of levels.
    """

    levels: tuple[str, ...] = ()
    width: int = 0

    def parse(self, raw: RawColumn) -> ParsedColumn:
        """See `UsableColumn`: every cell is a text, and texts that mean the same are one level."""
        codes, texts, _ = factorized(pd.Series(raw.labels, dtype=object))
        levels = np.array([*map(self.level, texts), None], dtype=object)
        said = self._alike(levels[:-1].tolist()) if raw.later and self.levels else ""
        return ParsedColumn(levels[codes], raw.missing, said)

    @abstractmethod
    def level(self, text: str) -> str:
        """The level that a text means."""

    @cached_property
    def _codes(self) -> dict[str, int]:
        """The code of each level, also as folders have them that were written earlier."""
        codes = {level: code for code, level in enumerate(self.levels, 2)}
        return {self.level(level): code for level, code in codes.items()} | codes

    def _alike(self, levels: Sequence[str]) -> str:
        """Levels that are not known, beside known ones from which they differ in case or space."""
        known = {folded(level): level for level in self.levels}
        pairs = [
            f"{level!r} is not the known {known[folded(level)]!r}"
            for level in levels
            if level not in self._codes and folded(level) in known
        ]
        more = f" and {len(pairs) - _ALIKE:,} more" if len(pairs) > _ALIKE else ""
        return f"{'; '.join(pairs[:_ALIKE])}{more}: they differ in case or space" if pairs else ""

    def learn(self, lesson: Lesson) -> "LevelColumn":
        """See `UsableColumn`; a target needs two classes."""
        counts = pd.Series(lesson.values.known, dtype=object).value_counts()
        self._refuse_many(len(counts), lesson.where)
        if self.role == "target" and len(counts) < 2:
            raise InputError(
                f"{lesson.where}: target {self.name!r}: one class in the training rows,"
                f" {', '.join(map(repr, counts.index))}"
            )
        if self.role != "target":
            counts = _common(counts, len(lesson.values))
        levels = tuple(sorted(counts.index, key=_ordered))
        return replace(self, levels=levels, gaps=bool(lesson.values.missing.any()))

    def grown(self, values: ParsedColumn, where: str) -> "LevelColumn":
        """See `UsableColumn`."""
        self._refuse_other_kind(values, where)
        counts = pd.Series(values.known, dtype=object).value_counts()
        if self.role == "input":
            counts = _common(counts, len(values))
        fresh = [level for level in counts.index if level not in self._codes]
        if not fresh:
            return self
        self._refuse_many(len(self.levels) + len(fresh), where)
        # a wider vector would be another embedding: the old levels' must stay as they are
        width = self.embeddings[0].width if self.role == "input" else 0
        return replace(self, levels=(*self.levels, *sorted(fresh, key=_ordered)), width=width)

    def encode(self, values: ParsedColumn) -> Encoded:
        """See `UsableColumn`."""
        codes = pd.Series(values.data, dtype=object).map(self._codes).fillna(UNSEEN_LEVEL)
        coded = codes.to_numpy(dtype=np.int64)
        return Encoded(codes=(np.where(values.missing, MISSING_LEVEL, coded),))

    @property
    def embeddings(self) -> tuple[EmbeddingSpec, ...]:
        """One, of all levels."""
        labels = (*NAMELESS, *self.levels)
        return (EmbeddingSpec(labels, self.width or embedding_width(len(labels))),)

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """None."""
        return ()

    @property
    def indicated(self) -> bool:
        """No: a missing value has a code, and so a vector, of its own."""
        return False

    @property
    def head(self) -> CategoryHead:
        """See `UsableColumn`."""
        return CategoryHead(self.levels)

    def describe(self, values: ParsedColumn) -> tuple[str, Bins | None]:
        """See `describe_levels`."""
        return describe_levels(values)

    def unseen(self, values: ParsedColumn) -> int:
        """See `UsableColumn`."""
        return int((~pd.Series(values.known, dtype=object).isin(self._codes)).sum())

    def show(self, value: object) -> str:
        """See `UsableColumn`."""
        return str(value)

    def typical(self, values: ParsedColumn) -> ParsedColumn:
        """See `UsableColumn`."""
        if values.missing.all():
            return values.take(np.zeros(1, dtype=np.int64))
        commonest = pd.Series(values.known, dtype=object).mode().iloc[0]
        return values.take(np.flatnonzero(values.data == commonest)[:1])

    def count(self, values: ParsedColumn, weights: np.ndarray) -> ColumnCounts:
        """See `UsableColumn`."""
        (codes,) = self.encode(values).codes
        counts = np.bincount(codes, minlength=len(self.levels) + 2).astype(float)
        weight = float(weights[~values.missing].sum())
        return ColumnCounts(tuple(counts.tolist()), weight=weight)

    def strata(self, values: ParsedColumn) -> np.ndarray:
        """See `UsableColumn`: the levels."""
        return np.where(values.missing, "", values.data).astype(str)

    @property
    def ordered(self) -> bool:
        """Levels are not."""
        return False

    def moved(self, before: ColumnCounts, now: ColumnCounts) -> Moved:
        """The shares of what was the commonest level, and levels that are new."""
        labels, common = self.embeddings[0].labels, int(np.argmax(before.counts))
        was, became = (
            counts.counts[common] / counts.rows if counts.rows else None for counts in (before, now)
        )
        fresh = range(len(before.counts), len(now.counts))
        new = {labels[code]: int(now.counts[code]) for code in fresh if now.counts[code]}
        shown = [
            "" if share is None else f"{share:.1%} {labels[common][:_SHORT]!r}"
            for share in (was, became)
        ]
        return Moved(was, became, shown[0], shown[1], labels[common], new)

    def _refuse_many(self, levels: int, where: str) -> None:
        if levels > _MOST_LEVELS:
            raise InputError(
                f"{where}: column {self.name!r}: {levels:,} levels; a category has at most"
                f" {_MOST_LEVELS:,}; leave it out with --ignore {self.name}"
            )

    def _refuse_other_kind(self, values: ParsedColumn, where: str) -> None:
        """Where no value is known and all read as numbers or dates, while no known level does."""
        known = values.known
        if not len(known) or self.unseen(values) < len(known):
            return
        here, before = _nature(known), _nature(np.array(self.levels, dtype=object))
        if here != "text" and here != before:
            some = ", ".join(repr(level[:30]) for level in self.levels[:3])
            raise InputError(
                f"{where}: column {self.name!r}: holds {here}s such as {str(known[0])[:40]!r};"
                f" the model knows it as a {self.kind} with levels such as {some}; is it another"
                " column of that name?"
            )


def describe_levels(values: ParsedColumn) -> tuple[str, Bins | None]:
    """How many levels there are, and the rows of the commonest."""
    counts = pd.Series(values.known, dtype=object).value_counts()
    if counts.empty:
        return "no value", None
    top = counts.head(_LABELS)
    share = 100.0 * top.iloc[0] / counts.sum()
    summary = f"{len(counts):,} levels, commonest {str(top.index[0])[:40]!r} ({share:.0f} %)"
    return summary, Bins([int(n) for n in top], labels=[str(label) for label in top.index])


def _common(counts: pd.Series, rows: int) -> pd.Series:
    """The levels that get a vector of their own; where rows are few, every level does."""
    # a level seen once trains the vector of unseen levels: a later one-off is most like it
    return counts[counts >= _RARE] if rows >= 50 else counts


def _ordered(level: str) -> tuple[bool, float, str]:
    """Numbers by size, then texts by alphabet."""
    try:
        return False, float(level), level
    except ValueError:
        return True, 0.0, level


def _nature(texts: np.ndarray) -> str:
    """What texts read as: "number", "date" or "text"."""
    raw = RawColumn("", pd.Series(texts, dtype=object))
    if raw.numeric_share == 1.0:
        return "number"
    return "text" if Date.reject(raw) else "date"
