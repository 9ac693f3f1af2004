r"""Two Gaussians a rating: one over what is known of its user, one over what is known of its item.

A rating is :math:`r_{ui} = c + a_u + b_i + p_u' q_i + \epsilon`, and each user's row
:math:`(a_u, p_u)` and each item's :math:`(b_i, q_i)` has a Gaussian of its own. Given the
items, a user's ratings are a linear regression on :math:`(1, q_i)`, so that his Gaussian has a
closed form; given the users, so has each item's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

Codes = NDArray[np.intp]
Floats = NDArray[np.float64]

_CHUNK = 8192


@dataclass(frozen=True)
class Ratings:
    """Who rated what, by their codes, and how: all (ratings,); and how many users and items."""

    user: Codes
    item: Codes
    value: Floats
    users: int
    items: int

    def at(self, rows: NDArray[np.bool_]) -> "Ratings":
        """Some of them, by a mask."""
        return replace(self, user=self.user[rows], item=self.item[rows], value=self.value[rows])

    @property
    def turned(self) -> "Ratings":
        """Items in the place of users."""
        return Ratings(self.item, self.user, self.value, self.items, self.users)


@dataclass(frozen=True)
class Tastes:
    """A Gaussian for each user (or item), the effect first, and that of one who is not known.

    Attributes:
        mean: of each row.
        covariance: of each row.
        centre: the mean of one of whom nothing is known.
        spread: his covariance.
    """

    mean: Float64[Tensor, "rows width"]
    covariance: Float64[Tensor, "rows width width"]
    centre: Float64[Tensor, " width"]
    spread: Float64[Tensor, "width width"]

    @classmethod
    def unknown(cls, rows: int, spread: Float64[Tensor, " width"]) -> "Tastes":
        """Rows of which nothing is known, with independent entries."""
        width = len(spread)
        return cls(
            torch.zeros(rows, width, dtype=torch.float64),
            spread.diag().expand(rows, width, width).clone(),
            torch.zeros(width, dtype=torch.float64),
            spread.diag(),
        )

    def widened(self, rows: int) -> "Tastes":
        """With rows of which nothing is known at the end, up to so many."""
        more = rows - len(self.mean)
        width = len(self.centre)
        return replace(
            self,
            mean=torch.cat([self.mean, self.centre.expand(more, width)]),
            covariance=torch.cat([self.covariance, self.spread.expand(more, width, width)]),
        )

    def rows(
        self, codes: Codes
    ) -> tuple[Float64[Tensor, "rows width"], Float64[Tensor, "rows width width"]]:
        """Means and covariances of some; below 0 is one who is not known."""
        at = torch.from_numpy(codes)
        mean, covariance = self.mean[at], self.covariance[at]
        mean[at < 0], covariance[at < 0] = self.centre, self.spread
        return mean, covariance

    def relearnt(self, start: Float64[Tensor, " width"]) -> "Tastes":
        """With the Gaussian of the unknown as the rows suggest: its evidence rises (EM).

        Args:
            start: variances that count as much as `width` rows, so that few rows do not make the
                covariance singular (an inverse Wishart prior, as in Salakhutdinov & Mnih 2008).
        """
        count, width = self.mean.shape
        centre = self.mean.mean(0)
        apart = self.mean - centre
        total = self.covariance.sum(0) + apart.T @ apart + width * start.diag()
        return replace(self, centre=centre, spread=total / (count + width))


@dataclass(frozen=True)
class Factorisation:
    """What is known of all users and items, and the variance of the noise."""

    users: Tastes
    items: Tastes
    noise: float

    def predict(self, user: Codes, item: Codes) -> tuple[Floats, Floats]:
        """Mean, and variance of what is not known of it, of pairs; codes below 0 are not known."""
        found = [
            _pairs(self.users.rows(user[at]), self.items.rows(item[at]))
            for at in np.array_split(np.arange(len(user)), max(1, -(-len(user) // _CHUNK)))
        ]
        means, variances = zip(*found, strict=True)
        return torch.cat(means).numpy(), torch.cat(variances).numpy()


def sweeps(ratings: Ratings, width: int, generator: torch.Generator) -> Iterator[Factorisation]:
    """Better and better factors of standardised ratings, for as long as they are asked for.

    A sweep is a step of coordinate ascent for the rows of all users, one for those of all items,
    and one for the priors and the noise; each is in closed form. Its users are those of given
    items, which an update builds on: they come once more after the items.

    Source: Lim & Teh, "Variational Bayesian Approach to Movie Rating Prediction" (KDD Cup 2007),
    with a full covariance for the prior of each side.

    Args:
        ratings: with mean 0 and variance 1.
        width: of a row: the factors and one.
        generator: draws the first items.

    Yields:
        The factors after a sweep.
    """
    start_users, start_items = _start(width, users=True), _start(width, users=False)
    users = Tastes.unknown(ratings.users, start_users)
    items = Tastes.unknown(ratings.items, start_items)
    # factors of zero are a saddle from which no step leads away
    first = 0.3 * torch.randn(ratings.items, width, generator=generator, dtype=torch.float64)
    first[:, 0] = 0.0
    items = replace(items, mean=first, covariance=0.01 * items.covariance)
    noise = 0.8
    while True:
        users, _ = learnt(ratings, users, items, noise)
        users = users.relearnt(start_users)
        items, error = learnt(ratings.turned, items, users, noise)
        items, noise = items.relearnt(start_items), error / len(ratings.value)
        yield Factorisation(users, items, noise)


def _start(width: int, *, users: bool) -> Float64[Tensor, " width"]:
    """Variances of a row before anything is learnt, in units of the ratings' variance."""
    start = torch.full((width,), 0.1 if users else 1.0, dtype=torch.float64)
    start[0] = 0.2
    return start


def learnt(ratings: Ratings, own: Tastes, other: Tastes, noise: float) -> tuple[Tastes, float]:
    r"""The rows of one side given those of the other, each in closed form.

    With :math:`x = (1, q)` and the effect :math:`b` of the other side, row :math:`u` has precision
    :math:`\Sigma^{-1} + \frac{1}{s} \sum E[x x']` and, times its mean,
    :math:`\Sigma^{-1} m + \frac{1}{s} \sum (r E[x] - E[x b])`.

    Args:
        ratings: turned so that `own` is the users.
        own: whose prior counts; its rows are not looked at.
        other: the rows that are given.
        noise: the variance s.

    Returns:
        The side with its rows, and the expected sum of squared errors.
    """
    pairs = (ratings.user, ratings.item)
    shape = (ratings.users, ratings.items)
    seen: sparse.csr_matrix = sparse.csr_matrix((np.ones(len(ratings.value)), pairs), shape=shape)
    value: sparse.csr_matrix = sparse.csr_matrix((ratings.value, pairs), shape=shape)
    inputs, second, crossed, square = _moments(other)
    width = inputs.shape[1]
    upper = torch.triu_indices(width, width)
    # the matrices are symmetric: half of the entries are summed, which is where the time goes
    packed = torch.from_numpy(seen @ second[:, upper[0], upper[1]].numpy())
    shift = torch.from_numpy(value @ inputs.numpy() - seen @ crossed.numpy())
    gram = torch.empty(ratings.users, width, width, dtype=torch.float64)
    gram[:, upper[0], upper[1]] = packed
    gram[:, upper[1], upper[0]] = packed
    prior = torch.linalg.inv(own.spread)
    root = torch.linalg.cholesky(prior + gram / noise)
    covariance = torch.cholesky_inverse(root)
    natural = prior @ own.centre + shift / noise
    mean = (covariance @ natural[:, :, None])[:, :, 0]
    expected = covariance + mean[:, :, None] * mean[:, None, :]
    left = (
        float(np.square(ratings.value).sum())
        - 2 * float((value @ other.mean[:, 0].numpy()).sum())
        + float((seen @ square.numpy()).sum())
    )
    error = left - 2 * float((shift * mean).sum()) + float((gram * expected).sum())
    return replace(own, mean=mean, covariance=covariance), error


def with_rows(ratings: Ratings, own: Tastes, other: Tastes, noise: float, codes: Codes) -> Tastes:
    """A side whose rows of some codes are those of all their ratings; the others stay."""
    rows = np.unique(codes)
    places = np.full(ratings.users, -1)
    places[rows] = np.arange(len(rows))
    of_these = ratings.at(places[ratings.user] >= 0)
    few = replace(of_these, user=places[of_these.user], users=len(rows))
    fresh, _ = learnt(few, own, other, noise)
    at = torch.from_numpy(rows)
    return replace(
        own,
        mean=own.mean.index_copy(0, at, fresh.mean),
        covariance=own.covariance.index_copy(0, at, fresh.covariance),
    )


def _moments(side: Tastes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`E[x]`, `E[x x']`, `E[x b]` and `E[b²]` of every row, where x has a one in place of b."""
    effect, inputs = side.mean[:, 0], side.mean.clone()
    inputs[:, 0] = 1.0
    second = inputs[:, :, None] * inputs[:, None, :]
    second[:, 1:, 1:] += side.covariance[:, 1:, 1:]
    crossed = inputs * effect[:, None]
    crossed[:, 1:] += side.covariance[:, 1:, 0]
    return inputs, second, crossed, effect.square() + side.covariance[:, 0, 0]


def _pairs(
    users: tuple[Tensor, Tensor], items: tuple[Tensor, Tensor]
) -> tuple[Float64[Tensor, " rows"], Float64[Tensor, " rows"]]:
    """Mean and variance of `a + b + p'q`, both sides independent."""
    (left, left_spread), (right, right_spread) = users, items
    mean = left[:, 0] + right[:, 0] + (left[:, 1:] * right[:, 1:]).sum(1)
    by_left, by_right = left.clone(), right.clone()
    by_left[:, 0] = by_right[:, 0] = 1.0
    variance = _quadratic(by_right, left_spread) + _quadratic(by_left, right_spread)
    # the product of what neither side knows: Var[p'q] has it beside the two
    both = (left_spread[:, 1:, 1:] * right_spread[:, 1:, 1:]).sum((1, 2))
    return mean, variance + both


def _quadratic(at: Float64[Tensor, "rows width"], matrix: Tensor) -> Float64[Tensor, " rows"]:
    return ((matrix @ at[:, :, None])[:, :, 0] * at).sum(1)
