"""How the numbers of a column are written: found once for all its cells, then read cell by cell.

Digits say what they mean only together: ``1.448`` is 1448 beside ``967``, and ``20,628`` may be
twenty thousand or twenty. What the cells leave open is settled by what the user said, by how an
earlier table of the column was written, and by the sign between the file's cells; what is open
then is `Quantities.doubt`: two readings, and how to say which.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

_PICTURE = re.compile(r"(?P<before>\D*)1(?P<thousands>\D?)234(?P<decimal>[.,])5(?P<after>.*)")


@dataclass(frozen=True)
class Notation:
    """The signs and units of a column; at rest it is 1234.5 written so.

    >>> str(Notation(",", ".", after="€")), str(Notation())
    ('1.234,5 €', '')
    >>> Notation.of("1.234,5 €") == Notation(",", ".", after="€"), Notation.of("") == Notation()
    (True, True)
    """

    decimal: str = "."
    thousands: str = ""
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        # the plain notation is what folders have that were written before there was another
        if self == Notation():
            return ""
        after = f" {self.after}" if self.after else ""
        return f"{self.before}1{self.thousands}234{self.decimal}5{after}"

    @classmethod
    def of(cls, picture: str) -> "Notation":
        """The notation of a picture; what is none is the plain one."""
        found = _PICTURE.fullmatch(picture)
        if found is None:
            return cls()
        return cls(found["decimal"], found["thousands"], found["before"], found["after"].strip())

    @property
    def pair(self) -> tuple[str, str]:
        """The signs of decimals and of thousands."""
        return self.decimal, self.thousands

    @property
    def unit(self) -> str:
        """What is written beside the number."""
        return self.before or self.after


@dataclass(frozen=True)
class Quantities:
    """What cells are as numbers.

    Attributes:
        numbers: float64 (N,); NaN where there is none.
        absent: (N,), where a cell is empty or says in a word that there is no value.
        notation: how they are written.
        said: how cells are read that are not plain numbers, in words; empty where all are.
        doubt: why a reading would be a guess, and how to choose; empty where it is none.
        costume: what cells with digits are that are no numbers; empty where they are.
    """

    numbers: np.ndarray
    absent: np.ndarray
    notation: Notation = Notation()
    said: str = ""
    doubt: str = ""
    costume: str = ""

    @property
    def share(self) -> float:
        """Of the cells that hold a value, those that are numbers."""
        held = ~self.absent
        return float((~np.isnan(self.numbers[held])).mean()) if held.any() else 0.0

    def rows(self, codes: np.ndarray) -> "Quantities":
        """The same of rows, from that of distinct cells.

        Args:
            codes: of each row, the place of its cell; -1 where it is empty.
        """
        # the last place is that of -1
        numbers, absent = np.append(self.numbers, np.nan), np.append(self.absent, True)
        own = (self.notation, self.said, self.doubt, self.costume)
        return Quantities(numbers[codes], absent[codes], *own)


def factorized(cells: pd.Series) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Of each row the place of its text, -1 where there is none; the texts; rows of each."""
    codes, found = pd.factorize(cells.astype("object"), use_na_sentinel=True)
    texts = [str(text) for text in found]
    return codes, texts, np.bincount(codes[codes >= 0], minlength=len(texts))
