"""What is left of each task after each other: the matrix of accuracies, and its sums."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from counterpoint.errors import InputError


@dataclass(frozen=True, eq=False)
class Accuracies:
    r"""The accuracies :math:`R_{ij}` on task j after learning task i, as shares.

    Attributes:
        names: of the K tasks.
        matrix: K x K, one row a task learnt; or one row alone, after learning all of them at once,
            which has an `average` and nothing else.
        before: on each task before anything is learnt; none where it was not measured.

    Raises:
        InputError: sizes that do not fit, or numbers that are no shares.

    >>> found = Accuracies(("a", "b"), torch.tensor([[1.0, 0.5], [0.75, 1.0]]).double())
    >>> found.average, found.forgetting, found.backward
    (0.875, 0.25, -0.25)
    """

    names: Sequence[str]
    matrix: Float64[Tensor, "learnt tasks"]
    before: Float64[Tensor, " before"] | None = None

    def __post_init__(self) -> None:
        rows, columns = self.matrix.shape
        if columns != len(self.names) or rows not in (1, columns):
            raise InputError(
                f"accuracies: expected one row, or one for each of {len(self.names)} tasks, found"
                f" {rows} x {columns}"
            )
        if not bool(((self.matrix >= 0) & (self.matrix <= 1)).all()):
            raise InputError("accuracies: expected shares from 0 to 1")
        if self.before is not None and len(self.before) != columns:
            raise InputError(
                f"accuracies: expected one before each of {columns} tasks, found {len(self.before)}"
            )

    @property
    def last(self) -> Float64[Tensor, " tasks"]:
        """On each task after the last."""
        return self.matrix[-1]

    @property
    def average(self) -> float:
        """``1/K Σ_j R_Kj`` (Lopez-Paz and Ranzato 2017, equation 2)."""
        return float(self.last.mean())

    @property
    def learnt(self) -> float:
        """``1/K Σ_j R_jj``: on each task when it had just been learnt; what a stiff memory costs.

        Raises:
            InputError: all tasks were learnt at once.
        """
        return float(self._square.diagonal().mean())

    @property
    def forgetting(self) -> float:
        r"""``1/(K-1) Σ_{j<K} (max_{i<K} R_ij - R_Kj)`` (Chaudhry et al. 2018, equations 4 and 5).

        Raises:
            InputError: all tasks were learnt at once, or there is one alone.
        """
        # the last task cannot have been forgotten: its row and column are left out
        best = self._several[:-1, :-1].max(0).values
        return float((best - self.last[:-1]).mean())

    @property
    def backward(self) -> float:
        """``1/(K-1) Σ_{j<K} (R_Kj - R_jj)`` (Lopez-Paz and Ranzato 2017, equation 3).

        Negative where later tasks did harm, positive where they helped.

        Raises:
            InputError: as `forgetting`.
        """
        return float((self.last - self._several.diagonal())[:-1].mean())

    @property
    def forward(self) -> float:
        """``1/(K-1) Σ_{j>1} (R_{j-1,j} - b_j)`` (there equation 4): what earlier tasks gave ahead.

        Raises:
            InputError: as `forgetting`; or ``before`` was not measured.
        """
        # R_{j-1,j}: on each task just before it is learnt
        ahead = self._several.diagonal(1)
        if self.before is None:
            raise InputError("accuracies: forward transfer needs those before anything is learnt")
        return float((ahead - self.before[1:]).mean())

    def table(self) -> str:
        """The matrix in per cent, one line a task learnt, and what it comes to.

        >>> print(Accuracies(("a", "b"), torch.tensor([[1.0, 0.5], [0.75, 1.0]]).double()).table())
                      a      b
        after a   100.0   50.0
        after b    75.0  100.0
        average 87.5, when just learnt 100.0, forgetting 25.0, backward transfer -25.0
        """
        square = len(self.matrix) == len(self.names)
        titles = [f"after {name}" for name in self.names] if square else ["after all"]
        lines = list(zip(titles, self.matrix.tolist(), strict=True))
        if self.before is not None:
            lines = [("before", self.before.tolist()), *lines]
        left = max(len(title) for title, _ in lines)
        wide = max(7, *(len(name) + 2 for name in self.names))
        heads = "".join(f"{name:>{wide}}" for name in self.names)
        text = [" " * left + heads]
        for title, values in lines:
            text.append(f"{title:{left}}" + "".join(f"{100 * v:{wide}.1f}" for v in values))
        return "\n".join([*text, self._sums()])

    def _sums(self) -> str:
        parts = {"average": self.average}
        if len(self.matrix) == len(self.names) > 1:
            parts |= {"when just learnt": self.learnt, "forgetting": self.forgetting}
            parts["backward transfer"] = self.backward
            if self.before is not None:
                parts["forward transfer"] = self.forward
        return ", ".join(f"{name} {100 * value:.1f}" for name, value in parts.items())

    @property
    def _square(self) -> Tensor:
        if len(self.matrix) != len(self.names):
            raise InputError("accuracies: all tasks were learnt at once; there is no order in them")
        return self.matrix

    @property
    def _several(self) -> Tensor:
        if len(self.names) < 2:
            raise InputError("accuracies: forgetting and transfer need two tasks, found one")
        return self._square


def stacked(names: Sequence[str], rows: Sequence[Sequence[float]]) -> Accuracies:
    """Accuracies from plain numbers; the first row is of before anything was learnt."""
    found = torch.tensor(rows, dtype=torch.float64)
    return Accuracies(names, found[1:], found[0])
