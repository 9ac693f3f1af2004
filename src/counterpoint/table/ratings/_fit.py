"""A fit of ratings: held-out ones first, then all."""

import time
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pandas as pd

from counterpoint.errors import InputError
from counterpoint.estimators import Recommender
from counterpoint.findings import RatedPart, RatingsFindings
from counterpoint.recipe import Recipe
from counterpoint.table.fit._context import Context
from counterpoint.table.fit._fit import now
from counterpoint.table.ratings._columns import RatingColumns, read_ratings, usable
from counterpoint.table.ratings._describe import described
from counterpoint.table.ratings._model import Pairs, RatingsModel, measured

_APPLIES = {
    "data": {
        "table", "target", "split", "ignore", "encoding", "separator", "missing", "not_missing",
        "decimal", "thousands", "header", "names", "user", "item",
    },
    "network": {"factors"},
    "training": {"seed"},
    "posterior": {"interval"},
}  # fmt: skip
"""What a fit of ratings is told of a recipe; the rest is of networks."""

_PARTS = (0, 1, 3, 10, 30, 100)


def fit_ratings(
    frame: pd.DataFrame,
    recipe: Recipe,
    columns: RatingColumns | None,
    context: Context | None = None,
    tell: Callable[[str], None] | None = None,
) -> RatingsModel:
    """Fit ratings as a recipe says.

    Held-out ratings are measured, and learnt afterwards: what somebody has rated is not to be
    recommended again.

    Args:
        frame: the table.
        recipe: what the fit is told.
        columns: who and what, see `ratings_in`.
        context: where it happens.
        tell: called with a sentence as the work goes on.

    Raises:
        InputError: ratings or settings that cannot be used.
    """
    began, context = time.monotonic(), context or Context()
    if columns is None:
        raise InputError(f"{context.name}: no columns of ratings; name them with --user and --item")
    _refuse_settings(recipe, columns)
    share = _share(recipe.data.split)
    table = read_ratings(frame, columns, recipe.data, context.name)
    target = recipe.data.target[0]
    rows, remarks = usable(table, [columns.user, columns.item, target])
    every = Pairs.of(table, columns, target, rows)
    train, test = every.split(share, recipe.training.seed)
    model = Recommender(factors=recipe.network.factors, random_state=recipe.training.seed)
    model.fit(train.frame, train.value, tell=tell)
    level = recipe.posterior.interval
    found = RatingsFindings(
        name=context.name,
        created=now(),
        version="",
        command=context.command,
        user=columns.user,
        item=columns.item,
        target=target,
        sha256=context.fingerprint,
        rows={"train": len(train.value), "test": len(test.value), "total": len(frame)},
        users=0,
        items=0,
        range=(0.0, 0.0),
        factors=recipe.network.factors,
        sweeps=model.sweeps_,
        noise=model.noise_,
        seconds=0.0,
        level=level,
        metrics=measured(model, test, level),
        baselines=_baselines(train, test, recipe, level),
        parts=_parts(model, train, test, level),
        highest=[],
        lowest=[],
        widest=[],
        map=None,
        alike=[],
        notes=[*table.remarks, *remarks],
    )
    if len(test.value):
        model.partial_fit(test.frame, test.value)
    found = replace(described(found, model), seconds=time.monotonic() - began)
    recipe = replace(recipe, data=replace(recipe.data, user=columns.user, item=columns.item))
    # a later table is read as this one was, and a column says so once it has learnt
    learnt = table.learnt(np.flatnonzero(rows), np.ones(table.rows))
    return RatingsModel(model, recipe, learnt.schema, found)


def _refuse_settings(recipe: Recipe, columns: RatingColumns) -> None:
    """Refuse what would silently do nothing."""
    usual = Recipe()
    for section, applies in _APPLIES.items():
        told, default = getattr(recipe, section), getattr(usual, section)
        for each in fields(told):
            if each.name not in applies and getattr(told, each.name) != getattr(default, each.name):
                raise InputError(
                    f"{section}.{each.name}: does not apply to ratings, which are factorised;"
                    f" leave it out, or make it a table with --category {columns.user}"
                )


def _share(split: str) -> float:
    """The share of ratings to hold out."""
    try:
        share = 0.0 if split == "none" else float(split)
    except ValueError:
        share = float("nan")
    if not 0 <= share < 1:
        raise InputError(
            f"data.split: of ratings a share is held out, such as 0.2, or none; found {split!r}"
        )
    return share


def _baselines(
    train: Pairs, test: Pairs, recipe: Recipe, level: float
) -> dict[str, dict[str, float]]:
    if not len(test.value):
        return {}
    alone = Recommender(factors=0, random_state=recipe.training.seed).fit(train.frame, train.value)
    apart = test.value - train.value.mean()
    of_mean = {
        "RMSE": float(np.sqrt(np.mean(apart**2))),
        "mean absolute error": float(np.mean(np.abs(apart))),
    }
    return {"users and items alone": measured(alone, test, level), "the mean": of_mean}


def _parts(model: Recommender, train: Pairs, test: Pairs, level: float) -> list[RatedPart]:
    """Held-out ratings by how often their item was rated."""
    counts = train.frame.iloc[:, 1].value_counts()
    often = test.frame.iloc[:, 1].map(counts).fillna(0).to_numpy()
    found = list[RatedPart]()
    for low, high in zip(_PARTS, [*_PARTS[1:], np.inf], strict=True):
        part = test.at((often >= low) & (often < high))
        if not len(part.value):
            continue
        measures = measured(model, part, level)
        label = f"{low:,} or more" if high == np.inf else f"{low:,} to {int(high) - 1:,}"
        label = "none" if high == 1 else label
        found.append(RatedPart(label, len(part.value), measures["RMSE"], measures["coverage"]))
    return found
