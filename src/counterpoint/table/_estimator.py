"""What both estimators of tables share: their parameters, and the way from X and y to a frame."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import validation

from counterpoint.errors import InputError
from counterpoint.estimators._checks import checked_inputs, seed_of, unit_weight
from counterpoint.recipe import Data, Network, Posterior, Recipe, Training, build
from counterpoint.table._frames import to_pandas
from counterpoint.table.fit._fit import fit_table
from counterpoint.table.update import update_table

# scikit-learn has no type annotations; what is inferred from its default values is wrong
_validate_data: Any = validation.validate_data


class TableEstimator(BaseEstimator):
    """What both estimators share: parameters, and the way from X and y to one frame.

    Args:
        category: columns to take as categories whatever they hold.
        distribution: of the numbers to predict: "auto", "normal", "log-normal", "power-normal",
            "poisson" or "negative-binomial"; see `counterpoint.recipe.Data`. Of no effect on a
            class.
        conformal: share of the rows kept aside, so that intervals of numbers hold what they say
            (`TableRegressor.predict_interval`); 0: none.
        conformal_by: a column of categories in each of whose groups they are to hold; by itself it
            sets `conformal` to 0.2.
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
        conformal: float = Data.conformal,
        conformal_by: str = Data.conformal_by,
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
        self.conformal = conformal
        self.conformal_by = conformal_by
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
        self,
        frame: pd.DataFrame,
        targets: dict[str, np.ndarray],
        weight: Any,
        kind: str,
        lessons: Sequence[Mapping[str, np.ndarray]] = (),
    ) -> None:
        """Learn the first rows.

        Args:
            frame: inputs.
            targets: by name.
            weight: of each row.
            kind: of the targets.
            lessons: what a teacher predicts of each target: what stands behind the teacher's name
                -> values.
        """
        weights = unit_weight(weight, len(frame))
        # later rows count in the unit of these
        self._unit = 1.0 if weight is None else float(np.mean(np.asarray(weight, np.float64)))
        self._names = tuple(_unused(frame, name) for name in targets)
        self._counted = "" if weight is None else _unused(frame, "weight")
        full = self._with_targets(frame, targets, weights)
        recipe = self._recipe(full, self._counted, kind)
        taught = list[str]()
        for target, lesson in zip(self._names, lessons, strict=False):
            name = _unused(full, "teacher")
            full = full.assign(**{f"{name}{own}": values for own, values in lesson.items()})
            taught.append(f"{target}={name}")
        recipe = replace(recipe, data=replace(recipe.data, teacher=tuple(taught)))
        self.model_ = fit_table(full, recipe, evaluate=False)

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
            "conformal": self.conformal,
            "conformal_by": self.conformal_by,
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


def _of_array(estimator: TableEstimator, X: Any, *, reset: bool) -> pd.DataFrame:
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


def _unused(frame: pd.DataFrame, name: str) -> str:
    while name in frame.columns:
        name += "_"
    return name
