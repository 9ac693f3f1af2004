"""Which columns matter: the rise of the held-out loss when one column is shuffled."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from counterpoint.findings import Importance
from counterpoint.seeding import generator
from counterpoint.table.columns import Schema

Losses: TypeAlias = Callable[[Mapping[str, Sequence[int]], Tensor], dict[str, list[float]]]
"""From a column's places in the network's tensors and R orders of the N held-out rows, (R, N), to
each target's mean loss with the column's rows in each of these orders."""


_AT_ONCE = 2_000


def measure_importance(
    schema: Schema, rows: int, losses: Losses, *, repeats: int = 5, seed: int = 0
) -> list[Importance]:
    """Permutation importance of every input column for every target.

    A column whose loss does not rise is not used, or is made up for by another that says the
    same; two such columns share their importance.

    Source: Breiman, "Random Forests" (2001), section 10; Fisher, Rudin, Dominici (arXiv
    1801.01489).

    Args:
        schema: the columns.
        rows: held out.
        losses: see `Losses`.
        repeats: shuffles a column.
        seed: decides the shuffles.

    Returns:
        Mean and standard deviation of the rise over the shuffles, largest first.
    """
    base = losses({}, torch.arange(rows)[None])
    found: list[Importance] = []
    for place, (name, slots) in enumerate(schema.slots):
        draws = [generator(seed, 7, place, repeat) for repeat in range(repeats)]
        orders = torch.stack([torch.randperm(rows, generator=draw) for draw in draws])
        # few rows are predicted in all orders at once; many would push one another out of the cache
        parts = [losses(slots, part) for part in orders.split(max(1, _AT_ONCE // rows))]
        for target, (loss,) in base.items():
            shuffled = [each for part in parts for each in part[target]]
            rises = torch.tensor(shuffled, dtype=torch.float64) - loss
            spread, mean = torch.std_mean(rises)
            found.append(Importance(target, name, float(mean), float(spread)))
    return sorted(found, key=lambda item: (item.target, -item.mean))
