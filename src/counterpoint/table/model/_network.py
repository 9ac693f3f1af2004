"""The network that a schema and a recipe call for, and what it makes of many rows."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from counterpoint.nn import Lookup, TableNet
from counterpoint.recipe import Recipe
from counterpoint.table.columns import Schema

CHUNK = 8192
"""Rows that go through a network at a time, at most."""

_ENTRIES = 2**24
"""Most encoded entries at a time: 64 MB, and a few times that while bins are computed."""


_LOOKED_UP = 2**22
"""Most entries of rows that are looked up at a time."""

_MANY = 512
"""Rows from which on looking up is worth its tables."""


def chunk(network: TableNet) -> int:
    """How many rows go through a network at a time: fewer where a row is wide."""
    return max(64, min(CHUNK, _ENTRIES // max(1, network.inputs)))


def build_network(schema: Schema, recipe: Recipe, heads: int = 1) -> TableNet:
    """The untrained network of a schema, as the recipe's network section says.

    Args:
        schema: the columns.
        recipe: what was told; with "luna" the trunk is smooth, because its derivatives are
            trained, and those of a trunk with kinks do not see the kinks move.
        heads: how many each target has, side by side.
    """
    network = recipe.network
    return TableNet(
        schema.cardinalities,
        schema.edges,
        {c.name: heads * c.head.outputs for c in schema.targets},
        widths=schema.widths,
        hidden=schema.hidden,
        trunk=network.trunk,
        width=network.width,
        depth=network.depth,
        dropout=network.dropout,
        activation=nn.SiLU if recipe.posterior.uncertainty == "luna" else nn.ReLU,
    )


def compute_features(network: TableNet, inputs: Mapping[str, Tensor]) -> Tensor:
    """The trunk's features (N, F), a few thousand rows at a time, dropout off."""
    return compute_features_each([network], inputs)[0]


@torch.no_grad()
def compute_features_each(
    networks: Sequence[TableNet], inputs: Mapping[str, Tensor]
) -> list[Tensor]:
    """`compute_features` of members, which are of one shape: what they read alike is read once."""
    if len(inputs["numbers"]) < _MANY:
        return [_computed(network, network.features, inputs) for network in networks]
    for network in networks:
        network.eval()
    lookup = Lookup(networks)
    rows = max(64, min(CHUNK, _LOOKED_UP // max(1, lookup.width)))
    pairs = zip(inputs["categories"].split(rows), inputs["numbers"].split(rows), strict=True)
    parts = [lookup.features(codes, numbers) for codes, numbers in pairs]
    return [torch.cat(each) for each in zip(*parts, strict=True)]


def compute_encoded(network: TableNet, inputs: Mapping[str, Tensor]) -> Tensor:
    """What the trunk is given, (N, D)."""
    return _computed(network, network.encode, inputs)


def compute_outputs(network: TableNet, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each target's own head, (N, outputs), dropout off."""
    return apply_heads(network, compute_features(network, inputs))


@torch.no_grad()
def apply_heads(network: TableNet, features: Tensor) -> dict[str, Tensor]:
    """Each target's own head, (N, outputs), of features."""
    pairs = zip(network.targets, network.heads, strict=True)
    return {name: head(features) for name, head in pairs}


@torch.no_grad()
def _computed(
    network: TableNet, function: Callable[[Tensor, Tensor], Tensor], inputs: Mapping[str, Tensor]
) -> Tensor:
    network.eval()
    rows = chunk(network)
    pairs = zip(inputs["categories"].split(rows), inputs["numbers"].split(rows), strict=True)
    return torch.cat([function(codes, numbers) for codes, numbers in pairs])
