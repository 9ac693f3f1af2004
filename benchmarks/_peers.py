"""Regressors of other libraries at their defaults: a mean a row, and where there is one its spread.

A fit takes raw training rows, their targets, new rows and a seed. Categories are given as each
library wants them: by name to CatBoost, as pandas' own to LightGBM and XGBoost, as codes to the
others.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from _measure import installed
from sklearn.ensemble import HistGradientBoostingRegressor

Predicted = tuple[np.ndarray, np.ndarray | None]
Fit = Callable[[pd.DataFrame, np.ndarray, pd.DataFrame, int], Predicted]

__all__ = ["Fit", "Predicted", "coded", "regressors"]


def coded(frame: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """Texts as categories with the levels of the training rows."""
    names = [c for c in train.columns if not pd.api.types.is_numeric_dtype(train[c])]
    kinds = {c: pd.CategoricalDtype(sorted(train[c].dropna().unique())) for c in names}
    return frame.astype(kinds)


def _numbers(frame: pd.DataFrame, train: pd.DataFrame) -> np.ndarray:
    found = coded(frame, train)
    for name in found.select_dtypes("category"):
        found[name] = found[name].cat.codes
    return found.to_numpy(float)


def _trees(x: pd.DataFrame, y: np.ndarray, new: pd.DataFrame, seed: int) -> Predicted:
    model = HistGradientBoostingRegressor(random_state=seed, categorical_features="from_dtype")
    return model.fit(coded(x, x), y).predict(coded(new, x)), None


def _catboost(x: pd.DataFrame, y: np.ndarray, new: pd.DataFrame, seed: int) -> Predicted:
    """With the loss that also learns the variance."""
    from catboost import CatBoostRegressor

    names = [c for c in x.columns if not pd.api.types.is_numeric_dtype(x[c])]
    x, new = (frame.astype(dict.fromkeys(names, object)) for frame in (x, new))
    model = CatBoostRegressor(
        loss_function="RMSEWithUncertainty", random_seed=seed, cat_features=names, verbose=False,
        allow_writing_files=False, thread_count=torch.get_num_threads(),
    )  # fmt: skip
    mean, variance = np.asarray(model.fit(x, y).predict(new)).T
    return mean, np.sqrt(variance)


def _catboost_point(x: pd.DataFrame, y: np.ndarray, new: pd.DataFrame, seed: int) -> Predicted:
    from catboost import CatBoostRegressor

    names = [c for c in x.columns if not pd.api.types.is_numeric_dtype(x[c])]
    x, new = (frame.astype(dict.fromkeys(names, object)) for frame in (x, new))
    model = CatBoostRegressor(
        random_seed=seed, cat_features=names, verbose=False, allow_writing_files=False,
        thread_count=torch.get_num_threads(),
    )  # fmt: skip
    return np.asarray(model.fit(x, y).predict(new)), None


def _lightgbm(x: pd.DataFrame, y: np.ndarray, new: pd.DataFrame, seed: int) -> Predicted:
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(random_state=seed, n_jobs=torch.get_num_threads(), verbose=-1)
    return np.asarray(model.fit(coded(x, x), y).predict(coded(new, x))), None


def _xgboost(x: pd.DataFrame, y: np.ndarray, new: pd.DataFrame, seed: int) -> Predicted:
    from xgboost import XGBRegressor

    model = XGBRegressor(random_state=seed, n_jobs=torch.get_num_threads(), enable_categorical=True)
    return model.fit(coded(x, x), y).predict(coded(new, x)), None


def _ngboost(x: pd.DataFrame, y: np.ndarray, new: pd.DataFrame, seed: int) -> Predicted:
    from ngboost import NGBRegressor

    found = NGBRegressor(random_state=seed, verbose=False).fit(_numbers(x, x), y)
    normal = found.pred_dist(_numbers(new, x)).params
    return normal["loc"], normal["scale"]


def regressors() -> dict[str, Fit]:
    """Those that are installed, by name."""
    peers = {
        "CatBoost, mean and variance": ("catboost", _catboost),
        "CatBoost": ("catboost", _catboost_point),
        "LightGBM": ("lightgbm", _lightgbm),
        "XGBoost": ("xgboost", _xgboost),
        "NGBoost": ("ngboost", _ngboost),
    }
    found: dict[str, Fit] = {"boosted trees (scikit-learn)": _trees}
    return found | {name: fit for name, (package, fit) in peers.items() if installed(package)}
