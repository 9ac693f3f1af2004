"""What a network makes of each cell, for models that read only numbers."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from counterpoint.nn import TableNet
from counterpoint.table.columns import NumericColumn, Schema


def embedded(
    network: TableNet, schema: Schema, inputs: Mapping[str, Tensor]
) -> dict[str, np.ndarray]:
    """The network's vectors and its standardised numbers, a column an entry, by name.

    Args:
        network: the trained network.
        schema: its columns.
        inputs: what `Table.encode` made of the rows.
    """
    found = dict[str, np.ndarray]()
    pairs = zip(schema.embeddings, network.embeddings.weights, strict=True)
    for place, ((name, _), table) in enumerate(pairs):
        vectors = table.detach()[inputs["categories"][:, place]].numpy()
        found |= {f"{name}[{entry}]": vectors[:, entry] for entry in range(vectors.shape[1])}
    names = [name for column in schema.inputs for name in _numbers(column)]
    names += [f"{column.name} missing" for column in schema.inputs if column.indicated]
    # bins are left out: trees and neighbours find their own
    return found | dict(zip(names, inputs["numbers"].T.numpy(), strict=True))


def _numbers(column: object) -> list[str]:
    """What each number of a column is called; a date has several."""
    if not isinstance(column, NumericColumn):
        return []
    parts = [feature.part for feature in column.features]
    return [column.name] if len(parts) == 1 else [f"{column.name} {part}" for part in parts]
