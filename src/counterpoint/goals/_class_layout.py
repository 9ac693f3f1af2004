"""Outputs with several positions a row: tokens of a sequence, pixels of an image."""

from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from counterpoint.errors import InputError


@dataclass(frozen=True)
class ClassLayout:
    """Where an output has its classes, and which positions each row has.

    Attributes:
        shape: of the output, rows first.
        axis: of the classes, from 1.

    >>> ClassLayout.of(torch.Size((2, 5, 7)), None).lead  # sequences of five tokens
    torch.Size([2, 5])
    >>> ClassLayout.of(torch.Size((2, 7, 4, 4)), None).lead  # images of four pixels by four
    torch.Size([2, 4, 4])
    """

    shape: torch.Size
    axis: int

    @classmethod
    def of(cls, shape: torch.Size, dim: int | None) -> "ClassLayout":
        """The layout of an output: the usual one, or with the classes where they are said to be.

        Unasked, classes come last where there is one axis of positions, as language models put
        them out, and first after the rows where there are more, as torch's losses want images.

        Raises:
            InputError: there is no such axis, or it is that of the rows.
        """
        count = len(shape)
        if dim is None:
            return cls(shape, 1 if count > 3 else count - 1)
        axis = dim + count if dim < 0 else dim
        if not 1 <= axis < count:
            raise InputError(
                f"categorical likelihood: dim={dim} is no axis of classes of an output of shape"
                f" {tuple(shape)}; 0 is that of the rows"
            )
        return cls(shape, axis)

    @property
    def classes(self) -> int:
        """How many there are."""
        return self.shape[self.axis]

    @property
    def lead(self) -> torch.Size:
        """The rows and their positions: the shape of class numbers."""
        return torch.Size((*self.shape[: self.axis], *self.shape[self.axis + 1 :]))

    def rows(self, values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "positions classes"]:
        """A value of the output's shape with every position a row of its own."""
        return values.movedim(self.axis, -1).reshape(-1, values.shape[self.axis])

    def back(self, rows: Shaped[Tensor, "... positions classes"]) -> Shaped[Tensor, "..."]:
        """What `rows` gave, or several of them, in the output's shape."""
        before = rows.ndim - 2
        wide = rows.reshape(*rows.shape[:before], *self.lead, rows.shape[-1])
        return wide.movedim(-1, self.axis + before)

    def apart(
        self, columns: Shaped[Tensor, "columns positions classes"]
    ) -> Shaped[Tensor, "each ..."]:
        """Columns a position, zero at the others: given the output positions are independent."""
        count = self.lead[1:].numel()
        if count == 1:
            return self.back(columns)
        each = columns.reshape(len(columns), self.shape[0], count, -1)
        # on the diagonal of positions by positions, the first of which are columns now
        wide = each.movedim(2, -1).diag_embed().movedim(-1, 0).transpose(-1, -2)
        return self.back(wide.reshape(count * len(columns), -1, each.shape[-1]))

    def elsewhere(self, lead: torch.Size) -> str:
        """What to write where class numbers fit classes on another axis; nothing if on none.

        Args:
            lead: the shape of class numbers.
        """
        for axis in range(1, len(self.shape)):
            if ClassLayout(self.shape, axis).lead == lead:
                return f"; they fit classes on axis {axis}: Categorical(dim={axis})"
        return ""
