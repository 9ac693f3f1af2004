"""What a target asks of the network: outputs, a likelihood, and the way back to its units."""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor

from counterpoint.goals import Categorical, Normal
from counterpoint.table.columns.encoded import Encoded

__all__ = ["CategoryHead", "Head", "NumberHead"]


_FARTHEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class NumberHead:
    """A number, standardised as ``(x - mean) / scale``.

    Attributes:
        mean, scale: of the training rows, in the column's units.
    """

    kind: ClassVar[str] = "number"
    outputs: ClassVar[int] = 1

    mean: float
    scale: float

    def read(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Values as float32 (N, 1), and which rows have one."""
        number = encoded.numbers[0]
        # held-out or later rows may be so far that float32 would turn them into infinity
        values = np.nan_to_num(number).clip(-_FARTHEST, _FARTHEST).astype(np.float32)
        return torch.from_numpy(values[:, None]), torch.from_numpy(~np.isnan(number))

    def units(self, values: Tensor) -> Tensor:
        """Standardised values (N, 1) in the column's units, float64 (N,)."""
        return values[:, 0].double() * self.scale + self.mean

    def likelihood(self, noise: float | None = None) -> Normal:
        """Normal around the output, by default with unit noise on the standardised scale."""
        # the table's cells were checked once; checking every batch again would only cost time
        return Normal(noise or 1.0, validate=False)


@dataclass(frozen=True)
class CategoryHead:
    """One of several classes.

    Attributes:
        classes: in the order of the outputs.
    """

    kind: ClassVar[str] = "category"

    classes: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """A logit a class."""
        return len(self.classes)

    def read(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Places of classes as int64 (N,), and which rows have one that is known."""
        # missing and unseen levels have the codes 0 and 1
        places = encoded.codes[0] - 2
        known = places >= 0
        return torch.from_numpy(np.where(known, places, 0)), torch.from_numpy(known)

    def likelihood(self, noise: float | None = None) -> Categorical:
        """Categorical; a class has no noise of its own."""
        del noise
        return Categorical(validate=False)


Head: TypeAlias = NumberHead | CategoryHead
