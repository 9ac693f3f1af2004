"""Which columns matter: the rise of the held-out loss when one column is shuffled."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from counterpoint.findings import Importance
from counterpoint.seeding import generator
from counterpoint.table.columns import Schema

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
    for place, (name, slots) in enumerate(schema.slots):
        rises: dict[str, list[float]] = {target: [] for target in base}
        for repeat in range(repeats):
            order = torch.randperm(rows, generator=generator(seed, 7, place, repeat))
            changed = dict(inputs)
            for part, columns in slots.items():
                shuffled = inputs[part].clone()
                shuffled[:, columns] = shuffled[order][:, columns]
                changed[part] = shuffled
            for target, loss in losses(changed).items():
                rises[target].append(loss - base[target])
        for target, values in rises.items():
            spread, mean = torch.std_mean(torch.tensor(values, dtype=torch.float64))
            found.append(Importance(target, name, float(mean), float(spread)))
    return sorted(found, key=lambda item: (item.target, -item.mean))
