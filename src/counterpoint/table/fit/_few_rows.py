"""A network, or a linear model: with few rows those that were left out decide.

Of ten rows a network learns little but their noise. Where rows are few, both are trained at once
before anything is written, each member without its part of the rows, and a last layer on the
features of either predicts them. A network has to be better by more than chance.
"""

from dataclasses import replace

import torch
from torch import Tensor

from counterpoint.nn import TableNet
from counterpoint.posterior import LastLayer, Statistics, UnseenRows, left_out_noise
from counterpoint.recipe import Recipe
from counterpoint.table.fit._context import Context
from counterpoint.table.fit._members import train_members
from counterpoint.table.fit._prepare import Prepared, Target
from counterpoint.table.model._network import compute_features
from counterpoint.table.targets._number import NumberHead

_FEW = 100
_SURE = 2.0
"""Standard errors by which left-out rows must speak for a network."""


def with_trunk(prepared: Prepared, recipe: Recipe) -> Recipe:
    """The recipe with a linear trunk where there are few rows and they do not speak for another.

    Args:
        prepared: the table.
        recipe: with every default resolved.
    """
    numbers = all(isinstance(target.head, NumberHead) for target in prepared.targets)
    # luna's trunk is trained to differ where no row is, as no linear one can
    if len(prepared.rows.train) >= _FEW or not numbers or recipe.posterior.uncertainty == "luna":
        return recipe
    linear = replace(recipe, network=replace(recipe.network, trunk="linear"))
    one, other = (_left_out(prepared, told) for told in (recipe, linear))
    gain = one - other
    sure = float(gain.std()) * len(gain) ** 0.5 if len(gain) > 1 else 0.0
    return recipe if float(gain.sum()) > _SURE * sure else linear


def _left_out(prepared: Prepared, recipe: Recipe) -> Tensor:
    """The log density of every value that a member was trained without."""
    networks = [network for network, _ in train_members(prepared, recipe, Context())]
    return torch.cat([_of_target(prepared, networks, target) for target in prepared.targets])


def _of_target(prepared: Prepared, networks: list[TableNet], target: Target) -> Tensor:
    parts = list[UnseenRows]()
    for network, held in zip(networks, prepared.rows.held, strict=True):
        features = compute_features(network, prepared.inputs)
        known = target.weight > 0
        out = torch.zeros_like(known).index_fill(0, torch.from_numpy(held), True) & known
        inside = torch.zeros_like(known)
        inside[torch.from_numpy(prepared.rows.train)] = True
        inside &= known & ~out
        if not (inside.any() and out.any()):
            continue
        seen = Statistics.of(features[inside], target.values[inside], target.weight[inside])
        parts.append(UnseenRows(seen, features[out], target.values[out], target.weight[out]))
    if not parts:
        return torch.zeros(0, dtype=torch.float64)
    noise = left_out_noise(parts)
    each = [
        LastLayer.fit(part.inside, noise=noise)
        .predict(part.features)
        .log_prob(part.targets.double())[:, 0]
        * part.weight
        for part in parts
    ]
    return torch.cat(each)
