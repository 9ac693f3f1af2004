"""An exact Gaussian over each head's weights, on the features of a trunk that counts as known.

Its noise (numbers) or prior (categories) is what the rows left out reveal; given it, the posterior
follows from all rows, the rest by its evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor

from counterpoint.nn import TableNet
from counterpoint.posterior import LastLayer, Predictive, Softmax
from counterpoint.table.columns import Schema
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.model._network import compute_features, compute_features_each
from counterpoint.table.targets._head import Head, MemberPrediction
from counterpoint.table.uncertainty._count_layer import CountLayer
from counterpoint.table.uncertainty._layers import LAYERS
from counterpoint.table.uncertainty._member_posterior import PosteriorFiles, UncertaintyKind
from counterpoint.table.uncertainty._row_noise import RowNoise, pack_noises, unpack_noises
from counterpoint.table.uncertainty._rows import TargetRows


@dataclass(frozen=True)
class LastLayers:
    """One posterior a target over the weights of its head.

    Attributes:
        heads: of each target.
        posteriors: target -> Gaussian over its head's weights, in the order of the schema.
        noises: target -> how the noise of its rows differs, where it does.
    """

    heads: Mapping[str, Head]
    posteriors: Mapping[str, LastLayer | Softmax | CountLayer]
    noises: Mapping[str, RowNoise] = field(default_factory=dict[str, RowNoise])

    def predict(
        self, network: TableNet, inputs: Mapping[str, Tensor]
    ) -> dict[str, MemberPrediction]:
        """See `MemberPosterior`."""
        return self.of_features(network, compute_features(network, inputs), inputs)

    def of_features(
        self, network: TableNet, features: Tensor, inputs: Mapping[str, Tensor]
    ) -> dict[str, MemberPrediction]:
        """See `FeaturePosterior`."""
        del network  # its heads are the posteriors' means
        found: dict[str, MemberPrediction] = {
            name: layer.predict(features) for name, layer in self.posteriors.items()
        }
        for name, noise in self.noises.items():
            ratio = noise.anchored(features, inputs["numbers"])
            # only numbers have a noise of their own
            found[name] = noise.applied(cast("Predictive", found[name]), ratio)
        return found

    @property
    def noise(self) -> dict[str, float | None]:
        """See `MemberPosterior`."""
        return {
            name: LAYERS[head.kind].noise(self.posteriors[name])
            for name, head in self.heads.items()
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
        before, found = self.noise, dict[str, LastLayer | Softmax | CountLayer]()
        for target in prepared.targets:
            name, kind = target.name, LAYERS[target.head.kind]
            scatter = noise.get(name, before[name])
            if name in self.noises:
                ratio = self.noises[name].anchored(features, prepared.inputs["numbers"][rows])
                weight = target.weight.clone()
                weight[rows] /= ratio[:, 0]
                target = replace(target, weight=weight)
            found[name] = kind.updated(self.posteriors[name], features, target, rows, keep, scatter)
        return LastLayers(prepared.schema.heads, found, self.noises)

    def files(self) -> PosteriorFiles:
        """One file a target, and one more where the noise of its rows differs."""
        layers = enumerate(self.posteriors.values())
        own = {str(place): layer.state() for place, layer in layers}
        return PosteriorFiles({**own, **pack_noises(self.posteriors, self.noises)})


def _read(schema: Schema, network: TableNet, files: PosteriorFiles) -> LastLayers:
    del network  # its features are computed when something is predicted
    heads = schema.heads
    posteriors = {
        name: LAYERS[head.kind].read(files.tensors[str(place)])
        for place, (name, head) in enumerate(heads.items())
    }
    return LastLayers(heads, posteriors, unpack_noises(heads, files.tensors))


def _fit(networks: Sequence[TableNet], prepared: Prepared) -> list[LastLayers]:
    """One posterior a target and member, from every row of `rows.train`."""
    rows = torch.from_numpy(prepared.rows.train)
    inputs = {name: value[rows] for name, value in prepared.inputs.items()}
    features = compute_features_each(networks, inputs)
    found = {
        target.name: LAYERS[target.head.kind].fit(TargetRows.of(target, prepared), features)
        for target in prepared.targets
    }
    return [
        LastLayers(
            prepared.schema.heads,
            {name: layers[place][0] for name, layers in found.items()},
            {
                name: noise
                for name, layers in found.items()
                if (noise := layers[place][1]) is not None
            },
        )
        for place in range(len(networks))
    ]


LAST_LAYER = UncertaintyKind(_fit, _read, updates=frozenset(("heads", "network")))
"""See `LastLayers`."""
