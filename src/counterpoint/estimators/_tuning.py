"""Choose settings by what they do in gaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.model_selection import GridSearchCV

from counterpoint.errors import InputError, nearest
from counterpoint.estimators._gaps import GapSplit
from counterpoint.estimators._trunk import TrunkRegressor

_Search: Any = GridSearchCV  # its inferred types are those of its default values

_GRID: dict[str, Sequence[float]] = {
    "weight_decay": (0.01, 0.1, 1.0),
    "diversity": (0.01, 0.1, 1.0),
}


@dataclass(frozen=True)
class Tuned:
    """Settings that predicted best in gaps.

    Attributes:
        estimator: with these settings, fitted to all rows.
        settings: the best of the grid.
        log_prob: mean log density of targets in the gaps with them, in nats a row.
        scores: one row for each point of the grid, best first: the settings, ``log_prob``, its
            standard error over the gaps ``error`` (NaN of one gap), and ``worst``, that of the
            worst gap.
        gaps: how many gaps each was tested in.
    """

    estimator: Any
    settings: dict[str, Any]
    log_prob: float
    scores: pd.DataFrame
    gaps: int

    @property
    def sentence(self) -> str:
        """What was chosen, in one line."""
        chosen = ", ".join(f"{name} = {value}" for name, value in self.settings.items())
        return (
            f"{chosen}: log density {self.log_prob:.3f} a row in {self.gaps} gap(s), "
            f"best of {len(self.scores)} settings"
        )


def tune(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    splits: Any = None,
    jobs: int | None = None,
) -> Tuned:
    """The settings with the greatest mean log density in gaps, by scikit-learn's grid search.

    On rows left out at random a model that is sure of itself in a gap scores as well as one that is
    not, since no row lies in a gap. So each setting is fitted with the middle third of the rows
    along one feature left out, and judged there; feature after feature.

    Args:
        estimator: a `LunaRegressor` or `NeuralLinearRegressor`; it is not changed.
        X: (rows, columns), finite numbers.
        y: (rows,) or (rows, targets).
        grid: setting -> values to try; None: `weight_decay` and, where there is one, `diversity`,
            each over 0.01, 0.1 and 1.
        splits: anything that scikit-learn takes as `cv`; None: `GapSplit()`.
        jobs: processes; None: one.

    Raises:
        InputError: an estimator without `log_prob`, an empty grid, or rows, settings or splits
            that cannot be used.
    """
    if not isinstance(estimator, TrunkRegressor):
        raise InputError(
            "tune: expected a LunaRegressor or a NeuralLinearRegressor, found "
            f"{type(estimator).__name__}"
        )
    known: dict[str, Any] = estimator.get_params()
    usual = {name: values for name, values in _GRID.items() if name in known}
    chosen = {name: list(each) for name, each in (usual if grid is None else grid).items()}
    for name in chosen:
        if name not in known:
            raise InputError(f"tune: grid: no setting {name!r}{nearest(name, known)}")
    if not chosen or not all(chosen.values()):
        raise InputError("tune: grid must have a setting, and a value to try for each")
    search: Any = _Search(
        estimator,
        chosen,
        scoring=_mean_log_prob,
        cv=GapSplit() if splits is None else splits,
        error_score="raise",
        n_jobs=jobs,
    )
    search.fit(X, y)
    return Tuned(
        estimator=search.best_estimator_,
        settings=dict(search.best_params_),
        log_prob=float(search.best_score_),
        scores=_table(search),
        gaps=int(search.n_splits_),
    )


def _mean_log_prob(estimator: TrunkRegressor, X: ArrayLike, y: ArrayLike) -> float:
    return float(estimator.log_prob(X, y).mean())


def _table(search: Any) -> pd.DataFrame:
    """The grid with its scores, best first."""
    results: Mapping[str, Any] = search.cv_results_
    each = np.stack([results[f"split{at}_test_score"] for at in range(search.n_splits_)])
    table = pd.DataFrame(list(results["params"]))
    table["log_prob"] = each.mean(0)
    table["error"] = each.std(0, ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.nan
    table["worst"] = each.min(0)
    return table.sort_values("log_prob", ascending=False, kind="stable", ignore_index=True)
