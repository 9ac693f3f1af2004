"""Tables with scikit-learn's interface: data frames (or arrays) in, predictions out."""

from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import validation
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from counterpoint.errors import InputError
from counterpoint.estimators._checks import (
    checked_inputs,
    checked_targets,
    seed_of,
    unit_weight,
)
from counterpoint.recipe import Data, Network, Posterior, Recipe, Training, build
from counterpoint.table._frames import to_pandas
from counterpoint.table.fit._fit import fit_table
from counterpoint.table.targets._category import CategoryPrediction
from counterpoint.table.targets._number import NumberPrediction
from counterpoint.table.update import update_table

# scikit-learn has no type annotations; what is inferred from its default values is wrong
_validate_data: Any = validation.validate_data


class _Table(BaseEstimator):
    """What both estimators share: parameters, and the way from X and y to one frame.

    Args:
        category: columns to take as categories whatever they hold.
        distribution: of the numbers to predict: "auto", "normal", "log-normal", "power-normal",
            "poisson" or "negative-binomial"; see `counterpoint.recipe.Data`. Of no effect on a
            class.
        validation: share of the rows that decides when to stop.
        width: units of a layer.
        depth: layers of the trunk.
        dropout: share of units silenced in training.
        bins: most quantile bins of a number's piecewise-linear encoding.
        repeated: most distinct values of a number that has a vector for each; 0: none.
        members: networks trained side by side, each leaving out another part of the rows.
        epochs: passes over the rows; 0: by their number.
        batch_size: rows a step; 0: by their number.
        rate: highest learning rate.
        weight_decay: decoupled.
        patience: epochs without a better validation score before stopping; 0: never; None: 12.
        balance: how several targets share a step, a name of `counterpoint.balance.rules`; of no
            effect with one target.
        uncertainty: "last-layer", "luna", "laplace" or "ensemble"; see `counterpoint.recipe`.
        heads: auxiliary heads a target while training, of "luna" alone.
        diversity: what their likeness counts against the fit, of "luna" alone.
        random_state: seed, `numpy.random.RandomState`, or None for a fresh one.
    """

    def __init__(
        self,
        *,
        category: tuple[str, ...] = (),
        distribution: str = "auto",
        validation: float = Data.validation,
        width: int = Network.width,
        depth: int = Network.depth,
        dropout: float = Network.dropout,
        bins: int = Network.bins,
        repeated: int = Network.repeated,
        members: int = Network.members,
        epochs: int = Training.epochs,
        batch_size: int = Training.batch_size,
        rate: float = Training.rate,
        weight_decay: float = Training.weight_decay,
        patience: int | None = Training.patience,
        balance: str = Training.balance,
        uncertainty: str = Posterior.uncertainty,
        heads: int = Posterior.heads,
        diversity: float = Posterior.diversity,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.category = category
        self.distribution = distribution
        self.validation = validation
        self.width = width
        self.depth = depth
        self.dropout = dropout
        self.bins = bins
        self.repeated = repeated
        self.members = members
        self.epochs = epochs
        self.batch_size = batch_size
        self.rate = rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.balance = balance
        self.uncertainty = uncertainty
        self.heads = heads
        self.diversity = diversity
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _fit(
        self, frame: pd.DataFrame, targets: dict[str, np.ndarray], weight: Any, kind: str
    ) -> None:
        weights = unit_weight(weight, len(frame))
        # later rows count in the unit of these
        self._unit = 1.0 if weight is None else float(np.mean(np.asarray(weight, np.float64)))
        self._names = tuple(_unused(frame, name) for name in targets)
        self._counted = "" if weight is None else _unused(frame, "weight")
        full = self._with_targets(frame, targets, weights)
        self.model_ = fit_table(full, self._recipe(full, self._counted, kind), evaluate=False)

    def _update(self, frame: pd.DataFrame, targets: dict[str, np.ndarray], weight: Any) -> None:
        """Learn more rows."""
        if weight is not None and not self._counted:
            raise InputError(
                "sample_weight: the first rows had none, so later ones count one each; found some"
            )
        weights = unit_weight(weight, len(frame))
        if weight is not None:
            weights = np.asarray(weight, np.float64) / self._unit
        full = self._with_targets(frame, targets, weights)
        self.model_ = update_table(self.model_, full)

    def _with_targets(
        self, frame: pd.DataFrame, targets: dict[str, np.ndarray], weights: np.ndarray
    ) -> pd.DataFrame:
        """Inputs, targets and, where rows have them, weights side by side."""
        more = dict(zip(self._names, targets.values(), strict=True))
        if self._counted:
            more[self._counted] = weights
        return frame.assign(**more)

    def _recipe(self, frame: pd.DataFrame, weight: str, kind: str) -> Recipe:
        # a numeric column of a frame is a number, also where it happens to count rows
        numeric = [
            str(name)
            for name in frame.columns
            if pd.api.types.is_numeric_dtype(frame[name].dtype)
            and not pd.api.types.is_bool_dtype(frame[name].dtype)
            and name not in (*self._names, *self.category, weight)
        ]
        kinds = dict.fromkeys(numeric, "number") | dict.fromkeys(self.category, "category")
        data = {
            "target": self._names,
            "weight": weight,
            "split": "none",
            "validation": self.validation,
            "distribution": (self.distribution,),
            "kinds": kinds | dict.fromkeys(self._names, kind),
        }
        training = {**self._told(Training), "seed": seed_of(self.random_state)}
        posterior = self._told(Posterior)
        told = {"network": self._told(Network), "training": training, "posterior": posterior}
        return build({"data": data, **told})

    def _told(self, section: type) -> dict[str, Any]:
        """The parameters that are keys of a section; a grid's numbers are numpy's."""
        names = {f.name for f in fields(section)} & self.get_params().keys()
        told = {name: getattr(self, name) for name in names}
        return {n: v.item() if isinstance(v, np.generic) else v for n, v in told.items()}

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """The rows as a frame with the columns of the fit, which are known by their place."""
        # scikit-learn's own check refuses other names, and warns where either side has none
        rows = to_pandas(X)
        if isinstance(rows, pd.DataFrame):
            _validate_data(self, rows, reset=reset, skip_check_array=True)
            if reset and len(rows) < 2:
                raise InputError(f"at least 2 rows are needed, found {len(rows)} sample(s)")
            frame = rows.reset_index(drop=True)
            names = [str(name) for name in frame.columns]
        else:
            frame = _of_array(self, rows, reset=reset)
            names = [f"x{place}" for place in frame.columns]
        if reset:
            self._columns = names
        return frame.set_axis(self._columns, axis=1)


class TableRegressor(RegressorMixin, _Table):
    """Predict one or more numbers from a data frame or array, with standard deviations.

    Columns of a frame may be numbers, texts, booleans, categories and dates; missing values are
    welcome everywhere. The parameters are those of the recipe's sections, see
    `counterpoint.recipe`.

    Attributes:
        model_: the fitted `TableModel`.
        n_features_in_: number of columns seen in fit.
    """

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> "TableRegressor":
        """Fit the networks and what is known of their weights.

        Args:
            X: data frame or array (rows, columns).
            y: numbers (rows,) or (rows, targets), finite.
            sample_weight: (rows,), at least 0.

        Raises:
            InputError: fewer than ten rows, a cell that cannot be read, a target that does not
                vary.
        """
        frame = self._frame(X, reset=True)
        array = checked_targets(y, len(frame))
        self._single = array.ndim == 1
        self._fit(frame, _named(y, array), sample_weight, "number")
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
        check_is_fitted(self)
        found = self.model_.predict(self._frame(X, reset=False))
        parts = (found[name] for name in self._names)
        numbers = [part for part in parts if isinstance(part, NumberPrediction)]
        mean = np.stack([number.mean for number in numbers], axis=1)
        std = np.stack([number.std for number in numbers], axis=1)
        if self._single:
            mean, std = mean[:, 0], std[:, 0]
        return (mean, std) if return_std else mean

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class TableClassifier(ClassifierMixin, _Table):
    """Predict a class and its probability from a data frame or array.

    Attributes:
        classes_: the classes, sorted.
        model_: the fitted `TableModel`.
        n_features_in_: number of columns seen in fit.
    """

    def fit(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "TableClassifier":
        """Fit the networks and what is known of their weights.

        Args:
            X: data frame or array (rows, columns).
            y: classes (rows,).
            sample_weight: (rows,), at least 0.

        Raises:
            InputError: fewer than ten rows, a cell that cannot be read, fewer than two classes.
        """
        frame = self._frame(X, reset=True)
        labels = _checked_labels(y, len(frame))
        self.classes_, codes = np.unique(labels, return_inverse=True)
        return self._first(frame, labels, codes, sample_weight)

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
        self, frame: pd.DataFrame, labels: np.ndarray, codes: np.ndarray, weight: Any
    ) -> "TableClassifier":
        counted = codes[unit_weight(weight, len(frame)) > 0]
        if len(np.unique(counted)) < 2:
            raise InputError(f"y: at least two classes are needed, found one class: {labels[0]!r}")
        self._fit(frame, {"y": codes}, weight, "category")
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


def _of_array(estimator: _Table, X: Any, *, reset: bool) -> pd.DataFrame:
    """An array as a frame; texts and objects keep what they are, column by column."""
    rows = 2 if reset else 1
    if getattr(getattr(X, "dtype", None), "kind", "") not in "OUS":
        return pd.DataFrame(checked_inputs(estimator, X, reset=reset, missing=True, rows=rows))
    array = _validate_data(
        estimator,
        X,
        reset=reset,
        dtype=None,
        ensure_all_finite="allow-nan",
        ensure_min_samples=rows,
    )
    return pd.DataFrame(array).infer_objects()


def _named(y: Any, array: np.ndarray) -> dict[str, np.ndarray]:
    """Targets by the names that they came with, or by their places."""
    columns = array[:, None] if array.ndim == 1 else array
    given = [str(name) for name in getattr(y, "columns", [])]
    names = given or [f"y{place}" for place in range(columns.shape[1])]
    return {name: columns[:, place] for place, name in enumerate(names)}


def _checked_labels(y: Any, rows: int) -> np.ndarray:
    labels = column_or_1d(y, warn=True)
    check_classification_targets(labels)
    if len(labels) != rows:
        raise InputError(
            f"X and y: inconsistent numbers of samples: X has {rows} rows, y has {len(labels)}"
        )
    return labels


def _unused(frame: pd.DataFrame, name: str) -> str:
    while name in frame.columns:
        name += "_"
    return name
