"""Embeddings of a fitted table as a step of a pipeline."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from counterpoint.errors import InputError
from counterpoint.table._estimators import TableClassifier, TableRegressor


class TableEmbedder(TransformerMixin, BaseEstimator):
    """Turns a table into numbers for other models: vectors that a network has learnt for levels.

    Levels that mean alike for the target get vectors that are close, which neighbours, forests and
    boosted trees cannot find out from a one-hot code; numbers are standardised. The vectors have
    seen the targets of the rows of fit, so a score counts on other rows alone.

    Source: Guo & Berkhahn, "Entity Embeddings of Categorical Variables" (arXiv 1604.06737).

    Args:
        estimator: a `TableRegressor` or `TableClassifier` to learn from; None: one by the targets,
            with one network.

    Attributes:
        estimator_: it, fitted.

    >>> import pandas as pd
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> from sklearn.pipeline import make_pipeline
    >>> rows = pd.DataFrame({"town": ["a", "b", "c", "d"] * 25, "size": range(100)})
    >>> price = rows["town"].isin(["a", "b"]) * 10.0 + rows["size"] / 50
    >>> small = TableRegressor(members=1, epochs=20, random_state=0)
    >>> model = make_pipeline(TableEmbedder(small), KNeighborsRegressor()).fit(rows, price)
    >>> bool(abs(model.predict(rows[:1])[0] - 10) < 2)
    True
    """

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: ArrayLike) -> "TableEmbedder":
        """Train the network.

        Args:
            X: data frame or array (rows, columns).
            y: what is to be predicted.

        Raises:
            InputError: another estimator, or rows that it cannot use.
        """
        told = self.estimator
        if told is None:
            kind = TableRegressor if type_of_target(y).startswith("continuous") else TableClassifier
            told = kind(members=1, random_state=0)
        if not isinstance(told, TableRegressor | TableClassifier):
            raise InputError(
                "embedder: estimator must be a TableRegressor or a TableClassifier, found a"
                f" {type(told).__name__}"
            )
        estimator: Any = clone(told)
        self.estimator_ = estimator.fit(X, y)
        self.n_features_in_ = self.estimator_.n_features_in_
        self._names = self._embedded(X).columns.tolist()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The rows as vectors and standardised numbers, (rows, entries).

        Args:
            X: data frame or array with the columns of the fit.
        """
        check_is_fitted(self)
        return self._embedded(X).to_numpy(dtype=np.float64)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """What each entry is: ``town[0]``, ``town[1]``, ``size``.

        Args:
            input_features: not used.
        """
        del input_features
        check_is_fitted(self)
        return np.array(self._names, dtype=object)

    def _embedded(self, X: Any) -> pd.DataFrame:
        # columns of the fit are known by their place, and the estimator knows which
        return self.estimator_.model_.embed(self.estimator_._frame(X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.target_tags.required = True
        return tags
