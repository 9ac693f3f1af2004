"""The first layer of networks that predict as sums of rows of a table: bins cost nothing."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from counterpoint.nn._table_net import TableNet
from counterpoint.nn._trunk import first_layer


class Lookup:
    r"""What networks of one shape make of rows, their first layers looked up.

    A level adds its vector times its weights, which is one row of a table. A number in bin k adds
    the weights of all bins below, which is another, and a part of the k-th's: with ``p`` the part,

    .. math:: W e(x) = \sum_{i < k} w_i + p w_k

    So a row costs one or two rows of the table a column, whatever the bins: 0.35 of the product's
    time for 482 encoded inputs of 20 columns. The weights are those of the moment when it is made.

    Args:
        networks: of one shape, in evaluation mode.
    """

    @torch.no_grad()
    def __init__(self, networks: Sequence[TableNet]) -> None:
        self._networks = networks
        first = networks[0]
        codes, bins = first.embeddings, first.bins
        # where each column's rows begin in the table: of all levels first, then of all bins
        levels = [len(weight) for weight in codes.weights]
        self._levels = torch.tensor([0, *levels]).cumsum(0)[:-1]
        self._bins = list[tuple[int, int, Tensor, Tensor]]()
        start = sum(levels)
        for column in bins.source.unique().tolist():
            places = (bins.source == column).nonzero()[:, 0]
            self._bins.append((column, start, bins.lower[places].contiguous(), bins.length[places]))
            start += 2 * len(places)
        self.width = len(levels) + 2 * len(self._bins)
        self._tables = [self._table(network) for network in networks]

    @torch.no_grad()
    def features(
        self, categories: Int[Tensor, "rows codes"], numbers: Float[Tensor, "rows numbers"]
    ) -> list[Float[Tensor, "rows width"]]:
        """Each network's features of the rows."""
        places, shares = self._places(categories, numbers)
        found = list[Tensor]()
        for network, (table, weight, bias) in zip(self._networks, self._tables, strict=True):
            entered = torch.addmm(bias, numbers, weight)
            if self.width:
                entered += functional.embedding_bag(
                    places, table, mode="sum", per_sample_weights=shares
                )
            found.append(network.leave(entered))
        return found

    def _places(self, categories: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the table, and how much of each, (rows, width)."""
        count, own = len(numbers), len(self._levels)
        places = torch.empty(count, self.width, dtype=torch.int64)
        shares = torch.ones(count, self.width)
        places[:, :own] = categories + self._levels
        for at, (column, start, lower, length) in enumerate(self._bins):
            number = numbers[:, column].contiguous()
            reached = (torch.searchsorted(lower, number, right=True) - 1).clamp_min_(0)
            place = own + 2 * at
            shares[:, place + 1] = ((number - lower[reached]) / length[reached]).clamp_(0.0, 1.0)
            reached += start
            places[:, place] = reached
            places[:, place + 1] = reached + len(lower)
        return places, shares

    def _table(self, network: TableNet) -> tuple[Tensor, Tensor, Tensor]:
        """The table of a network, the weights of the numbers themselves, and the bias."""
        weight, bias = first_layer(network.trunk).parameters()
        turned, parts, low = weight.T.contiguous(), list[Tensor](), 0
        for vectors in network.embeddings.weights:
            parts.append(vectors @ turned[low : low + vectors.shape[1]])
            low += vectors.shape[1]
        plain = turned[low : len(turned) - network.bins.width]
        binned = turned[len(turned) - network.bins.width :]
        for column, _, _, _ in self._bins:
            each = binned[network.bins.source == column]
            # in float64: a sum of many bins is then as exact as the product would be
            below = (each.double().cumsum(0) - each).float()
            parts += [below, each]
        return torch.cat(parts) if parts else turned[:0], plain, bias
