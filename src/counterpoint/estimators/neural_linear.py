"""The neural linear model: a trained trunk under an exact Bayesian linear regression."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from counterpoint.estimators.checks import (
    checked_inputs,
    checked_targets,
    checked_weight,
    seed_of,
)
from counterpoint.goals import Gaussian
from counterpoint.nn import plain_trunk
from counterpoint.posterior import LastLayer, Predictive, Statistics
from counterpoint.seeding import derive, seeded, threads
from counterpoint.train import Tensors, Training, fit

__all__ = ["NeuralLinearRegressor"]


class NeuralLinearRegressor(RegressorMixin, BaseEstimator):
    """Regression with a network whose last layer is an exact Gaussian.

    The trunk is trained with a linear head on the squared error; then the head is replaced by the
    posterior of Bayesian linear regression on the trunk's features, whose prior precision and
    noise variance maximise the evidence. Inputs and targets are standardised inside.

    The evidence sees the rows that the trunk was fitted to, so on few rows a flexible trunk leaves
    it too little noise and intervals come out too narrow; `counterpoint.table.TableRegressor`
    takes the noise from rows that were left out.

    Source: Snoek et al., "Scalable Bayesian Optimization Using Deep Neural Networks" (arXiv
    1502.05700), section 3; MacKay, "Bayesian Interpolation" (1992) for the evidence.

    Args:
        width: units of each hidden layer; also the number of features.
        depth: hidden layers.
        epochs: passes over the rows.
        batch_size: rows a step.
        rate: highest learning rate of the one-cycle schedule.
        weight_decay: decoupled decay of the trunk.
        dropout: share of units silenced in training.
        random_state: seed, `numpy.random.RandomState`, or None for a fresh one.

    Attributes:
        posterior_: the Gaussian over the last layer's weights.
        network_: the trained trunk.
        n_features_in_: number of columns seen in fit.
    """

    def __init__(
        self,
        *,
        width: int = 50,
        depth: int = 2,
        epochs: int = 100,
        batch_size: int = 32,
        rate: float = 0.01,
        weight_decay: float = 0.01,
        dropout: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.width = width
        self.depth = depth
        self.epochs = epochs
        self.batch_size = batch_size
        self.rate = rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "NeuralLinearRegressor":
        """Train the trunk, then compute the last layer's posterior.

        Args:
            X: (rows, columns), finite numbers.
            y: (rows,) or (rows, targets).
            sample_weight: (rows,), at least 0; a weight of 2 counts as the row twice, up to the
                mean weight, which is brought to one.

        Raises:
            InputError: fewer than two rows, or weights that are all zero.
        """
        inputs = checked_inputs(self, X, reset=True, rows=2)
        targets = checked_targets(y, len(inputs))
        weight = checked_weight(sample_weight, len(inputs))
        seed = seed_of(self.random_state)
        self._single = targets.ndim == 1
        targets = targets[:, None] if self._single else targets
        self._inputs: Any = StandardScaler().fit(inputs, sample_weight=weight)
        self._targets: Any = StandardScaler().fit(targets, sample_weight=weight)
        x = torch.from_numpy(self._inputs.transform(inputs).astype(np.float32))
        t = torch.from_numpy(self._targets.transform(targets).astype(np.float32))
        w = torch.from_numpy(weight)
        with threads(1):
            self.network_ = self._train(x, t, w, seed)
            with torch.no_grad():
                features = self.network_(x)
            self.posterior_ = LastLayer.fit(Statistics.of(features, t, w))
        return self

    def _train(self, x: Tensor, y: Tensor, weight: Tensor, seed: int) -> nn.Module:
        with seeded(derive(seed, 1)):
            trunk = plain_trunk(x.shape[1], self.width, self.depth, dropout=self.dropout)
            model = nn.Sequential(trunk, nn.Linear(self.width, y.shape[1]))
        likelihood = Gaussian(1.0, validate=False)

        def goals(net: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {"fit": likelihood.nll(net(batch["x"]), batch["y"], batch["weight"])}

        settings = Training(
            epochs=self.epochs,
            batch_size=self.batch_size,
            rate=self.rate,
            weight_decay=self.weight_decay,
            seed=seed,
        )
        source = Tensors({"x": x, "y": y, "weight": weight.float()})
        fit(model, goals, source, settings, progress=False)
        return trunk.eval()

    def predictive(self, X: ArrayLike) -> Predictive:
        """The predictive distribution of every row, noise and knowledge apart.

        Args:
            X: (rows, columns), finite numbers.

        Returns:
            Shapes (rows, targets), in the units of the targets.
        """
        check_is_fitted(self)
        inputs = checked_inputs(self, X, reset=False)
        x = torch.from_numpy(self._inputs.transform(inputs).astype(np.float32))
        with torch.no_grad():
            features = self.network_(x)
        scale = torch.from_numpy(np.array(self._targets.scale_))
        shift = torch.from_numpy(np.array(self._targets.mean_))
        return self.posterior_.predict(features).rescaled(scale, shift)

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Expected targets, and on request their standard deviations.

        Args:
            X: (rows, columns), finite numbers.
            return_std: also return the standard deviation, noise and knowledge together.

        Returns:
            (rows,) or (rows, targets) as `y` was in fit; a pair of them with `return_std`.
        """
        found = self.predictive(X)
        mean, std = found.mean.numpy(), found.std.numpy()
        if self._single:
            mean, std = mean[:, 0], std[:, 0]
        return (mean, std) if return_std else mean

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        return tags
