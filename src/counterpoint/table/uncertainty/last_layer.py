"""An exact Gaussian over each head's weights, on the features of a trunk that counts as known.

Its noise (numbers) or prior (categories) is what the rows left out reveal; given it, the posterior
follows from all rows, the rest by its evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.nn import TableNet
from counterpoint.posterior import LastLayer, Softmax, Statistics
from counterpoint.table.columns import CategoryHead, Schema
from counterpoint.table.fit.prepare import Prepared, Target
from counterpoint.table.model.network import compute_features
from counterpoint.table.uncertainty.belief import MemberPrediction, PosteriorFiles, UncertaintyKind
from counterpoint.table.uncertainty.rows import TargetRows, pooled_noise

__all__ = ["LAST_LAYER", "LastLayers"]

_FACTORS = (1.0, 8.0, 64.0, 512.0)


@dataclass(frozen=True)
class LastLayers:
    """One posterior a target over the weights of its head.

    Attributes:
        posteriors: target -> Gaussian over its head's weights, in the order of the schema.
    """

    posteriors: Mapping[str, LastLayer | Softmax]

    def predict(
        self, network: TableNet, inputs: Mapping[str, Tensor]
    ) -> dict[str, MemberPrediction]:
        """See `MemberPosterior`."""
        features = compute_features(network, inputs)
        return {name: layer.predict(features) for name, layer in self.posteriors.items()}

    @property
    def noise(self) -> dict[str, float | None]:
        """See `MemberPosterior`."""
        return {
            name: float(layer.noise[0]) if isinstance(layer, LastLayer) else None
            for name, layer in self.posteriors.items()
        }

    def settle(self, network: TableNet) -> None:
        """See `MemberPosterior`: the posteriors' means."""
        for layer, head in zip(self.posteriors.values(), network.heads, strict=True):
            head.load_state_dict({"weight": layer.mean[:-1].T, "bias": layer.mean[-1]})

    def updated(
        self,
        network: TableNet,
        prepared: Prepared,
        rows: Tensor,
        *,
        keep: float,
        noise: Mapping[str, float],
    ) -> "LastLayers":
        """See `MemberPosterior`: exact for numbers, prior tuned anew; Laplace's for categories."""
        features = compute_features(network, {n: v[rows] for n, v in prepared.inputs.items()})
        return LastLayers(
            {
                target.name: _updated(
                    self.posteriors[target.name], features, target, rows, keep, noise
                )
                for target in prepared.targets
            }
        )

    def files(self) -> PosteriorFiles:
        """One file a target."""
        layers = enumerate(self.posteriors.values())
        return PosteriorFiles({str(place): layer.state() for place, layer in layers})


def _read(schema: Schema, network: TableNet, files: PosteriorFiles) -> LastLayers:
    del network  # its features are computed when something is predicted
    posteriors: dict[str, LastLayer | Softmax] = {}
    for place, column in enumerate(schema.targets):
        kind = Softmax if column.head_type is CategoryHead else LastLayer
        posteriors[column.name] = kind.from_state(dict(files.tensors[str(place)]))
    return LastLayers(posteriors)


def _fit(networks: Sequence[TableNet], prepared: Prepared) -> list[LastLayers]:
    """One posterior a target and member, from every row of `rows.train`."""
    rows = torch.from_numpy(prepared.rows.train)
    inputs = {name: value[rows] for name, value in prepared.inputs.items()}
    features = [compute_features(network, inputs) for network in networks]
    found = {t.name: _fit_target(t, features, prepared) for t in prepared.targets}
    return [
        LastLayers({name: layers[place] for name, layers in found.items()})
        for place in range(len(networks))
    ]


def _updated(
    layer: LastLayer | Softmax,
    features: Tensor,
    target: Target,
    rows: Tensor,
    keep: float,
    noise: Mapping[str, float],
) -> LastLayer | Softmax:
    weight, values = target.weight[rows], target.values[rows]
    used = weight > 0
    if isinstance(layer, Softmax):
        if not used.any():
            return layer
        return layer.update(
            features[used], values[used], weight[used], classes=target.outputs, keep=keep
        )
    statistics = Statistics.of(features[used], values[used], weight[used])
    if keep > 0:
        statistics = layer.statistics.scaled(keep) + statistics
    if not statistics.weight > 0:
        return layer
    return LastLayer.fit(statistics, noise=noise.get(target.name, float(layer.noise[0])))


LAST_LAYER = UncertaintyKind(_fit, _read, updates=frozenset(("heads", "network")))
"""See `LastLayers`."""


def _fit_target(
    target: Target, features: Sequence[Tensor], prepared: Prepared
) -> list[LastLayer] | list[Softmax]:
    rows = TargetRows.of(target, prepared)
    if not target.categorical:
        noise = _noise(rows, features)
        return [_number(rows, part, rows.used, noise=noise) for part in features]
    prior = _prior(rows, features)
    return [_category(rows, part, rows.used, prior=prior) for part in features]


def _number(
    rows: TargetRows, part: Tensor, chosen: Tensor, noise: float | None = None
) -> LastLayer:
    statistics = Statistics.of(part[chosen], rows.values[chosen], rows.weight[chosen])
    return LastLayer.fit(statistics, noise=noise)


def _category(
    rows: TargetRows, part: Tensor, chosen: Tensor, prior: float | None = None
) -> Softmax:
    values, weight = rows.values[chosen], rows.weight[chosen]
    return Softmax.fit(part[chosen], values, rows.target.outputs, weight, prior=prior)


def _noise(rows: TargetRows, features: Sequence[Tensor]) -> float | None:
    """None (the evidence's own) where no held-out row has a value."""
    means: dict[int, Tensor] = {}
    knowledge: dict[int, Tensor] = {}
    for place, (inside, out) in rows.parts.items():
        found = _number(rows, features[place], inside).predict(features[place])
        means[place], knowledge[place] = found.mean, found.knowledge[out]
    return pooled_noise(rows, means, knowledge)


def _prior(rows: TargetRows, features: Sequence[Tensor]) -> float | None:
    """The first member's evidence sets the scale, the held-out rows of all choose the factor.

    None (each member's own evidence) where no held-out row has a value.
    """
    parts = [(features[place], inside, out) for place, (inside, out) in rows.parts.items()]
    if not parts:
        return None
    part, inside, _ = parts[0]
    first = _category(rows, part, inside)
    likelihood = dict.fromkeys(_FACTORS, 0.0)
    for part, inside, out in parts:
        for factor in _FACTORS:
            layer = _category(rows, part, inside, prior=first.prior * factor)
            found = layer.predict(part[out]).log_prob(rows.values[out])
            likelihood[factor] += float(rows.weight[out] @ found)
    return first.prior * max(_FACTORS, key=lambda factor: likelihood[factor])
