"""Intervals that hold what they say whatever the model: conformal prediction on its own levels."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.goals import checked_weight
from counterpoint.posterior._rows import in_float64, refuse_rows

_FEWEST = 9
"""Rows below which a group has the intervals of all: of fewer, nine tenths are not to be told."""


@dataclass(frozen=True)
class Conformal:
    r"""The level to ask a model for, so that its central interval holds the share that is meant.

    Of n rows that nothing was fitted to, :math:`u_i = |2 \text{PIT}_i - 1|` is the level of the
    smallest central interval that holds the target. In order, :math:`u_{(i)}` is asked for the
    nominal level :math:`i / (n + 1)`, and between these, 0 and 1 a straight line. A new row that is
    exchangeable with the n is then inside with the nominal probability, to :math:`1 / (n + 1)`,
    whatever the model and however wrong. With weights, :math:`i / (n + 1)` becomes the sum of the
    weights to there over that of all and of the new row: right for new rows from another density,
    where the weights are its ratio to that of the n (`density_ratio`).

    Since distances are levels, it serves every distribution that has a PIT, and rows differ in the
    width of their intervals as the model says.

    Source: Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World" (2005); by groups,
    Vovk, "Conditional validity of inductive conformal predictors" (2012, section 4); weighted,
    Tibshirani et al., "Conformal Prediction Under Covariate Shift" (arXiv 1904.06019, theorem 2).

    Attributes:
        distances: of all rows, increasing.
        weights: theirs.

    >>> found = Conformal.of(torch.tensor([0.1, 0.5, 0.975]).double())  # distances 0.8, 0, 0.95
    >>> round(found.level(0.5), 4), round(found.level(0.625), 4)  # 2/4, and on the way to 3/4
    (0.8, 0.875)
    """

    distances: Float64[Tensor, " rows"]
    weights: Float64[Tensor, " rows"]

    @classmethod
    def of(
        cls, pit_values: Float[Tensor, " rows"], weight: Float[Tensor, "..."] | None = None
    ) -> "Conformal":
        """From rows that nothing was fitted to.

        Args:
            pit_values: from `pit`, of one target.
            weight: of each row, relative; none means one each.

        Raises:
            InputError: no rows, a value outside 0 to 1, or weights negative or all zero.
        """
        outside = ~((pit_values >= 0) & (pit_values <= 1))
        refuse_rows(outside[:, None], "pit", "from 0 to 1", pit_values[:, None])
        given = torch.ones(len(pit_values)) if weight is None else weight
        weights = in_float64(checked_weight(given, len(pit_values))).cpu()
        if not bool((weights > 0).any()):
            raise InputError(f"rows: at least one of positive weight is needed, found {len(given)}")
        distances, order = (2 * pit_values.double() - 1).abs().sort()
        return cls(distances, weights[order])

    def level(self, nominal: float, weight: float | None = None) -> float:
        """The level to ask for.

        Args:
            nominal: share of new rows to be inside, from 0 to 1.
            weight: of the new row; none means the mean of the known ones.

        Raises:
            InputError: no share, or a weight that is negative or not finite.
        """
        if not 0 <= nominal <= 1:
            raise InputError(f"level: must be from 0 to 1, found {nominal}")
        shares, levels = self._line(weight)
        return float(np.interp(nominal, shares, levels))

    def nominal(self, levels: Float64[Tensor, " rows"]) -> Float64[Tensor, " rows"]:
        """The share of new rows inside the model's own intervals: what `level` undoes.

        Args:
            levels: of the model, from 0 to 1.
        """
        shares, known = self._line(None)
        return torch.from_numpy(np.interp(levels.numpy(), known, shares))

    def _line(self, weight: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shares of rows, and the levels that hold them."""
        new = float(self.weights.mean()) if weight is None else weight
        if not 0 <= new < math.inf:
            raise InputError(f"weight: must be at least 0 and finite, found {new}")
        # the new row's own weight stands beyond all others: it may be farther out than any
        reached = (self.weights.cumsum(0) / (self.weights.sum() + new)).numpy()
        levels = np.concatenate([[0.0], self.distances.numpy(), [1.0]])
        return np.concatenate([[0.0], reached, [1.0]]), levels


def conformal_by(
    pit_values: Float[Tensor, " rows"],
    groups: Int64[Tensor, " groups"],
    weight: Float[Tensor, "..."] | None = None,
) -> dict[int | None, Conformal]:
    """One `Conformal` a group, and that of all rows under None, for groups too small to tell.

    Args:
        pit_values: from `pit`, of one target.
        groups: number of each row's group.
        weight: of each row, relative.

    Raises:
        InputError: another number of groups than of rows; see `Conformal.of`.

    >>> found = conformal_by(torch.linspace(0, 1, 30), torch.tensor([0] * 25 + [1] * 5))
    >>> sorted(found, key=str)  # five rows of group 1 are too few
    [0, None]
    """
    if len(groups) != len(pit_values):
        raise InputError(f"groups: expected {len(pit_values)} numbers, found {len(groups)}")
    found: dict[int | None, Conformal] = {None: Conformal.of(pit_values, weight)}
    for group in groups.unique().tolist():
        chosen = groups == group
        part = None if weight is None else weight[chosen]
        counted = chosen if part is None else part > 0
        if int(counted.sum()) >= _FEWEST:
            found[group] = Conformal.of(pit_values[chosen], part)
    return found


def density_ratio(
    known: Float[Tensor, "known columns"], new: Float[Tensor, "new others"]
) -> tuple[Float64[Tensor, " known"], Float64[Tensor, " new"]]:
    r"""How much denser new rows are than known ones: at the known rows, and at the new.

    A logistic regression on the standardised columns and their squares tells the two apart; with
    balanced classes its odds are the ratio of the densities. Right where the logarithm of that is a
    quadratic, as between two normals.

    Source: Bickel, Brückner and Scheffer, "Discriminative Learning Under Covariate Shift" (JMLR
    2009).

    Args:
        known: rows that calibrate.
        new: rows to predict.

    Raises:
        InputError: a value is not finite, or the columns differ in number.
    """
    # here, since importing it takes longer than all else in this room
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if known.shape[1] != new.shape[1]:
        raise InputError(f"new: expected {known.shape[1]} columns, found {new.shape[1]}")
    for name, rows in (("known", known), ("new", new)):
        refuse_rows(~rows.isfinite(), name, "finite", rows)
    both = torch.cat([known, new]).double()
    both = torch.cat([both, both.square()], 1).numpy()
    side = np.repeat([0, 1], [len(known), len(new)])
    told = LogisticRegression(class_weight="balanced", max_iter=1000)
    odds = make_pipeline(StandardScaler(), told).fit(both, side).decision_function(both)
    ratio = torch.from_numpy(np.exp(odds))
    return ratio[: len(known)], ratio[len(known) :]
