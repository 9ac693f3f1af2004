"""Noise that depends on the row, learnt from rows that members left out.

The logarithm of a number's noise variance is linear in the predicted mean, its square and, where
there are rows enough, the numbers of the table. How far it may bend (a ridge) and how heavy the
tails are (a Student's t) is what predicts left-out rows best in cross-validation; that all rows
have the same normal noise is among the choices.

Sources: Harvey, "Estimating regression models with multiplicative heteroscedasticity" (1976);
Fisher scoring as in Smyth, "Generalized linear models with varying dispersion" (1989).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from counterpoint.posterior import Predictive
from counterpoint.seeding import generator
from counterpoint.table.targets._head import MemberPrediction
from counterpoint.table.uncertainty._newton import least
from counterpoint.table.uncertainty._rows import LeftOut, without_disagreement

_FARTHEST = math.log(400.0)
"""No row's noise has a standard deviation below a 20th or above 20 times the usual one."""

_CLIPPED = 0.01
"""Share of left-out rows beyond which, at either end, the noise no longer follows its inputs."""

_RIDGES = (1000.0, 100.0, 30.0, 10.0, 3.0)
_DEGREES = (math.inf, 20.0, 10.0, 6.0, 4.0, 3.0)
_FOLDS = 5
_ROWS = 4096
"""Most left-out rows to choose by: more would cost time and change no choice."""

_ROWS_A_NUMBER = 20
_FEWEST = 40
_SURE = 1.0
"""Standard errors by which the rows must speak for anything but one normal noise."""

_ITERATIONS = 30


@dataclass(frozen=True)
class RowNoise:
    """How the noise of a row differs from the pooled one.

    Its ratio to that is ``exp(b'(z - c))``, `z` clipped to where nearly all left-out rows were;
    so it is one in the middle of them, and never far from it.

    Attributes:
        centre: of ``z``: mean, its square, and numbers or none, (P,).
        low, high: where `z` is clipped, (P,).
        slopes: ``b``, (P,).
        degrees: of freedom of the target's Student's t; infinity for a normal.
        anchor: weights of a member's features, bias last, (F+1,), whose product is the mean in
            ``z``: fixed, so that the weight of a row stays whatever the head learns. Empty: the
            mean is the one that is predicted.
    """

    centre: Tensor
    low: Tensor
    high: Tensor
    slopes: Tensor
    degrees: float
    anchor: Tensor

    def ratio(self, mean: Tensor, numbers: Tensor) -> Tensor:
        """Noise variances over the pooled one, (N, 1).

        Args:
            mean: predicted, standardised, (N,).
            numbers: encoded, as the network takes them, (N, numbers).
        """
        z = _inputs(mean, numbers, len(self.slopes))
        bend = (torch.clamp(z, self.low, self.high) - self.centre) @ self.slopes
        return bend.clamp(-_FARTHEST, _FARTHEST).exp()[:, None]

    def anchored(self, features: Tensor, numbers: Tensor) -> Tensor:
        """`ratio` at the mean that the anchor gives.

        Args:
            features: of the member's trunk, (N, F).
            numbers: see `ratio`.
        """
        mean = features.double() @ self.anchor[:-1] + self.anchor[-1]
        return self.ratio(mean, numbers)

    def applied(self, found: Predictive, ratio: Tensor) -> Predictive:
        """A prediction of pooled noise with the noise of its rows."""
        return replace(found, noise=found.noise * ratio, degrees=self.degrees)

    def state(self) -> dict[str, Tensor]:
        """All of it, by name."""
        parts = ("centre", "low", "high", "slopes", "anchor")
        degrees = torch.tensor(self.degrees, dtype=torch.float64)
        return {**{name: getattr(self, name) for name in parts}, "degrees": degrees}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "RowNoise":
        """What `state` wrote (`LookupError` where a part is missing)."""
        names = ("centre", "low", "high", "slopes", "anchor")
        parts = {name: state[name].double() for name in names}
        return cls(**parts, degrees=float(state["degrees"]))


def pack_noises(
    names: Iterable[str], noises: Mapping[str, RowNoise]
) -> dict[str, dict[str, Tensor]]:
    """Files of those targets that have one, by the target's place among all names."""
    places = enumerate(names)
    return {f"{place}-noise": noises[name].state() for place, name in places if name in noises}


def unpack_noises(
    names: Iterable[str], files: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, RowNoise]:
    """What `pack_noises` gave, among other files; model folders of earlier versions have none."""
    places = {name: f"{place}-noise" for place, name in enumerate(names)}
    return {name: RowNoise.from_state(files[at]) for name, at in places.items() if at in files}


def of_rows(
    found: Mapping[str, MemberPrediction], noises: Mapping[str, RowNoise], numbers: Tensor
) -> dict[str, MemberPrediction]:
    """Predictions of pooled noise with that of their rows, which follows from what is predicted."""
    changed = dict(found)
    for name, noise in noises.items():
        part = cast("Predictive", found[name])  # nothing else has a noise of its own
        changed[name] = noise.applied(part, noise.ratio(part.mean[:, 0], numbers))
    return changed


def learn_row_noise(rows: LeftOut | None) -> tuple[float, RowNoise] | None:
    """The pooled noise, and how rows differ from it; None where one normal noise is as good.

    Variances of rows are `LeftOut.known` and noise. What the members disagree about does not
    count as known, row by row: a member that had seen the row tells it nearly exactly, so that
    disagreement is large where the residual is. On average it is taken off the pooled noise.

    Args:
        rows: that members left out; none where no such row has a value.
    """
    if rows is None or len(rows.row.unique()) < _FEWEST:
        return None
    search = _Search.of(rows.some(_ROWS))
    constant = search.tried(_Way(0, math.inf, math.inf))
    flat = [search.tried(_Way(0, math.inf, degrees)) for degrees in _DEGREES[1:]]
    best = max([constant, *flat], key=_total)
    sizes = [2]
    count = rows.numbers.shape[1]
    if 0 < count <= len(search.rows.row) // _ROWS_A_NUMBER:
        sizes.append(2 + count)
    # at the tails found so far: under a normal a few far rows would draw the slopes
    degrees = best.way.degrees
    bent = [search.tried(_Way(size, ridge, degrees)) for size in sizes for ridge in _RIDGES]
    best = max([best, *bent], key=_total)
    if best.way.size:
        # tails that look heavy under one noise may be those of rows that scatter more
        again = [search.tried(replace(best.way, degrees=degrees)) for degrees in _DEGREES]
        best = max([best, *again], key=_total)
    # row by row: what both say of a row does not count in how sure the difference is
    gain = (best.each - constant.each) * search.rows.weight
    if float(gain.sum()) <= _SURE * float(gain.std()) * len(gain) ** 0.5:
        return None
    noise, found = search.learnt(best.way)
    share = rows.weight / rows.weight.sum()
    # `noise` is that of a ratio of one, and the pooled noise is that of all rows together
    usual = noise * float(share @ found.ratio(rows.mean, rows.numbers)[:, 0])
    return noise * without_disagreement(usual, rows) / usual, found


@dataclass(frozen=True)
class _Way:
    """One of the ways that noise may depend on a row: inputs, ridge, degrees of freedom."""

    size: int
    ridge: float
    degrees: float


@dataclass(frozen=True)
class _Trial:
    """A way, and the log density of each row by what the others say."""

    way: _Way
    each: Tensor
    weight: Tensor


def _total(trial: _Trial) -> float:
    return float(trial.weight @ trial.each)


def _inputs(mean: Tensor, numbers: Tensor, size: int) -> Tensor:
    columns = torch.stack([mean, mean.square()], 1).double()
    return torch.cat([columns, numbers.double()], 1)[:, :size]


@dataclass(frozen=True)
class _Search:
    """Rows in folds, and the inputs of their noise standardised."""

    rows: LeftOut
    fold: Tensor
    centre: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor
    start: float

    @classmethod
    def of(cls, rows: LeftOut) -> "_Search":
        names, place = rows.row.unique(return_inverse=True)
        fold = (torch.randperm(len(names), generator=generator(0, 12)) % _FOLDS)[place]
        z = _inputs(rows.mean, rows.numbers, 2 + rows.numbers.shape[1])
        low, high = torch.quantile(z, torch.tensor([_CLIPPED, 1 - _CLIPPED]).double(), dim=0)
        z = torch.clamp(z, low, high)
        share = rows.weight / rows.weight.sum()
        square, known = float(share @ rows.residual.square()), float(share @ rows.known)
        # members may doubt more than they err: a tenth of the square is left to begin at
        start = math.log(max(square - known, 0.1 * square, 1e-12))
        # an input that does not vary has no slope
        return cls(rows, fold, share @ z, z.std(0).clamp_min(1e-6), low, high, start)

    def tried(self, way: _Way) -> _Trial:
        """Every row by the other folds."""
        each = torch.zeros_like(self.rows.residual)
        z = self._design(way.size)
        for turn in range(_FOLDS):
            inside, out = self.fold != turn, self.fold == turn
            if not out.any() or not (self.rows.weight[inside] > 0).any():
                continue
            weights = self._scored(way, z, inside)
            variance = (z[out] @ weights).exp() + self.rows.known[out]
            each[out] = _log_density(self.rows.residual[out].square(), variance, way.degrees)
        return _Trial(way, each, self.rows.weight)

    def learnt(self, way: _Way) -> tuple[float, RowNoise]:
        """The noise of a row of ratio one, and the ratios, from all rows."""
        everything = torch.ones_like(self.fold, dtype=torch.bool)
        weights = self._scored(way, self._design(way.size), everything)
        size = way.size
        return math.exp(float(weights[-1])), RowNoise(
            self.centre[:size],
            self.low[:size],
            self.high[:size],
            weights[:-1] / self.spread[:size],
            way.degrees,
            torch.zeros(0, dtype=torch.float64),
        )

    def _design(self, size: int) -> Tensor:
        z = _inputs(self.rows.mean, self.rows.numbers, size)
        z = torch.clamp(z, self.low[:size], self.high[:size]) - self.centre[:size]
        z = z / self.spread[:size]
        return torch.cat([z, torch.ones(len(z), 1, dtype=torch.float64)], 1)

    def _scored(self, way: _Way, z: Tensor, chosen: Tensor) -> Tensor:
        """Slopes and level of greatest penalised likelihood, by Fisher scoring."""
        z, square, known = z[chosen], self.rows.residual[chosen].square(), self.rows.known[chosen]
        weight, degrees = self.rows.weight[chosen], way.degrees
        penalty = torch.full((z.shape[1],), way.ridge if way.size else 0.0, dtype=torch.float64)
        penalty[-1] = 0.0
        # of the logarithm of a variance: 1/2 for a normal, less for a Student's t (Lange 1989)
        share = 0.5 if math.isinf(degrees) else degrees / (2 * (degrees + 3))

        def loss(at: Tensor) -> float:
            variance = (z @ at).clamp(-60, 60).exp() + known
            fit = weight @ _log_density(square, variance, degrees)
            return float(0.5 * penalty @ at.square() - fit)

        def bent(at: Tensor) -> tuple[Tensor, Tensor]:
            noise = (z @ at).clamp(-60, 60).exp()
            variance = noise + known
            # only the noise's share of the variance follows the inputs
            part = noise / variance
            pull = weight * part * (1 - _excess(square / variance, degrees)) / 2
            curvature = (z * (weight * share * part.square())[:, None]).T @ z + penalty.diag()
            # inputs that are copies of each other leave a direction without curvature
            curvature.diagonal().add_(1e-9 * float(weight.sum()))
            return z.T @ pull + penalty * at, curvature

        start = torch.zeros(z.shape[1], dtype=torch.float64)
        start[-1] = self.start
        return least(loss, bent, start, steps=_ITERATIONS, tolerance=1e-7)


def _excess(scaled: Tensor, degrees: float) -> Tensor:
    """Minus twice the slope of the log density in the logarithm of the variance, and one."""
    if math.isinf(degrees):
        return scaled
    return (degrees + 1) * scaled / (degrees - 2 + scaled)


def _log_density(square: Tensor, variance: Tensor, degrees: float) -> Tensor:
    """Of residuals, in nats, by their squares."""
    zero = torch.zeros_like(square)[:, None]
    # by the density that predictions use, so that what is chosen by is what is reported
    found = Predictive(zero, variance[:, None], zero, degrees=degrees)
    return found.log_prob(square.sqrt()[:, None])[:, 0]
