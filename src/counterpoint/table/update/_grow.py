"""New levels of categories and new classes of targets: what is new is added, what is old stays."""

from counterpoint.nn import TableNet
from counterpoint.recipe import Recipe
from counterpoint.seeding import seeded
from counterpoint.table.columns import Schema
from counterpoint.table.columns._encoded import UNSEEN_LEVEL
from counterpoint.table.model._network import build_network


def first_new(old: Schema, new: Schema) -> dict[int, int]:
    """For each grown embedding, by its place, the first code that is new."""
    pairs = enumerate(zip(old.cardinalities, new.cardinalities, strict=True))
    return {place: before for place, (before, after) in pairs if after > before}


def grow_network(network: TableNet, old: Schema, new: Schema, recipe: Recipe) -> TableNet:
    """A network for more levels and classes, which says of old ones what the given one says.

    A new level starts with the vector of unseen levels, a new class with a logit of zero.

    Args:
        network: of the old columns; left as it is.
        old: its columns.
        new: the columns now.
        recipe: of both.
    """
    with seeded(0):  # the weights are replaced; the caller's random numbers are not to be
        grown = build_network(new, recipe)
    values = grown.state_dict()
    for name, value in network.state_dict().items():
        target = values[name]
        if target.shape != value.shape:
            target.zero_()
        target[tuple(map(slice, value.shape))] = value
    for place, first in first_new(old, new).items():
        table = grown.embeddings.weights[place].data
        table[first:] = table[UNSEEN_LEVEL]
    return grown.eval()
