"""No Gaussian at all: each member is sure, and what they disagree about is not known.

Source: Lakshminarayanan, Pritzel, Blundell, "Simple and Scalable Predictive Uncertainty Estimation
using Deep Ensembles" (arXiv 1612.01474), section 2.4. The noise of a number is found on the rows
that the members left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.nn import TableNet
from counterpoint.table.columns import Schema
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.model._network import (
    apply_heads,
    compute_features,
    compute_outputs,
)
from counterpoint.table.targets._head import Head, MemberPrediction
from counterpoint.table.uncertainty._member_posterior import PosteriorFiles, UncertaintyKind
from counterpoint.table.uncertainty._row_noise import (
    RowNoise,
    learn_row_noise,
    of_rows,
    pack_noises,
    unpack_noises,
)
from counterpoint.table.uncertainty._rows import LeftOut, TargetRows, residual_noise


@dataclass(frozen=True)
class PointPredictions:
    """A member's own outputs, without a doubt.

    Attributes:
        heads: of each target.
        noise: target -> its noise variance, standardised; None where its head has none.
        noises: target -> how the noise of its rows differs, where it does.
    """

    heads: Mapping[str, Head]
    noise: Mapping[str, float | None]
    noises: Mapping[str, RowNoise] = field(default_factory=dict[str, RowNoise])

    def predict(
        self, network: TableNet, inputs: Mapping[str, Tensor]
    ) -> dict[str, MemberPrediction]:
        """See `MemberPosterior`; knowledge is zero."""
        return self.of_features(network, compute_features(network, inputs), inputs)

    @torch.no_grad()
    def of_features(
        self, network: TableNet, features: Tensor, inputs: Mapping[str, Tensor]
    ) -> dict[str, MemberPrediction]:
        """See `FeaturePosterior`."""
        outputs = apply_heads(network, features)
        found = {
            name: head.sure(outputs[name].double(), self.noise[name])
            for name, head in self.heads.items()
        }
        return of_rows(found, self.noises, inputs["numbers"])

    def settle(self, network: TableNet) -> None:
        """See `MemberPosterior`: the heads are what was trained."""

    def updated(
        self,
        network: TableNet,
        prepared: Prepared,
        rows: Tensor,
        *,
        keep: float,
        noise: Mapping[str, float],
    ) -> "PointPredictions":
        """See `MemberPosterior`: the noise alone."""
        del network, rows, keep
        later = {name: noise.get(name, old) for name, old in self.noise.items()}
        return PointPredictions(prepared.schema.heads, later, self.noises)

    def files(self) -> PosteriorFiles:
        """The noise of heads that have it, in the order of the schema."""
        values = [noise for noise in self.noise.values() if noise is not None]
        pooled = {"noise": {"noise": torch.tensor(values, dtype=torch.float64)}}
        return PosteriorFiles({**pooled, **pack_noises(self.heads, self.noises)})


def _read(schema: Schema, network: TableNet, files: PosteriorFiles) -> PointPredictions:
    del network  # it is asked when something is predicted
    heads = schema.heads
    noises = unpack_noises(heads, files.tensors)
    if len(files.tensors) != 1 + len(noises) or "noise" not in files.tensors:
        raise InputError("posterior: its parts do not fit together: not those of an ensemble")
    values = iter(files.tensors["noise"]["noise"].tolist())
    noise = {name: next(values) if head.noisy else None for name, head in heads.items()}
    return PointPredictions(heads, noise, noises)


def _fit(networks: Sequence[TableNet], prepared: Prepared) -> list[PointPredictions]:
    rows = torch.from_numpy(prepared.rows.train)
    inputs = {name: value[rows] for name, value in prepared.inputs.items()}
    outputs = [compute_outputs(network, inputs) for network in networks]
    noise: dict[str, float | None] = {}
    noises: dict[str, RowNoise] = {}
    for target in prepared.targets:
        noise[target.name] = None
        if not target.head.noisy:
            continue
        means = {place: output[target.name].double() for place, output in enumerate(outputs)}
        known = TargetRows.of(target, prepared)
        noise[target.name] = residual_noise(known, means)
        sure = {place: torch.zeros(int(out.sum()), 1) for place, (_, out) in known.parts.items()}
        learnt = learn_row_noise(LeftOut.of(known, means, sure))
        if learnt is not None:
            noise[target.name], noises[target.name] = learnt
    return [PointPredictions(prepared.schema.heads, noise, noises) for _ in networks]


ENSEMBLE = UncertaintyKind(_fit, _read, updates=frozenset(("network",)))
"""See `PointPredictions`."""
