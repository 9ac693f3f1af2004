"""A small mixed table whose truth is known, and the quickest recipe that fits it."""

import numpy as np
import pandas as pd

from counterpoint.recipe import Data, Network, Posterior, Recipe, Training
from counterpoint.table.columns import Table
from counterpoint.table.fit._prepare import Prepared, prepare


def mixed(rows: int = 240, seed: int = 0) -> pd.DataFrame:
    """price = 3 size + 5 [shade is dark] + noise(0.5); kind follows size; junk says nothing."""
    draw = np.random.default_rng(seed)
    size = draw.normal(size=rows)
    shade = draw.choice(["light", "dark"], rows)
    frame = pd.DataFrame(
        {
            "size": size,
            "shade": shade,
            "junk": draw.normal(size=rows),
            "sold": pd.date_range("2024-01-01", periods=rows, freq="D"),
            "price": 3 * size + 5 * (shade == "dark") + 0.5 * draw.normal(size=rows),
            "kind": np.where(size > 0.5, "big", np.where(size < -0.5, "small", "middle")),
            "weight": draw.uniform(0.5, 2.0, rows),
        }
    )
    frame.loc[::10, "size"] = np.nan
    frame.loc[5::17, "shade"] = None
    return frame


def quick(**data) -> Recipe:
    """One member, few epochs."""
    data.setdefault("target", ("price",))
    return Recipe(
        Data(**data),
        Network(members=1, width=32, bins=8),
        Training(epochs=8, batch_size=32, rate=0.01),
        Posterior(),
    )


def prepare_frame(frame: pd.DataFrame, recipe: Recipe) -> Prepared:
    """The rows of a frame as a fit takes them."""
    return prepare(Table.plan(frame, recipe.data), recipe)
