"""What the factors say, as findings: effects, a map, who is like whom."""

from dataclasses import replace

import pandas as pd

from counterpoint import __version__
from counterpoint.estimators import Recommender
from counterpoint.findings import Effect, EmbeddingMap, RatingsFindings

_ENDS = 12
_MAPPED = 60
_COMPARED = 12
_ALIKE = 4


def described(found: RatingsFindings, model: Recommender) -> RatingsFindings:
    """Findings with what a model knows now."""
    items = model.effects("items", level=found.level)
    users = model.effects("users", level=found.level)
    # an item of two ratings is high or low by chance; its interval says so, and takes the room
    clear = items[items["ratings"] >= min(5, int(items["ratings"].max()))]
    ends = min(_ENDS, len(clear) // 2)
    people = min(_ENDS // 2, len(users) // 2)
    return replace(
        found,
        version=__version__,
        users=len(users),
        items=len(items),
        range=model.range_,
        highest=_effects(clear.head(ends)),
        lowest=_effects(clear.tail(ends)),
        widest=[*_effects(users.head(people)), *_effects(users.tail(people))],
        map=_map(found.item, model),
        alike=_alike(model),
    )


def _effects(table: pd.DataFrame) -> list[Effect]:
    return [
        Effect(str(row[0]), float(row[1]), float(row[2]), float(row[3]), int(row[4]))
        for row in table.itertuples(index=False)
    ]


def _map(item: str, model: Recommender) -> EmbeddingMap | None:
    if model.factors == 0:
        return None
    table = model.map()
    shown = table.nlargest(_MAPPED, "ratings")
    return EmbeddingMap(
        column=item,
        labels=[str(name) for name in shown.iloc[:, 0]],
        x=shown["first"].tolist(),
        y=shown["second"].tolist(),
        count=shown["ratings"].tolist(),
        explained=table.attrs["explained"],
    )


def _alike(model: Recommender) -> list[tuple[str, list[str]]]:
    if model.factors == 0:
        return []
    common = model.map().nlargest(_COMPARED, "ratings").iloc[:, 0]
    return [
        (str(name), [str(other) for other in model.nearest(name, _ALIKE).iloc[:, 0]])
        for name in common
    ]
