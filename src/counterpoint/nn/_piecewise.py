"""A number spread over its quantile bins."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class PiecewiseLinear(nn.Module):
    """Piecewise-linear encoding: each bin tells how far through it the number has come.

    For edges ``b_0 < ... < b_T`` the t-th entry is ``clip((x - b_{t-1}) / (b_t - b_{t-1}), 0, 1)``.
    A linear layer on top is then any continuous piecewise-linear function with kinks at the
    edges, which plain networks find hard to learn. Unlike the paper's, the outer bins are clipped
    too: beyond the data the standardised number itself, passed beside, goes on.

    Source: Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep
    Learning" (arXiv 2203.05556), equation 1.

    Args:
        edges: for each column the increasing edges; fewer than three give the column no entry.

    Attributes:
        width: number of entries of the output.

    >>> PiecewiseLinear([(0.0, 1.0, 3.0)])(torch.tensor([[0.5], [2.0], [9.0]]))
    tensor([[0.5000, 0.0000],
            [1.0000, 0.5000],
            [1.0000, 1.0000]])
    """

    source: Tensor
    lower: Tensor
    length: Tensor

    def __init__(self, edges: Sequence[Sequence[float]]) -> None:
        super().__init__()
        # two edges are one bin, which is the standardised number itself once more
        source = [place for place, row in enumerate(edges) if len(row) > 2 for _ in row[1:]]
        lower = [edge for row in edges if len(row) > 2 for edge in row[:-1]]
        upper = [edge for row in edges if len(row) > 2 for edge in row[1:]]
        self.width = len(source)
        self.register_buffer("source", torch.tensor(source, dtype=torch.int64))
        self.register_buffer("lower", torch.tensor(lower, dtype=torch.float32))
        # in float64: edges that are close lose their difference in float32
        length = torch.tensor(upper, dtype=torch.float64) - torch.tensor(lower, dtype=torch.float64)
        self.register_buffer("length", length.float())

    def forward(self, numbers: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch width"]:
        """Encode every column; columns without bins add nothing."""
        return ((numbers[..., self.source] - self.lower) / self.length).clamp(0.0, 1.0)

    def of(
        self, numbers: Float[Tensor, "*batch columns"], column: int
    ) -> tuple[Float[Tensor, "*batch entries"], Int[Tensor, " entries"]]:
        """The entries of one column, and their places among all."""
        places = (self.source == column).nonzero()[:, 0]
        way = (numbers[..., column, None] - self.lower[places]) / self.length[places]
        return way.clamp(0.0, 1.0), places

    def slopes(self, numbers: Float[Tensor, "batch columns"]) -> Float[Tensor, "batch width"]:
        """The derivative of every entry by the number it is of, one a unit of that number.

        On an edge, the bins on both sides move.

        >>> PiecewiseLinear([(0.0, 1.0, 3.0)]).slopes(torch.tensor([[0.5], [2.0], [9.0]]))
        tensor([[1.0000, 0.0000],
                [0.0000, 0.5000],
                [0.0000, 0.0000]])
        """
        way = (numbers[:, self.source] - self.lower) / self.length
        # both ends count, as the number may stand on an edge, where many rows do
        return ((way >= 0.0) & (way <= 1.0)) / self.length
