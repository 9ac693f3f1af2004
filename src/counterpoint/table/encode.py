"""From a frame to the tensors of a network, by what the schema learnt."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from counterpoint.errors import InputError, nearest
from counterpoint.table.dates import date_parts
from counterpoint.table.kinds import to_dates, to_levels, to_numbers
from counterpoint.table.schema import MISSING_LEVEL, UNSEEN_LEVEL, Column, Schema

__all__ = [
    "check_columns",
    "codes_of",
    "encode_inputs",
    "encode_target",
    "encode_weight",
    "standardised",
]


def check_columns(schema: Schema, frame: pd.DataFrame, where: str = "table") -> None:
    """Refuse a frame that lacks a column of the fit.

    Raises:
        InputError: names every missing column, and for the first the nearest one there is.
    """
    known = [str(name) for name in frame.columns]
    absent = [column.name for column in schema.inputs if column.name not in known]
    if absent:
        names = ", ".join(repr(name) for name in absent)
        raise InputError(
            f"{where}: lacks {names}, which the model was fitted on{nearest(absent[0], known)}"
        )


def encode_inputs(schema: Schema, frame: pd.DataFrame, where: str = "table") -> dict[str, Tensor]:
    """The inputs of the network.

    Returns:
        ``categories``: int64 (N, C), codes; ``numbers``: float32 (N, D), standardised, missing
        ones 0 with a 1 in the indicator of their column.

    Raises:
        InputError: a column is absent, or a cell is not of its column's kind.
    """
    check_columns(schema, frame, where)
    codes = [codes_of(column, frame[column.name]) for column in schema.categories]
    numbers: list[np.ndarray] = []
    indicators: list[np.ndarray] = []
    for column in schema.numbers:
        numbers += standardised(column, frame[column.name], where)
        if column.gaps:
            indicators.append(np.isnan(numbers[-1]).astype(np.float64))
    return {
        "categories": _stack(codes, len(frame), np.int64),
        "numbers": _stack([np.nan_to_num(n) for n in numbers] + indicators, len(frame), np.float32),
    }


def standardised(column: Column, values: pd.Series, where: str = "table") -> list[np.ndarray]:
    """A number's or date's features, (N,) each, standardised; NaN where there is no value.

    Raises:
        InputError: a cell is not of the column's kind.
    """
    parts = _parts(column, values, where)
    return [(parts[f.part] - f.mean) / f.scale for f in column.features]


def codes_of(column: Column, values: pd.Series) -> np.ndarray:
    """A category's codes, int64 (N,)."""
    texts = to_levels(values)
    places = {level: place for place, level in enumerate(column.levels, 2)}
    codes = texts.map(places).fillna(UNSEEN_LEVEL).to_numpy(dtype=np.int64)
    return np.where(texts.isna().to_numpy(), MISSING_LEVEL, codes)


def encode_target(column: Column, values: pd.Series, where: str = "table") -> tuple[Tensor, Tensor]:
    """A target column.

    Returns:
        Values and which rows have one (bool, (N,)). A number: float32 (N, 1), standardised; a
        category: int64 (N,), the place of its level. Classes that no training row had count as
        missing.

    Raises:
        InputError: a cell is not of the column's kind.
    """
    if column.categorical:
        codes = codes_of(column, values) - 2
        known = codes >= 0
        return torch.from_numpy(np.where(known, codes, 0)), torch.from_numpy(known)
    numbers = to_numbers(values, column.name, where)
    known = ~np.isnan(numbers)
    feature = column.features[0]
    scaled = np.nan_to_num((numbers - feature.mean) / feature.scale)
    return torch.from_numpy(scaled.astype(np.float32)[:, None]), torch.from_numpy(known)


def encode_weight(values: pd.Series, name: str, where: str = "table") -> np.ndarray:
    """Row weights as float64 (N,).

    Raises:
        InputError: a weight is missing, negative or infinite, or all are zero.
    """
    weight = to_numbers(values, name, where)
    for bad, rule in ((np.isnan(weight), "a weight"), (weight < 0, "a weight of at least 0")):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            found = "no value" if np.isnan(weight[row]) else f"{weight[row]:g}"
            raise InputError(
                f"{where}: row {row + 1:,}, column {name!r}: expected {rule}, found {found}"
            )
    if not weight.any():
        raise InputError(f"{where}: weight column {name!r}: every weight is zero")
    return weight


def _parts(column: Column, values: pd.Series, where: str) -> dict[str, np.ndarray]:
    if column.kind == "date":
        return date_parts(to_dates(values, column.name, where, column.form))
    return {"value": to_numbers(values, column.name, where)}


def _stack(columns: list[np.ndarray], rows: int, dtype: type[np.generic]) -> Tensor:
    if not columns:
        return torch.from_numpy(np.zeros((rows, 0), dtype=dtype))
    # a value a million deviations away is as far as any: float32 must not turn it into infinity
    return torch.from_numpy(np.stack(columns, axis=1).clip(-1e6, 1e6).astype(dtype))
