"""Which columns matter: the rise of the held-out loss when one column is shuffled."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from counterpoint.findings import Importance
from counterpoint.seeding import generator
from counterpoint.table.schema import Schema

__all__ = ["measure_importance"]

Losses = Callable[[Mapping[str, Tensor]], dict[str, float]]
"""From encoded inputs of the held-out rows to each target's mean loss."""


def measure_importance(
    schema: Schema, inputs: Mapping[str, Tensor], losses: Losses, *, repeats: int = 5, seed: int = 0
) -> list[Importance]:
    """Permutation importance of every input column for every target.

    A column whose loss does not rise is not used, or is made up for by another that says the
    same; two such columns share their importance.

    Source: Breiman, "Random Forests" (2001), section 10; Fisher, Rudin, Dominici (arXiv
    1801.01489).

    Args:
        schema: the columns.
        inputs: encoded held-out rows.
        losses: see `Losses`; called once and then `repeats` times a column.
        repeats: shuffles a column.
        seed: decides the shuffles.

    Returns:
        Mean and standard deviation of the rise over the shuffles, largest first.
    """
    base = losses(inputs)
    rows = len(inputs["numbers"])
    found: list[Importance] = []
    for place, (name, part, columns) in enumerate(_slots(schema)):
        rises: dict[str, list[float]] = {target: [] for target in base}
        for repeat in range(repeats):
            order = torch.randperm(rows, generator=generator(seed, 7, place, repeat))
            changed = inputs[part].clone()
            changed[:, columns] = changed[order][:, columns]
            for target, loss in losses({**inputs, part: changed}).items():
                rises[target].append(loss - base[target])
        for target, values in rises.items():
            spread, mean = torch.std_mean(torch.tensor(values, dtype=torch.float64))
            found.append(Importance(target, name, float(mean), float(spread)))
    return sorted(found, key=lambda item: (item.target, -item.mean))


def _slots(schema: Schema) -> list[tuple[str, str, list[int]]]:
    """For each input column: its name, its tensor, and its places in it."""
    slots = [(c.name, "categories", [place]) for place, c in enumerate(schema.categories)]
    place = 0
    indicator = sum(len(column.features) for column in schema.numbers)
    for column in schema.numbers:
        places = list(range(place, place + len(column.features)))
        place += len(column.features)
        if column.gaps:
            places.append(indicator)
            indicator += 1
        slots.append((column.name, "numbers", places))
    return slots
