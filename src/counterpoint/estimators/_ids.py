"""Users and items as people name them, and as rows of a matrix."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import validation

from counterpoint.errors import InputError
from counterpoint.estimators._checks import Floats, checked_targets

# scikit-learn has no type annotations
_validate_data: Any = validation.validate_data

Names = NDArray[np.object_]


class Ids:
    """Names in the order in which they came; a number and its text are one name.

    >>> ids = Ids(["ann", "bob"])
    >>> ids.codes(np.array(["bob", "eve", 7], object)).tolist()
    [1, -1, -1]
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self._places = {name: place for place, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def codes(self, names: Iterable[object]) -> NDArray[np.intp]:
        """Their places; -1 of one who is not known, or of no name at all."""
        return np.array([self._places.get(text_of(name), -1) for name in names], np.intp)

    def with_more(self, names: Iterable[object]) -> "Ids":
        """Those that are new at the end."""
        return Ids(dict.fromkeys([*self.names, *map(text_of, names)]))


def text_of(name: object) -> str:
    """How an id is known: 7, 7.0 and "7" are one, "007" is another; empty: it is none.

    >>> text_of(7), text_of(np.float64(7)), text_of(" 007"), text_of(None)
    ('7', '7', '007', '')
    """
    if isinstance(name, str):
        return name.strip()
    if name is None or name is pd.NA or name is pd.NaT:
        return ""
    if isinstance(name, float | np.floating):
        if np.isnan(name):
            return ""
        # a column of ids with a gap is one of floats to pandas
        return str(int(name)) if float(name).is_integer() else repr(float(name))
    return str(name)


def pairs_of(estimator: Any, X: Any, *, reset: bool) -> tuple[Names, Names]:
    """The two columns of X: who, and what.

    Raises:
        InputError: other than two columns, or other columns than in fit.
    """
    frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X, dtype=object))
    if frame.shape[1] != 2:
        raise InputError(
            f"X: expected two columns, who and what, found {frame.shape[1]}"
            f"{_listed([str(name) for name in frame.columns])}"
        )
    if len(frame) == 0:
        raise InputError("X: found no rows")
    # names of the columns, which it remembers and compares
    _validate_data(estimator, X, reset=reset, skip_check_array=True)
    user, item = (frame.iloc[:, place].to_numpy(dtype=object) for place in (0, 1))
    return cast("Names", user), cast("Names", item)


def rated(user: Names, item: Names, y: ArrayLike) -> Floats:
    """The ratings of pairs.

    Raises:
        InputError: a row has no user or item, or not one finite rating.
    """
    for names, what in ((user, "user"), (item, "item")):
        for row, name in enumerate(names):
            if not text_of(name):
                raise InputError(f"X: row {row} has no {what}; leave such rows out")
    value = checked_targets(y, len(user))
    if value.ndim != 1:
        raise InputError(f"y: expected one rating a row, found shape {value.shape}")
    return value


def _listed(names: Sequence[str]) -> str:
    return f": {', '.join(names[:6])}" if names else ""
