"""Arguments and settings of an estimator, checked in fit, with types that say so."""

from collections.abc import Callable
from numbers import Integral
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import validation

from counterpoint.errors import InputError
from counterpoint.goals import checked_weight

Floats = NDArray[np.float64]

# scikit-learn has no type annotations; what is inferred from its default values is wrong
_validate_data: Any = validation.validate_data
_check_array: Any = validation.check_array


def checked_inputs(
    estimator: Any, X: Any, *, reset: bool, missing: bool = False, rows: int = 1
) -> Floats:
    """Inputs as a float64 matrix; sets or compares the estimator's column names and number."""
    return _validate_data(
        estimator,
        X,
        reset=reset,
        dtype=np.float64,
        ensure_all_finite="allow-nan" if missing else True,
        ensure_min_samples=rows,
    )


def checked_targets(y: Any, rows: int) -> Floats:
    """Targets as float64, (rows,) or (rows, targets)."""
    if y is None:
        # scikit-learn's own estimator checks look for these words
        raise InputError("requires y to be passed, but the target y is None")
    targets = cast("Floats", _check_array(y, ensure_2d=False, dtype=np.float64, input_name="y"))
    if len(targets) != rows:
        raise InputError(
            f"X and y: inconsistent numbers of samples: X has {rows} rows, y has {len(targets)}"
        )
    return targets


def refuse_flat(targets: Floats, weight: Floats) -> None:
    """Refuse a target with one value in all rows that count, or more targets than rows."""
    rows, columns = targets.shape
    if rows < columns:
        raise InputError(f"y: {columns} targets need at least {columns} rows, found {rows}")
    spread = np.ptp(targets[weight > 0], axis=0)
    if (spread == 0).any():
        flat = int((spread == 0).argmax())
        which = "y" if columns == 1 else f"y: target {flat}"
        value = targets[weight > 0][0, flat]
        raise InputError(
            f"{which} must have two values or more to learn from, found {value:g} in every row"
        )


def unit_weight(sample_weight: ArrayLike | None, rows: int) -> Floats:
    """Row weights, (rows,), with mean one."""
    if sample_weight is None:
        return np.ones(rows)
    weight = cast(
        "Floats",
        _check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"),
    )
    checked_weight(torch.from_numpy(weight), rows, name="sample_weight")
    mean = float(weight.mean())
    if mean == 0.0:
        raise InputError("sample_weight: every weight is zero")
    return weight / mean


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """The seed that scikit-learn's `random_state` stands for; None draws a fresh one."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    source = np.random.RandomState() if random_state is None else random_state
    return int(source.randint(2**31 - 1))


def whole(name: str, value: object, least: int) -> int:
    """A setting that is a whole number, of at least so many."""
    # True is an int to Python, and a slip in an argument here
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name}: expected a whole number of at least {least}, found {value!r}")
    return int(value)


def number(name: str, value: object, rule: str, fits: Callable[[float], bool]) -> float:
    """A setting that is a number within a range, which `rule` says in words."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
        raise InputError(f"{name}: expected {rule}, found {value!r}")
    return float(value)
