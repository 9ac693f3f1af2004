"""Embeddings: rows of a table, looked up."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from counterpoint.curvature.reading.calls._call import Arguments, Call, Entry
from counterpoint.gaussian import LookupJacobian


@dataclass(frozen=True)
class Embedding(Call):
    """``torch.nn.functional.embedding``.

    Attributes:
        weight: name of the table.
        index: rows looked up, examples first; -1 where the padding row was, which gets no gradient.
    """

    axis: int
    names: tuple[str, ...]
    positions: int
    weight: str
    index: Int[Tensor, "rows ..."]

    @classmethod
    def read(cls, arguments: Arguments) -> "Embedding | None":
        """From ``embedding(input, weight, padding_idx, max_norm, ...)``.

        None where the table is renormalised as it is read, or gradients are divided by counts.
        """
        given, weight = arguments.get(0, "input"), arguments.weight(1, "weight")
        # renormalising writes to the table in place: its rows are no longer the parameter's
        renormalised = arguments.get(3, "max_norm") is not None
        if renormalised or arguments.get(5, "scale_grad_by_freq", False) or weight is None:
            return None
        index, axis = arguments.rows_first(given), arguments.place((0, 1), given)
        if index is None or axis is None:
            return None
        padding = arguments.get(2, "padding_idx")
        if padding is not None:
            padding %= arguments.get(1, "weight").shape[0]
            # torch gives the padding row no gradient, so it must not count here either
            index = index.masked_fill(index == padding, -1)
        return cls(axis, arguments.names(), index[0].numel(), weight, index)

    def kept(self) -> tuple[Tensor, ...]:
        """The rows looked up."""
        return (self.index,)

    def entries(self, rows: slice, deltas: Float[Tensor, "rows columns ..."]) -> list[Entry]:
        """One row of the table a position."""
        index = self.index[rows]
        deltas = deltas.reshape(*deltas.shape[:2], -1, deltas.shape[-1])
        return [LookupJacobian(self.weight, index.reshape(index.shape[0], -1), deltas)]
