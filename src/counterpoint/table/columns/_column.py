"""What a kind of column has to answer: one class a kind, one object a column.

A kind looks at a column as it came and may reject it, with a reason (`Column.reject`); the first
of an ordered list that does not has it. From then on the object is the column: it parses its
cells, learns from the training rows what a network needs to know, encodes, describes and counts.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from counterpoint.findings import Bins
from counterpoint.table.columns._counts import ColumnCounts
from counterpoint.table.columns._encoded import EmbeddingSpec, Encoded
from counterpoint.table.columns._raw import ParsedColumn, RawColumn
from counterpoint.table.targets._head import Head

Role: TypeAlias = Literal["input", "target", "weight", "split", "teacher", "ignored"]


@dataclass(frozen=True)
class Lesson:
    """What a column learns from: its training rows.

    Attributes:
        values: of these rows.
        weights: of these rows, at least 0.
        bins: most quantile bins of a number.
        repeated: most values of a number that get a vector each; 0: none.
        where: the table's name, for messages.
    """

    values: ParsedColumn
    weights: np.ndarray
    bins: int = 0
    repeated: int = 0
    where: str = "table"


@dataclass(frozen=True)
class Moved:
    """How a column's rows changed: a mean, or the share of what was the commonest level.

    Attributes:
        before, after: the number; None where no row has a value.
        before_text, after_text: the same as the column writes it; empty where there is none.
        level: the commonest.
        new: levels that no earlier row had, with their rows.
    """

    before: float | None
    after: float | None
    before_text: str = ""
    after_text: str = ""
    level: str | None = None
    new: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Column(ABC):
    """One column of a table.

    Attributes:
        name: as in the table.
        role: what it is used for.
        note: why it has that kind or role, in words.
        form: how its cells are written, where a kind has several ways; see `find_form`.
    """

    kind: ClassVar[str]
    """The kind's name: in messages, in reports and at rest."""

    head_type: ClassVar[type[Head] | None] = None
    """How a column of the kind is predicted; none: it cannot be."""

    left_out: ClassVar[str] = ""
    """Why columns of the kind are left out unless told otherwise; empty: they are used."""

    name: str
    role: Role
    note: str = ""
    form: str = ""

    @classmethod
    @abstractmethod
    def reject(cls, raw: RawColumn) -> str:
        """Why a column is not of this kind, in words; empty where it is."""

    @classmethod
    def find_form(cls, raw: RawColumn) -> str:  # noqa: ARG003 - for kinds written in several ways
        """How the cells are written, where that must be settled for all of them at once.

        Raises:
            InputError: the column was told to be of this kind and cannot be.
        """
        return ""

    @classmethod
    def reading(cls, raw: RawColumn) -> str:  # noqa: ARG003 - for kinds that read unusual cells
        """How cells are read that are not written in the usual way, in words; else empty."""
        return ""


@dataclass(frozen=True)
class UsableColumn(Column):
    """A column that can be an input, and a target where its kind has a head.

    Attributes:
        gaps: whether training rows miss the value.
    """

    gaps: bool = False

    @abstractmethod
    def parse(self, raw: RawColumn) -> ParsedColumn:
        """The cells as values of the kind; the only place where it sees a cell.

        Raises:
            InputError: a cell is not of the kind; names the row, the column, the value and a
                remedy.
        """

    @abstractmethod
    def learn(self, lesson: Lesson) -> "UsableColumn":
        """The column with scales, bins or levels.

        Raises:
            InputError: the training rows cannot serve.
        """

    @abstractmethod
    def grown(self, values: ParsedColumn, where: str) -> "UsableColumn":
        """The column with the levels that the rows of an update bring, after the old ones.

        Raises:
            InputError: the rows hold something else than the column did.
        """

    @abstractmethod
    def encode(self, values: ParsedColumn) -> Encoded:
        """What the network is given."""

    @property
    @abstractmethod
    def embeddings(self) -> tuple[EmbeddingSpec, ...]:
        """The embeddings of the codes."""

    @property
    @abstractmethod
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """The bin edges of each of the numbers."""

    @property
    @abstractmethod
    def indicated(self) -> bool:
        """Whether missing values have an indicator among the network's numbers."""

    @property
    @abstractmethod
    def head(self) -> Head:
        """What the column asks of the network as a target, once it has learnt."""

    @abstractmethod
    def describe(self, values: ParsedColumn) -> tuple[str, Bins | None]:
        """How the values are spread, in a sentence and as counts."""

    @abstractmethod
    def unseen(self, values: ParsedColumn) -> int:
        """How many rows hold a value, but none that training rows had."""

    @abstractmethod
    def show(self, value: object) -> str:
        """One value as it is written."""

    @abstractmethod
    def typical(self, values: ParsedColumn) -> ParsedColumn:
        """One row in the middle of all: the commonest level, the middle value."""

    @abstractmethod
    def count(self, values: ParsedColumn, weights: np.ndarray) -> ColumnCounts:
        """The rows by what they hold, to compare tables by."""

    def strata(self, values: ParsedColumn) -> np.ndarray | None:  # noqa: ARG002 - for classes
        """The group of each row that held-out rows should have their share of; none: no groups."""
        return None

    @property
    @abstractmethod
    def ordered(self) -> bool:
        """Whether neighbours among the counts are alike."""

    @abstractmethod
    def moved(self, before: ColumnCounts, now: ColumnCounts) -> Moved:
        """How the rows of two tables differ, in the column's terms."""
