"""Tables with scikit-learn's interface: data frames (or arrays) in, predictions out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from counterpoint.errors import InputError
from counterpoint.estimators._checks import checked_targets, number, unit_weight
from counterpoint.table._estimator import TableEstimator
from counterpoint.table.targets._category import CategoryPrediction
from counterpoint.table.targets._number import NumberPrediction


class TableRegressor(RegressorMixin, TableEstimator):
    """Predict one or more numbers from a data frame or array, with standard deviations.

    Columns of a frame may be numbers, texts, booleans, categories and dates; missing values are
    welcome everywhere. The parameters are those of the recipe's sections, see
    `counterpoint.recipe`.

    Attributes:
        model_: the fitted `TableModel`.
        n_features_in_: number of columns seen in fit.
    """

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        teacher: ArrayLike | None = None,
    ) -> "TableRegressor":
        """Fit the networks and what is known of their weights.

        Args:
            X: data frame or array (rows, columns).
            y: numbers (rows,) or (rows, targets), finite.
            sample_weight: (rows,), at least 0.
            teacher: what another model predicts, like `y`, for the networks to imitate while they
                fit `y`; best of rows that it was not fitted to. NaN where it says nothing.

        Raises:
            InputError: fewer than ten rows, a cell that cannot be read, a target that does not
                vary.
        """
        frame = self._frame(X, reset=True)
        array = checked_targets(y, len(frame))
        self._single = array.ndim == 1
        targets = _named(y, array)
        lessons = []
        if teacher is not None:
            values = _lessons(teacher, array.shape).reshape(len(frame), -1)
            lessons = [{"": column} for column in values.T]
        self._fit(frame, targets, sample_weight, "number", lessons)
        return self

    def partial_fit(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "TableRegressor":
        """Learn more rows without the earlier ones, as `update_table` does; at first, fit.

        Args:
            X: data frame or array with the columns of the fit.
            y: numbers, as many a row as in the fit.
            sample_weight: (rows,), in the unit of the fit's.

        Raises:
            InputError: a cell that cannot be read, other targets than before, or a kind of
                uncertainty that cannot be updated.
        """
        if not hasattr(self, "model_"):
            return self.fit(X, y, sample_weight)
        frame = self._frame(X, reset=False)
        array = checked_targets(y, len(frame))
        width = 1 if array.ndim == 1 else array.shape[1]
        if width != len(self._names):
            raise InputError(f"y: expected {len(self._names)} targets as in the fit, found {width}")
        self._update(frame, _named(y, array), sample_weight)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Expected targets, and on request their standard deviations.

        Args:
            X: data frame or array with the columns of the fit.
            return_std: also return the standard deviation, noise and knowledge together.

        Returns:
            (rows,) or (rows, targets) as `y` was in fit; a pair of them with `return_std`.
        """
        numbers = self._numbers(X)
        mean = np.stack([number.mean for number in numbers], axis=1)
        std = np.stack([number.std for number in numbers], axis=1)
        if self._single:
            mean, std = mean[:, 0], std[:, 0]
        return (mean, std) if return_std else mean

    def predict_interval(self, X: Any, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """The lower and the upper ends of intervals that hold the target with a probability.

        With `conformal` they hold it as often as they say, to one over the number of rows kept
        aside, for new rows like those of the fit and whatever the model; in each group with
        `conformal_by`.

        Args:
            X: data frame or array with the columns of the fit.
            level: the probability.

        Returns:
            Two arrays, (rows,) or (rows, targets) as `y` was in fit.

        Raises:
            InputError: the level is not between 0 and 1.
        """
        number("level", level, "a number between 0 and 1", lambda share: 0 < share < 1)
        bounds = [part.interval(level) for part in self._numbers(X)]
        low, high = (np.stack(side, axis=1) for side in zip(*bounds, strict=True))
        return (low[:, 0], high[:, 0]) if self._single else (low, high)

    def _numbers(self, X: Any) -> list[NumberPrediction]:
        check_is_fitted(self)
        found = self.model_.predict(self._frame(X, reset=False))
        parts = (found[name] for name in self._names)
        return [part for part in parts if isinstance(part, NumberPrediction)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class TableClassifier(ClassifierMixin, TableEstimator):
    """Predict a class and its probability from a data frame or array.

    Attributes:
        classes_: the classes, sorted.
        model_: the fitted `TableModel`.
        n_features_in_: number of columns seen in fit.
    """

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        teacher: ArrayLike | None = None,
    ) -> "TableClassifier":
        """Fit the networks and what is known of their weights.

        Args:
            X: data frame or array (rows, columns).
            y: classes (rows,).
            sample_weight: (rows,), at least 0.
            teacher: probabilities (rows, classes) by another model, the classes sorted, for the
                networks to imitate while they fit `y`; best of rows that it was not fitted to. NaN
                where it says nothing.

        Raises:
            InputError: fewer than ten rows, a cell that cannot be read, fewer than two classes.
        """
        frame = self._frame(X, reset=True)
        labels = _checked_labels(y, len(frame))
        self.classes_, codes = np.unique(labels, return_inverse=True)
        lessons = []
        if teacher is not None:
            values = _lessons(teacher, (len(frame), len(self.classes_)))
            lessons = [{f" p({place})": column for place, column in enumerate(values.T)}]
        return self._first(frame, labels, codes, sample_weight, lessons)

    def partial_fit(
        self,
        X: Any,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> "TableClassifier":
        """Learn more rows without the earlier ones, as `update_table` does; at first, fit.

        Args:
            X: data frame or array with the columns of the fit.
            y: classes (rows,).
            classes: of the first call: all that will ever come; none means those of its rows.
            sample_weight: (rows,), in the unit of the fit's.

        Raises:
            InputError: a cell that cannot be read, a class that was not announced, or a kind of
                uncertainty that cannot be updated.
        """
        first = not hasattr(self, "model_")
        frame = self._frame(X, reset=first)
        labels = _checked_labels(y, len(frame))
        if first:
            self.classes_ = np.unique(labels if classes is None else np.asarray(classes))
        unknown = ~np.isin(labels, self.classes_)
        if unknown.any():
            raise InputError(
                f"y: class {labels[unknown][0]!r} is none of the {len(self.classes_)} announced;"
                " pass classes= in the first call"
            )
        codes = np.searchsorted(self.classes_, labels)
        if first:
            return self._first(frame, labels, codes, sample_weight)
        self._update(frame, {"y": codes}, sample_weight)
        return self

    def _first(
        self,
        frame: pd.DataFrame,
        labels: np.ndarray,
        codes: np.ndarray,
        weight: Any,
        lessons: Sequence[Mapping[str, np.ndarray]] = (),
    ) -> "TableClassifier":
        counted = codes[unit_weight(weight, len(frame)) > 0]
        if len(np.unique(counted)) < 2:
            raise InputError(f"y: at least two classes are needed, found one class: {labels[0]!r}")
        self._fit(frame, {"y": codes}, weight, "category", lessons)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of every class, (rows, classes), in the order of `classes_`.

        The uncertainty of the weights is integrated out, so probabilities far from the training
        rows are moderate.
        """
        check_is_fitted(self)
        found = self.model_.predict(self._frame(X, reset=False)).values()
        (prediction,) = (part for part in found if isinstance(part, CategoryPrediction))
        probabilities = np.zeros((len(prediction.probabilities), len(self.classes_)))
        places = [int(level) for level in prediction.classes]
        probabilities[:, places] = prediction.probabilities
        return probabilities

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of every row."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


def _named(y: Any, array: np.ndarray) -> dict[str, np.ndarray]:
    """Targets by the names that they came with, or by their places."""
    columns = array[:, None] if array.ndim == 1 else array
    given = [str(name) for name in getattr(y, "columns", [])]
    names = given or [f"y{place}" for place in range(columns.shape[1])]
    return {name: columns[:, place] for place, name in enumerate(names)}


def _lessons(teacher: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """What a teacher predicts, float64 of a shape; NaN where it says nothing."""
    found = np.asarray(teacher, dtype=np.float64)
    if found.shape != shape:
        raise InputError(f"teacher: expected an array of shape {shape}, found {found.shape}")
    return found


def _checked_labels(y: Any, rows: int) -> np.ndarray:
    labels = column_or_1d(y, warn=True)
    check_classification_targets(labels)
    if len(labels) != rows:
        raise InputError(
            f"X and y: inconsistent numbers of samples: X has {rows} rows, y has {len(labels)}"
        )
    return labels
