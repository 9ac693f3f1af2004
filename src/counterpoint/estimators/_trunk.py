"""What the estimators with a trained trunk and an exact last layer share."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from counterpoint.data import Tensors
from counterpoint.errors import InputError
from counterpoint.estimators._checks import (
    Floats,
    checked_inputs,
    checked_targets,
    number,
    refuse_flat,
    seed_of,
    unit_weight,
    whole,
)
from counterpoint.estimators._gaps import GapReport, Side, gap_report
from counterpoint.estimators._training import (
    TrunkPlan,
    TrunkRows,
    activation_of,
    conformed,
    later_noise,
    levels_of,
    noise_of,
    outputs_of,
    parts_left_out,
)
from counterpoint.nn import plain_trunk
from counterpoint.posterior import LastLayer, Predictive, Statistics, UnseenRows, left_out_noise
from counterpoint.posterior._rows import design
from counterpoint.seeding import derive, generator, seeded, threads
from counterpoint.train import Row, Training, fit

RandomState = int | np.random.RandomState | None


class TrunkRegressor(RegressorMixin, BaseEstimator, ABC):
    """Regression with a network whose last layer is an exact Gaussian: all but what trains it.

    The settings are described at `NeuralLinearRegressor`; a leaf says by `_plan` what its trunk is
    trained for. Inputs and targets are standardised here, so whatever a plan sees has mean 0 and
    variance 1, and all that comes out is in the units of the targets.
    """

    def __init__(
        self,
        *,
        width: int = 50,
        depth: int = 2,
        activation: str = "relu",
        epochs: int = 100,
        batch_size: int = 32,
        rate: float = 0.01,
        weight_decay: float = 0.01,
        dropout: float = 0.0,
        prior: float | None = None,
        noise: float | str = "held-out",
        random_state: RandomState = None,
    ) -> None:
        self.width = width
        self.depth = depth
        self.activation = activation
        self.epochs = epochs
        self.batch_size = batch_size
        self.rate = rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.prior = prior
        self.noise = noise
        self.random_state = random_state

    @abstractmethod
    def _plan(self, targets: int, seed: int) -> TrunkPlan:
        """What to train for, once the settings of the leaf are checked."""

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Train the trunk, then compute the last layer's posterior.

        Args:
            X: (rows, columns), finite numbers.
            y: (rows,) or (rows, targets).
            sample_weight: (rows,), at least 0; a weight of 2 counts as the row twice, up to the
                mean weight, which is brought to one; rows of weight 0 are left out.

        Returns:
            The estimator itself.

        Raises:
            InputError: a setting that cannot be used, fewer than two rows or than targets, a
                target with one value, or weights that are all zero.
        """
        inputs = checked_inputs(self, X, reset=True, rows=2)
        targets = checked_targets(y, len(inputs))
        weight = unit_weight(sample_weight, len(inputs))
        counted = weight > 0  # the others are no evidence, nor where data are
        inputs, targets, weight = inputs[counted], targets[counted], weight[counted]
        weight = weight / weight.mean()
        # of later rows' weights, so that they count as these do
        self._unit = (
            1.0 if sample_weight is None else float(np.asarray(sample_weight)[counted].mean())
        )
        seed = seed_of(self.random_state)
        self._single = targets.ndim == 1
        targets = targets[:, None] if self._single else targets
        refuse_flat(targets, weight)
        self._inputs: Any = StandardScaler().fit(inputs, sample_weight=weight)
        self._targets: Any = StandardScaler().fit(targets, sample_weight=weight)
        rows = TrunkRows(
            self._scaled(inputs),
            torch.from_numpy(self._targets.transform(targets)).float(),
            torch.from_numpy(weight),
        )
        noise = noise_of(self.noise)
        plan = self._plan(targets.shape[1], seed)
        with threads(1):  # the bits of a sum depend on their number; layers so narrow gain nothing
            # first, so that schemes and subsets that draw give the same trunk whatever the noise
            self.network_, self._head, self.history_ = self._trained(plan, rows, seed)
            self.features_ = outputs_of(self.network_, rows.x)
            unseen = self._left_out(plan, rows, seed) if noise == "held-out" else []
            if unseen:
                noise = left_out_noise(unseen, self.prior)
            statistics = Statistics.of(self.features_, rows.y, rows.weight)
            given = None if isinstance(noise, str) else noise
            self.posterior_ = LastLayer.fit(statistics, prior=self.prior, noise=given)
            self._levels = levels_of(unseen, self.prior, self.posterior_.noise)
        return self

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Any:
        """Learn more rows on the trunk as it is, without the earlier ones; at first, fit.

        The last layer's posterior becomes that of all rows, exactly. The noise is the mean, by
        rows, of what it was and of what the new rows reveal, which no weight has seen; with
        ``noise="evidence"`` that of greatest evidence; a noise that was given stays.

        Args:
            X: (rows, columns), finite numbers.
            y: (rows,) or (rows, targets) as in fit.
            sample_weight: (rows,), at least 0, in the unit of the fit's.

        Returns:
            The estimator itself.

        Raises:
            InputError: rows that cannot be used, or another number of targets.
        """
        if not hasattr(self, "posterior_"):
            return self.fit(X, y, sample_weight)
        inputs = checked_inputs(self, X, reset=False)
        targets = checked_targets(y, len(inputs))
        targets = targets[:, None] if targets.ndim == 1 else targets
        if targets.shape[1] != len(self._targets.scale_):
            known = len(self._targets.scale_)
            raise InputError(f"y: expected {known} targets as in fit, found {targets.shape[1]}")
        # asked for its refusals: the unit of these weights is that of the fit, not their own mean
        unit_weight(sample_weight, len(inputs))
        given = np.ones(len(inputs)) if sample_weight is None else np.asarray(sample_weight)
        rows = TrunkRows(
            self._scaled(inputs),
            torch.from_numpy(self._targets.transform(targets)).float(),
            torch.from_numpy(given / self._unit),
        ).at(torch.from_numpy(given > 0))
        with threads(1):
            features = outputs_of(self.network_, rows.x)
            setting, noise = noise_of(self.noise), self.posterior_.noise
            if setting == "held-out":
                noise = later_noise(self.posterior_, features, rows)
            noise = None if setting == "evidence" else noise
            # sums over one trunk add: this is the posterior of all rows, not near it
            total = self.posterior_.statistics + Statistics.of(features, rows.y, rows.weight)
            self.posterior_ = LastLayer.fit(total, prior=self.prior, noise=noise)
            self.features_ = torch.cat([self.features_, features])
        return self

    def _left_out(self, plan: TrunkPlan, rows: TrunkRows, seed: int) -> list[UnseenRows]:
        """Rows left out, each part by a trunk that was trained on all the others."""
        found: list[UnseenRows] = []
        for at, out in enumerate(parts_left_out(len(rows.x), generator(seed, 3))):
            inside = torch.ones(len(rows.x), dtype=torch.bool).index_fill(0, out, False)
            seen, unseen = rows.at(inside), rows.at(out)
            # trunks that start alike err alike, and several would count as one
            trunk, _, _ = self._trained(plan, seen, derive(seed, 4 + at))
            statistics = Statistics.of(outputs_of(trunk, seen.x), seen.y, seen.weight)
            features = outputs_of(trunk, unseen.x)
            found.append(UnseenRows(statistics, features, unseen.y, unseen.weight))
        return found

    def _trained(
        self, plan: TrunkPlan, rows: TrunkRows, seed: int
    ) -> tuple[nn.Module, nn.Module, tuple[Row, ...]]:
        """A trunk trained on rows, its head, and how training went."""
        with seeded(derive(seed, 1)):
            trunk = plain_trunk(
                rows.x.shape[1],
                whole("width", self.width, 1),
                whole("depth", self.depth, 1),
                dropout=number(
                    "dropout", self.dropout, "a number from 0 to below 1", lambda p: 0 <= p < 1
                ),
                activation=activation_of(self.activation),
            )
            head = nn.Linear(self.width, plan.outputs)
        settings = Training(
            epochs=whole("epochs", self.epochs, 1),
            batch_size=whole("batch_size", self.batch_size, 1),
            rate=self.rate,
            weight_decay=self.weight_decay,
            balance=plan.balance,
            seed=seed,
        )
        source = Tensors({"x": rows.x, "y": rows.y, "weight": rows.weight.float()})
        done = fit(nn.Sequential(trunk, head), plan.goals, source, settings, progress=False)
        return trunk.eval(), head, done.history

    def predictive(self, X: ArrayLike) -> Predictive:
        """The predictive distribution of every row, noise and knowledge apart.

        Args:
            X: (rows, columns), finite numbers.

        Returns:
            Shapes (rows, targets), in the units of the targets.
        """
        features = self._features(X)
        return self.posterior_.predict(features).rescaled(*self._units())

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Expected targets, and on request their standard deviations.

        Args:
            X: (rows, columns), finite numbers.
            return_std: also return the standard deviation, noise and knowledge together.

        Returns:
            (rows,) or (rows, targets) as `y` was in fit; a pair of them with `return_std`.
        """
        predictive = self.predictive(X)
        mean, std = self._shaped(predictive.mean), self._shaped(predictive.std)
        return (mean, std) if return_std else mean

    def predict_interval(self, X: ArrayLike, level: float = 0.9) -> tuple[Floats, Floats]:
        """The lower and the upper ends of intervals that hold the target with a probability.

        With ``noise="held-out"`` they are conformal: at the level whose intervals held that share
        of the rows that trunks were trained without. Those saw four fifths of the rows, so new rows
        like those of fit are inside about as often as is said, or more often; `partial_fit` leaves
        the levels as they are. Otherwise they are those of the distribution.

        Source: Vovk, "Cross-conformal predictors" (2015).

        Args:
            X: (rows, columns), finite numbers.
            level: the probability.

        Returns:
            Two arrays, (rows,) or (rows, targets) as `y` was in fit.

        Raises:
            InputError: the level is not between 0 and 1.
        """
        number("level", level, "a number between 0 and 1", lambda share: 0 < share < 1)
        low, high = conformed(self.predictive(X), self._levels, level)
        return self._shaped(low), self._shaped(high)

    def sample_prior(
        self, X: ArrayLike, draws: int = 1, random_state: RandomState = None
    ) -> Floats:
        r"""Functions that the trunk holds possible before the last layer has seen a row.

        Their last layer's weights are drawn from the prior :math:`N(0, I / \alpha)`. The trunk has
        seen the rows, and :math:`\alpha` too unless `prior` gives it.

        Args:
            X: (rows, columns), finite numbers.
            draws: how many functions.
            random_state: seed, `numpy.random.RandomState`, or None for a fresh one.

        Returns:
            (draws, rows) or (draws, rows, targets) as `y` was in fit, in the units of the targets,
            without noise.
        """
        check_is_fitted(self)
        shape = (whole("draws", draws, 1), *self.posterior_.mean.shape)
        stream = generator(seed_of(random_state))
        unit = torch.randn(shape, generator=stream, dtype=torch.float64)
        return self._functions(X, unit / self.posterior_.prior.sqrt())

    def sample_posterior(
        self, X: ArrayLike, draws: int = 1, random_state: RandomState = None
    ) -> Floats:
        """Functions that the last layer holds possible after the rows of fit; see `sample_prior`.

        Args:
            X: (rows, columns), finite numbers.
            draws: how many functions.
            random_state: seed, `numpy.random.RandomState`, or None for a fresh one.

        Returns:
            As `sample_prior`. Their mean and variance are `predictive`'s mean and knowledge.
        """
        check_is_fitted(self)
        stream = generator(seed_of(random_state))
        return self._functions(X, self.posterior_.weights(stream, whole("draws", draws, 1)))

    def log_prob(self, X: ArrayLike, y: ArrayLike) -> Floats:
        """Log density of targets under the predictive distribution, row by row.

        Args:
            X: (rows, columns), finite numbers.
            y: (rows,) or (rows, targets) as in fit.

        Returns:
            (rows,), in nats, summed over the targets; densities are per unit of the target.

        Raises:
            InputError: another number of rows or targets.
        """
        predictive = self.predictive(X)
        targets = torch.from_numpy(checked_targets(y, len(predictive.mean)))
        return predictive.log_prob(targets).sum(1).numpy()

    def gap_report(
        self,
        X: ArrayLike,
        outside: ArrayLike,
        *,
        y: ArrayLike | None = None,
        outside_y: ArrayLike | None = None,
        neighbours: int = 5,
        level: float = 0.9,
    ) -> GapReport:
        """Knowledge where there are data and where there are none; see `GapReport`.

        Args:
            X: (rows, columns), rows like those of fit; best not those of fit themselves.
            outside: (rows, columns), rows from where there were none in fit.
            y: targets of `X`, for coverage and log density inside.
            outside_y: targets of `outside`, likewise.
            neighbours: rows of fit whose mean distance in feature space is the distance score.
            level: of the central interval whose coverage is measured.

        Raises:
            InputError: a row or a setting that cannot be used.
        """
        sides = [
            Side(self._features(rows), self.predictive(rows), targets)
            for rows, targets in ((X, y), (outside, outside_y))
        ]
        scale, _ = self._units()
        return gap_report(self.features_, sides, scale, neighbours=neighbours, level=level)

    def _scaled(self, inputs: Floats) -> Float[Tensor, "rows columns"]:
        return torch.from_numpy(self._inputs.transform(inputs)).float()

    def _standardised(self, X: ArrayLike) -> Float[Tensor, "rows columns"]:
        check_is_fitted(self)
        return self._scaled(checked_inputs(self, X, reset=False))

    def _features(self, X: ArrayLike) -> Float[Tensor, "rows width"]:
        x = self._standardised(X)  # asks first whether there is a network
        return outputs_of(self.network_, x)

    def _units(self) -> tuple[Float64[Tensor, " targets"], Float64[Tensor, " targets"]]:
        """What a standardised target is multiplied by, and what is added then."""
        scale, shift = np.array(self._targets.scale_), np.array(self._targets.mean_)
        return torch.from_numpy(scale), torch.from_numpy(shift)

    def _functions(self, X: ArrayLike, weights: Float64[Tensor, "draws width targets"]) -> Floats:
        scale, shift = self._units()
        return self._shaped((design(self._features(X)) @ weights) * scale + shift)

    def _shaped(self, values: Float64[Tensor, "... rows targets"]) -> Floats:
        array: Floats = values.numpy()
        return array[..., 0] if self._single else array

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        return tags
