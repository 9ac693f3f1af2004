"""Settings that the number of training rows decides where the recipe says 0."""

import math
from dataclasses import replace

from counterpoint.recipe import Recipe

__all__ = ["resolve"]


_STEPS = 2_000


def resolve(recipe: Recipe, rows: int) -> Recipe:
    """Replace every 0 that means "by the number of rows".

    About 50 steps an epoch and 2,000 steps in all, within bounds; found on held-out parts of the
    training rows of five data sets (see `docs/decisions.md`).

    Args:
        recipe: as told.
        rows: number of training rows of one member.

    >>> [resolve(Recipe(), rows).training.batch_size for rows in (300, 3_000, 30_000)]
    [32, 64, 256]
    >>> [resolve(Recipe(), rows).training.epochs for rows in (300, 3_000, 30_000)]
    [100, 43, 17]
    """
    training = recipe.training
    if training.batch_size == 0:
        even = 2 ** round(math.log2(max(rows, 1) / 50)) if rows > 50 else 1
        training = replace(training, batch_size=min(256, max(32, even)))
    if training.epochs == 0:
        steps = max(1, -(-rows // training.batch_size))
        training = replace(training, epochs=min(100, max(10, round(_STEPS / steps))))
    return replace(recipe, training=training)
