"""Vectors for new levels of categories, everything else being held."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from counterpoint.data import Batch
from counterpoint.nn import TableNet
from counterpoint.table.columns._encoded import UNSEEN_LEVEL
from counterpoint.table.fit._losses import make_goals, make_source
from counterpoint.table.fit._prepare import Prepared
from counterpoint.train import minimize

_FIRST_KNOWN = 2
_DEVIATION = 0.1
_ITERATIONS = 30
_SLOPE = 1e-4


class _Fresh(nn.Module):
    """A network with the vectors of new levels as its only parameters.

    Args:
        network: grown.
        first: place of a category -> first code that is new.
    """

    def __init__(self, network: TableNet, first: Mapping[int, int]) -> None:
        super().__init__()
        # not a submodule: nothing of it is trained
        self._held = (network,)
        self._weights = {
            name: value.double() if value.is_floating_point() else value
            for name, value in network.state_dict().items()
        }
        self.first = dict(first)
        tables = network.embeddings.weights
        self.vectors = nn.ParameterList(
            nn.Parameter(tables[place].detach()[code:].clone()) for place, code in first.items()
        )

    def forward(self, categories: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        """The network's outputs, with these vectors."""
        (network,) = self._held
        weights = dict(self._weights)
        for (place, code), vectors in zip(self.first.items(), self.vectors, strict=True):
            name = f"embeddings.tables.{place}.weight"
            weights[name] = torch.cat([weights[name][:code], vectors])
        return torch.func.functional_call(network, weights, (categories, numbers))


def learn_levels(
    network: TableNet,
    first: Mapping[int, int],
    prepared: Prepared,
    rows: Tensor,
    noise: Mapping[str, float | None],
) -> None:
    """Find the vectors of new levels from their rows, in place; trunk, heads and others stay.

    What is most probable, where a vector is Gaussian around that of unseen levels with the spread
    of the column's known ones: a level of few rows stays near what was said of it unseen.

    Args:
        network: grown; its heads the means of what is believed of them.
        first: place of a category -> first code that is new.
        prepared: the table.
        rows: places of the rows to learn from.
        noise: target -> its noise variance, standardised; None where its head has none.
    """
    codes = prepared.inputs["categories"]
    chosen = torch.zeros(len(codes), dtype=torch.bool)
    for place, code in first.items():
        chosen |= codes[:, place] >= code
    rows = rows[chosen[rows]]
    targets = tuple(t for t in prepared.targets if bool((t.weight[rows] > 0).any()))
    if not targets:
        return
    network.eval()
    fresh = _Fresh(network, first)
    fit = make_goals(targets, None, noise)
    spreads = [_spread(network.embeddings.weights[p], code) for p, code in first.items()]
    centres = [network.embeddings.weights[p].detach()[UNSEEN_LEVEL].double() for p in first]

    def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        found = fit(model, batch)
        parts = [
            ((vectors - centre).square() / spread).sum()
            for vectors, centre, spread in zip(fresh.vectors, centres, spreads, strict=True)
        ]
        return {str(place): value for place, value in enumerate(found.values())} | {
            "prior": torch.stack(parts).sum() / (2 * len(rows))
        }

    source = make_source(replace(prepared, targets=targets), rows)
    minimize(
        goals,
        fresh,
        source.whole,
        iterations=_ITERATIONS,
        tolerance=_SLOPE,
        progress=False,
    )
    for (place, code), vectors in zip(first.items(), fresh.vectors, strict=True):
        network.embeddings.weights[place].data[code:] = vectors.detach().float()


def _spread(table: Tensor, known: int) -> Tensor:
    """The variance of each entry over the known levels; that of new networks where few are."""
    vectors = table.detach()[_FIRST_KNOWN:known].double()
    if len(vectors) < 2:
        return torch.full((table.shape[1],), _DEVIATION**2, dtype=torch.float64)
    return vectors.var(0).clamp_min(_DEVIATION**4)
