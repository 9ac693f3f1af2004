"""A vector for each level of each categorical column."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

_UNSEEN = 1


def embedding_width(levels: int) -> int:
    """Width of an embedding by the number of levels: ``min(600, round(1.6 n^0.56))``.

    The rule of fastai's tabular learner (`fastai.tabular.model.emb_sz_rule`).

    >>> embedding_width(2), embedding_width(42), embedding_width(100_000)
    (2, 13, 600)
    """
    return min(600, round(1.6 * levels**0.56))


class Embeddings(nn.Module):
    """One embedding a column, side by side.

    Args:
        cardinalities: number of codes of each column.
        widths: of each column's vectors; none: by `embedding_width`.
        hidden: share of a column's rows that are read as code 1, that of values without a vector
            of their own, at each step of training: what is known beside the code must then do.
            None: no row is.
        deviation: standard deviation of the initial weights (truncated normal).

    Attributes:
        width: total width of the output.
    """

    hidden: Tensor

    def __init__(
        self,
        cardinalities: Sequence[int],
        widths: Sequence[int] | None = None,
        deviation: float = 0.1,
        hidden: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        shares = torch.tensor(hidden or [0.0] * len(cardinalities))
        # no part of what is learnt: folders of before do without
        self.register_buffer("hidden", shares, persistent=False)
        self._hides = any(share > 0 for share in hidden or ())
        widths = [embedding_width(n) for n in cardinalities] if widths is None else widths
        pairs = zip(cardinalities, widths, strict=True)
        self.tables = nn.ModuleList(nn.Embedding(*pair) for pair in pairs)
        self.width = sum(widths)
        for table in self.weights:
            # small: a fresh level then hardly moves a prediction, whatever it drew
            nn.init.trunc_normal_(table, std=deviation)

    @property
    def weights(self) -> list[nn.Parameter]:
        """The weight (levels, width) of each column's embedding."""
        return list(self.parameters())

    def forward(self, codes: Int[Tensor, "*batch columns"]) -> Float[Tensor, "*batch width"]:
        """Look up every column's code and join the vectors."""
        if self._hides and self.training:
            # torch's own generator: `fit` seeds it and keeps its state, as it does for dropout
            drawn = torch.rand(codes.shape, device=codes.device)
            codes = codes.masked_fill(drawn < self.hidden, _UNSEEN)
        parts = [table(codes[..., place]) for place, table in enumerate(self.tables)]
        return torch.cat(parts, dim=-1) if parts else codes[..., :0].float()

    @torch.no_grad()
    def fill_unused(self, counts: Sequence[Int[Tensor, " _"]]) -> None:
        """Give every level that no training row had the average vector of those that rows had.

        An untouched random vector would be an answer drawn by lot; the average (weighted by
        rows) is what is known of a level about which nothing is known. Where rows were hidden, the
        vector that they trained says more.

        Args:
            counts: for each column, how many training rows had each code.
        """
        for table, count, hidden in zip(self.weights, counts, self.hidden.tolist(), strict=True):
            if hidden:
                table[count == 0] = table[_UNSEEN].clone()
                continue
            # at least 1: a column of a table without rows stays as it was drawn
            share = count.to(table.dtype) / max(int(count.sum()), 1)
            table[count == 0] = share @ table
