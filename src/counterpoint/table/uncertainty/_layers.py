"""The Gaussian over one head's weights: how each kind of target fits, updates and compares it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from counterpoint.goals import NegativeBinomial, Poisson
from counterpoint.posterior import LastLayer, Softmax, Statistics
from counterpoint.table.evaluate._measures import finite
from counterpoint.table.fit._prepare import Target
from counterpoint.table.targets._count import CountHead
from counterpoint.table.targets._head import Head
from counterpoint.table.uncertainty._count_layer import CountLayer
from counterpoint.table.uncertainty._row_noise import RowNoise, learn_row_noise
from counterpoint.table.uncertainty._rows import LeftOut, TargetRows, noise_of

Pairs = dict[str, tuple[float | None, float | None]]
"""Measure -> before and after."""

_PRIORS = (0.3, 3.0, 30.0, 300.0)
_FACTORS = (1.0, 8.0, 64.0, 512.0)
_ENOUGH = 2000
"""Rows left out that settle the factor; further members say the same at the same cost again."""

L = TypeVar("L")


class HeadLayer(ABC, Generic[L]):
    """What a kind of target has to say of posteriors over its head's weights."""

    @abstractmethod
    def fit(self, rows: TargetRows, features: Sequence[Tensor]) -> list[tuple[L, RowNoise | None]]:
        """One posterior a member, from every row; the rows left out settle how sure it is.

        With it how the noise of rows differs, where it does: a row weighs the inverse of that.
        """

    @abstractmethod
    def read(self, state: Mapping[str, Tensor]) -> L:
        """The posterior that was kept."""

    @abstractmethod
    def updated(
        self,
        layer: L,
        features: Tensor,
        target: Target,
        rows: Tensor,
        keep: float,
        noise: float | None,
    ) -> L:
        """The posterior after more rows, `keep` of the earlier ones staying."""

    @abstractmethod
    def noise(self, layer: L) -> float | None:
        """The noise variance, standardised, if the head has one."""

    @abstractmethod
    def forgot(self, head: Head, pairs: Sequence[tuple[L, L]], rows: int) -> tuple[str, Pairs]:
        """How that is known, and what so many earlier rows lost, by the members before and after.

        The trunk is the one under which the earlier rows were learnt.
        """


class _Number(HeadLayer[LastLayer]):
    """Exact, on sums of squares; the noise is the one under which rows left out are likeliest.

    Where it differs from row to row, a row weighs the inverse of its ratio to the pooled noise:
    the likelihood is the same Gaussian one, so that sums still add and the evidence still holds.
    """

    def fit(
        self, rows: TargetRows, features: Sequence[Tensor]
    ) -> list[tuple[LastLayer, RowNoise | None]]:
        found = self._left_out(rows, features, None)
        if found is None:
            # no row left out has a value: the evidence's own noise
            return [(self._one(rows, part, rows.used), None) for part in features]
        noise = noise_of(found)
        layers = [self._one(rows, part, rows.used, noise) for part in features]
        learnt = learn_row_noise(self._left_out(rows, features, noise))
        if learnt is None:
            return [(layer, None) for layer in layers]
        return [
            self._weighed(rows, part, layer, *learnt)
            for part, layer in zip(features, layers, strict=True)
        ]

    def _left_out(
        self, rows: TargetRows, features: Sequence[Tensor], noise: float | None
    ) -> LeftOut | None:
        means: dict[int, Tensor] = {}
        knowledge: dict[int, Tensor] = {}
        for member, (inside, out) in rows.parts.items():
            found = self._one(rows, features[member], inside, noise).predict(features[member])
            means[member], knowledge[member] = found.mean, found.knowledge[out]
        return LeftOut.of(rows, means, knowledge)

    def _weighed(
        self, rows: TargetRows, part: Tensor, layer: LastLayer, noise: float, shape: RowNoise
    ) -> tuple[LastLayer, RowNoise]:
        """The posterior where rows have noise of their own, that being known."""
        anchored = replace(shape, anchor=layer.mean[:, 0])
        weight = rows.weight / anchored.anchored(part, rows.numbers)[:, 0]
        statistics = Statistics.of(part[rows.used], rows.values[rows.used], weight[rows.used])
        return LastLayer.fit(statistics, noise=noise), anchored

    def read(self, state: Mapping[str, Tensor]) -> LastLayer:
        return LastLayer.from_state(dict(state))

    def updated(
        self,
        layer: LastLayer,
        features: Tensor,
        target: Target,
        rows: Tensor,
        keep: float,
        noise: float | None,
    ) -> LastLayer:
        weight, values = target.weight[rows], target.values[rows]
        used = weight > 0
        statistics = Statistics.of(features[used], values[used], weight[used])
        if keep > 0:
            statistics = layer.statistics.scaled(keep) + statistics
        return LastLayer.fit(statistics, noise=noise) if statistics.weight > 0 else layer

    def noise(self, layer: LastLayer) -> float:
        return float(layer.noise[0])

    def forgot(
        self, head: Head, pairs: Sequence[tuple[LastLayer, LastLayer]], rows: int
    ) -> tuple[str, Pairs]:
        del rows
        found = [[self._residual(head, old, layer) for layer in (old, new)] for old, new in pairs]
        means = np.mean(np.asarray(found), axis=0)
        names = ("RMSE", "log likelihood")
        lost = {name: (finite(means[0, at]), finite(means[1, at])) for at, name in enumerate(names)}
        return "sufficient statistics", lost

    def _residual(self, head: Head, rows: LastLayer, layer: LastLayer) -> tuple[float, float]:
        """RMSE and log likelihood in nats a row of the rows of one layer by another's weights.

        Rows count by their weights in it; the logarithms of their noise ratios average zero.
        """
        mean, noise = float(rows.statistics.mean_square(layer.mean)[0]), self.noise(layer)
        log = -0.5 * (math.log(2 * math.pi * noise) + mean / noise)
        return head.deviation(mean), log - math.log(head.deviation(1.0))

    def _one(
        self, rows: TargetRows, part: Tensor, chosen: Tensor, noise: float | None = None
    ) -> LastLayer:
        values, weight = rows.values[chosen], rows.weight[chosen]
        return LastLayer.fit(Statistics.of(part[chosen], values, weight), noise=noise)


class _Category(HeadLayer[Softmax]):
    """Laplace's approximation; its prior is the one under which rows left out are likeliest."""

    def fit(
        self, rows: TargetRows, features: Sequence[Tensor]
    ) -> list[tuple[Softmax, RowNoise | None]]:
        near = self._settled(rows, features)
        prior = next((layer.prior for layer in near.values()), None)
        return [
            (self._one(rows, part, rows.used, prior, near.get(at)), None)
            for at, part in enumerate(features)
        ]

    def read(self, state: Mapping[str, Tensor]) -> Softmax:
        return Softmax.from_state(dict(state))

    def updated(
        self,
        layer: Softmax,
        features: Tensor,
        target: Target,
        rows: Tensor,
        keep: float,
        noise: float | None,
    ) -> Softmax:
        del noise
        weight, values = target.weight[rows], target.values[rows]
        used = weight > 0
        if not used.any():
            return layer
        return layer.update(
            features[used], values[used], weight[used], classes=target.outputs, keep=keep
        )

    def noise(self, layer: Softmax) -> None:
        del layer

    def forgot(
        self, head: Head, pairs: Sequence[tuple[Softmax, Softmax]], rows: int
    ) -> tuple[str, Pairs]:
        del head
        return _loss_added([old.cost(new) for old, new in pairs], rows)

    def _settled(self, rows: TargetRows, features: Sequence[Tensor]) -> dict[int, Softmax]:
        """The posteriors of members from the rows they were fitted to, at the likeliest prior."""
        # the first member's evidence sets the scale, rows left out the factor: of as many members
        # as it takes; of none, and so each has its own evidence, where no such row has a value
        tried: dict[float, dict[int, Softmax]] = {factor: {} for factor in _FACTORS}
        likelihood, judged, scale = dict.fromkeys(_FACTORS, 0.0), 0, None
        for at, (inside, out) in rows.parts.items():
            if judged >= _ENOUGH:
                break
            judged += int(out.sum())
            layer = None
            for factor in _FACTORS:
                # the first search alone is for the evidence; all others begin at the one before
                prior = None if scale is None else scale * factor
                layer = self._one(rows, features[at], inside, prior, layer)
                scale = layer.prior if scale is None else scale
                found = layer.predict(features[at][out]).log_prob(rows.values[out])
                likelihood[factor] += float(rows.weight[out] @ found)
                tried[factor][at] = layer
        return tried[max(_FACTORS, key=lambda factor: likelihood[factor])]

    def _one(
        self,
        rows: TargetRows,
        part: Tensor,
        chosen: Tensor,
        prior: float | None,
        near: Softmax | None,
    ) -> Softmax:
        values, weight = rows.values[chosen], rows.weight[chosen]
        outputs = rows.target.outputs
        return Softmax.fit(part[chosen], values, outputs, weight, prior=prior, near=near)


class _Count(HeadLayer[CountLayer]):
    """Laplace's approximation; prior and dispersion are those of which left-out rows are likeliest.

    Both are looked for with weights found for a Poisson, whose rates are right whatever the
    dispersion (Gourieroux, Monfort & Trognon 1984).
    """

    def fit(
        self, rows: TargetRows, features: Sequence[Tensor]
    ) -> list[tuple[CountLayer, RowNoise | None]]:
        head = cast("CountHead", rows.target.head)
        # every row once more where none was left out
        parts = rows.parts or {0: (rows.used, rows.used)}
        tried = [(self._tried(rows, features, parts, prior, head), prior) for prior in _PRIORS]
        (_, dispersion), prior = min(tried)
        return [(self._one(rows, part, rows.used, prior, dispersion), None) for part in features]

    def read(self, state: Mapping[str, Tensor]) -> CountLayer:
        return CountLayer.from_state(state)

    def updated(
        self,
        layer: CountLayer,
        features: Tensor,
        target: Target,
        rows: Tensor,
        keep: float,
        noise: float | None,
    ) -> CountLayer:
        del noise
        weight, values = target.weight[rows], target.values[rows][:, 0]
        used = weight > 0
        if not used.any():
            return layer
        return CountLayer.fit(
            features[used], values[used], weight[used], prior=layer.prior,
            dispersion=layer.dispersion, scale=layer.scale, before=layer, keep=keep,
        )  # fmt: skip

    def noise(self, layer: CountLayer) -> None:
        del layer

    def forgot(
        self, head: Head, pairs: Sequence[tuple[CountLayer, CountLayer]], rows: int
    ) -> tuple[str, Pairs]:
        del head
        return _loss_added([old.cost(new) for old, new in pairs], rows)

    def _tried(
        self,
        rows: TargetRows,
        features: Sequence[Tensor],
        parts: Mapping[int, tuple[Tensor, Tensor]],
        prior: float,
        head: "CountHead",
    ) -> tuple[float, float]:
        """The negative log likelihood of left-out rows under a prior, and the best dispersion."""
        outputs, counts, weights = list[Tensor](), list[Tensor](), list[Tensor]()
        for member, (inside, out) in parts.items():
            layer = self._one(rows, features[member], inside, prior, 0.0)
            found = layer.predict(features[member][out])
            # the mean of a log-normal rate: a doubt about the logarithm raises it (exp(s^2 / 2))
            outputs.append((found.mean + found.knowledge / 2)[:, 0] + math.log(head.mean))
            counts.append(head.units(rows.values[out]))
            weights.append(rows.weight[out])
        output, count, weight = torch.cat(outputs), torch.cat(counts), torch.cat(weights)
        if not head.dispersed:
            return float(weight @ Poisson(validate=False).nll_each(output, count)), 0.0

        def loss(log: float) -> float:
            likelihood = NegativeBinomial(math.exp(log), validate=False)
            return float(weight @ likelihood.nll_each(output, count))

        from scipy.optimize import minimize_scalar  # slow to import, and predictions do without

        # from where it is a Poisson to a variance 50 times the squared mean
        found_at: Any = minimize_scalar(loss, bounds=(-14.0, 4.0), method="bounded")
        return float(found_at.fun), math.exp(found_at.x)

    def _one(
        self, rows: TargetRows, part: Tensor, chosen: Tensor, prior: float, dispersion: float
    ) -> CountLayer:
        scale = cast("CountHead", rows.target.head).mean
        values, weight = rows.values[chosen][:, 0], rows.weight[chosen]
        return CountLayer.fit(
            part[chosen], values, weight, prior=prior, dispersion=dispersion, scale=scale
        )


def _loss_added(costs: Sequence[float], rows: int) -> tuple[str, Pairs]:
    # to second order around the earlier weights, whose own loss is not kept: so it begins at 0
    return "Gaussian", {
        "loss added, nats a row": (0.0, finite(float(np.mean(costs)) / max(rows, 1)))
    }


LAYERS: dict[str, HeadLayer[Any]] = {
    "number": _Number(),
    "category": _Category(),
    "count": _Count(),
}
"""A head's kind -> what it says of its posteriors."""
