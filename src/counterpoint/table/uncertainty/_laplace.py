"""A Gaussian over all weights of each member: Laplace's approximation around where it ended.

The curvature is that of all rows to learn from and all targets together, in Kronecker factors for
linear layers and diagonal for embeddings; the prior's precision, one for all weights, has the
greatest evidence. Predictions linearise the network (`counterpoint.posterior.laplace`).

Factors are a coarse picture of the curvature of many weights by few rows, so the posterior is
tempered: its covariance is multiplied by the largest of a few powers of four that the rows left
out by the members do not speak against. The noise of a number is the one under which these rows
are likeliest then.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor

from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.nn import TableNet
from counterpoint.posterior import (
    Laplace,
    laplace,
    laplace_from,
)
from counterpoint.table.columns import Schema
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.model._network import compute_outputs
from counterpoint.table.model._observed import ObservedTargets, batches, likelihoods
from counterpoint.table.targets._head import Head, MemberPrediction
from counterpoint.table.uncertainty._member_posterior import PosteriorFiles, UncertaintyKind
from counterpoint.table.uncertainty._row_noise import (
    RowNoise,
    learn_row_noise,
    of_rows,
    pack_noises,
    unpack_noises,
)
from counterpoint.table.uncertainty._rows import LeftOut, TargetRows, pooled_noise, residual_noise

_TEMPERATURES = (1.0, 0.25, 0.0625, 0.015625, 0.00390625)
_DOUBT = 2.0
"""By how many nats held-out rows must speak for a colder posterior."""

_ROWS = 1024
_NUMBERS = 2**22
"""Most entries of the outputs' covariances at a time."""


@dataclass(frozen=True)
class AllWeights:
    """Laplace's approximation of one member.

    Attributes:
        posterior: over the weights; its heads are the places of the targets.
        heads: of each target.
        noise: target -> its noise variance, standardised; None where its head has none.
        noises: target -> how the noise of its rows differs, where it does.
    """

    posterior: Laplace
    heads: Mapping[str, Head]
    noise: Mapping[str, float | None]
    noises: Mapping[str, RowNoise] = field(default_factory=dict[str, RowNoise])

    def predict(
        self, network: TableNet, inputs: Mapping[str, Tensor]
    ) -> dict[str, MemberPrediction]:
        """See `MemberPosterior`; the network is the one that the posterior was made of."""
        rows = len(inputs["numbers"])
        outputs = self.posterior.linearised.plan.outputs
        # a row has a covariance of all outputs: with many of them fewer rows fit
        step = max(1, min(_ROWS, _NUMBERS // outputs**2))
        network.eval()
        parts = [
            self._part({name: value[low : low + step] for name, value in inputs.items()})
            for low in range(0, rows, step)
        ]
        found = {
            name: head.renoised(head.joined([part[name] for part in parts]), self.noise[name])
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
    ) -> "AllWeights":
        """Not known: see `UncertaintyKind.updates`.

        Raises:
            InputError: always.
        """
        del network, prepared, rows, keep, noise
        raise InputError("a posterior over all weights cannot be updated; fit again with all rows")

    def files(self) -> PosteriorFiles:
        """The posterior but for its mean, which is the network itself, and the noise."""
        # a tensor has no word for none; on reading, the head says that it has no noise
        noise = [1.0 if value is None else value for value in self.noise.values()]
        tensors = {
            "weights": self.posterior.tensors(),
            "noise": {"noise": torch.tensor(noise, dtype=torch.float64)},
        }
        tensors |= pack_noises(self.heads, self.noises)
        return PosteriorFiles(tensors, self.posterior.spec())

    def _part(self, inputs: Mapping[str, Tensor]) -> dict[str, MemberPrediction]:
        known = inputs["numbers"].new_ones(len(inputs["numbers"]), len(self.noise))
        batch = Batch.of(inputs["categories"], inputs["numbers"], known)
        found = self.posterior.predict(batch)
        every = found.values() if isinstance(found, dict) else [found]
        # the heads of the network are heads of a table, none of which has counts to predict
        return dict(zip(self.heads, cast("Iterable[MemberPrediction]", every), strict=True))


def _read(schema: Schema, network: TableNet, files: PosteriorFiles) -> AllWeights:
    heads = schema.heads
    noises = unpack_noises(heads, files.tensors)
    if len(files.tensors) != 2 + len(noises) or not {"weights", "noise"} <= set(files.tensors):
        raise InputError("posterior: its parts do not fit together: not those of laplace")
    values = files.tensors["noise"]["noise"].tolist()
    pairs = zip(heads.items(), values, strict=True)
    noise = {name: value if head.noisy else None for (name, head), value in pairs}
    # any rows do: what is read from them are shapes
    rows = torch.zeros(2, len(schema.edges))
    codes = torch.zeros(2, len(schema.cardinalities), dtype=torch.int64)
    batch = Batch.of(codes, rows, torch.ones(2, len(noise)))
    model = ObservedTargets(network.eval())
    found = laplace_from(
        files.document, files.tensors["weights"], model, likelihoods(heads, noise), batch
    )
    return AllWeights(found, heads, noise, noises)


def _fit(networks: Sequence[TableNet], prepared: Prepared) -> list[AllWeights]:
    table = _Table.of(networks, prepared)
    places = range(len(networks))
    sure = [
        residual_noise(rows, table.means(rows)) if rows.target.head.noisy else None
        for rows in table.rows
    ]
    inside = [table.fit(place, table.kept(place), sure) for place in places]
    temperature, noise = table.temper(inside, sure)
    names = [rows.target.name for rows in table.rows]
    pooled = dict(zip(names, noise, strict=True))
    learnt = table.row_noises([member.tempered(temperature) for member in inside], pooled)
    if learnt and len(names) == 1:
        # where the noise is small rows say more of the weights, so that less is left unknown there
        table = table.weighed(learnt[names[0]][1])
        inside = [table.fit(place, table.kept(place), sure) for place in places]
        again = table.row_noises([member.tempered(temperature) for member in inside], pooled)
        learnt = again or learnt
    pooled |= {name: level for name, (level, _) in learnt.items()}
    noises = {name: shape for name, (_, shape) in learnt.items()}
    return [
        AllWeights(
            # chosen without the rows that were left out, then learnt from all
            table.fit(place, table.weight > 0, sure).tempered(temperature),
            prepared.schema.heads,
            pooled,
            noises,
        )
        for place in places
    ]


LAPLACE = UncertaintyKind(_fit, _read)
"""See `AllWeights`."""


@dataclass(frozen=True)
class _Table:
    """The rows to learn from, as the members see them.

    Attributes:
        networks: the members.
        prepared: the table.
        places: of the rows in it.
        inputs: of the rows.
        rows: one a target.
        weight: of each row, whichever targets it has.
        outputs: of each member.
        ratios: for each member how noisy a row is beside the usual one, (N,); empty: all alike.
    """

    networks: Sequence[TableNet]
    prepared: Prepared
    places: Tensor
    inputs: dict[str, Tensor]
    rows: list[TargetRows]
    weight: Tensor
    outputs: list[dict[str, Tensor]]
    ratios: Sequence[Tensor] = ()

    @classmethod
    def of(cls, networks: Sequence[TableNet], prepared: Prepared) -> "_Table":
        places = torch.from_numpy(prepared.rows.train)
        inputs = {name: value[places] for name, value in prepared.inputs.items()}
        rows = [TargetRows.of(target, prepared) for target in prepared.targets]
        weight = torch.stack([part.weight for part in rows]).max(0).values
        outputs = [compute_outputs(network, inputs) for network in networks]
        return cls(networks, prepared, places, inputs, rows, weight, outputs)

    def weighed(self, shape: RowNoise) -> "_Table":
        """The table of one target whose rows count by how little noise they have."""
        (rows,) = self.rows
        means = [mean[:, 0] for mean in self.means(rows).values()]
        return replace(self, ratios=[shape.ratio(mean, rows.numbers)[:, 0] for mean in means])

    def kept(self, place: int) -> Tensor:
        """The rows that a member was fitted to; all where it left out everything that counts."""
        inside = (self.weight > 0) & ~self.rows[0].held[place]
        return inside if inside.any() else self.weight > 0

    def means(self, rows: TargetRows) -> dict[int, Tensor]:
        """What each member expects of a number in every row."""
        return {at: found[rows.target.name].double() for at, found in enumerate(self.outputs)}

    def fit(self, place: int, chosen: Tensor, noise: Sequence[float | None]) -> Laplace:
        """The posterior of a member from some rows, its prior by the evidence."""
        names = [rows.target.name for rows in self.rows]
        return laplace(
            ObservedTargets(self.networks[place].eval()),
            likelihoods(self.prepared.schema.heads, dict(zip(names, noise, strict=True))),
            batches(self.prepared, self.places[chosen], self._shares(place, chosen)),
            prior=1.0,
        ).tuned(noise=False)

    def _shares(self, place: int, chosen: Tensor) -> Tensor | None:
        return 1 / self.ratios[place][chosen] if self.ratios else None

    def temper(
        self, members: Sequence[Laplace], sure: Sequence[float | None]
    ) -> tuple[float, list[float | None]]:
        """The temperature, and each target's noise.

        Args:
            members: posteriors from the rows that each was fitted to.
            sure: the noise of each target if nothing else were unknown.
        """
        best = -math.inf
        chosen = _TEMPERATURES[0], list(sure)
        for temperature in _TEMPERATURES:
            # the warmest first: a colder one has to earn its place
            cooled = [member.tempered(temperature) for member in members]
            likelihood, noise = self._judge(cooled, sure)
            if likelihood > best + _DOUBT:
                best, chosen = likelihood, (temperature, noise)
        return chosen

    def row_noises(
        self, members: Sequence[Laplace], noise: Mapping[str, float | None]
    ) -> dict[str, tuple[float, RowNoise]]:
        """Of each number whose rows differ: the pooled noise, and how they do."""
        posteriors = [AllWeights(member, self.prepared.schema.heads, noise) for member in members]
        learnt: dict[str, tuple[float, RowNoise]] = {}
        for rows in self.rows:
            if not rows.target.head.noisy:
                continue
            knowledge = {
                at: self._predict(posteriors[at], at, out)[rows.target.name].knowledge
                for at, (_, out) in rows.parts.items()
            }
            found = learn_row_noise(LeftOut.of(rows, self.means(rows), knowledge))
            if found is not None:
                learnt[rows.target.name] = found
        return learnt

    def _judge(
        self, members: Sequence[Laplace], sure: Sequence[float | None]
    ) -> tuple[float, list[float | None]]:
        """The log likelihood of held-out values in nats, at the noise that suits them best."""
        names = [rows.target.name for rows in self.rows]
        heads, noises = self.prepared.schema.heads, dict(zip(names, sure, strict=True))
        posteriors = [AllWeights(member, heads, noises) for member in members]
        total, noise = 0.0, list(sure)
        for target, rows in enumerate(self.rows):
            parts = rows.parts
            found = {at: self._predict(posteriors[at], at, out) for at, (_, out) in parts.items()}
            own = {at: part[rows.target.name] for at, part in found.items()}
            if rows.target.head.noisy:
                knowledge = {at: part.knowledge for at, part in own.items()}
                noise[target] = pooled_noise(rows, self.means(rows), knowledge) or sure[target]
            for at, (_, out) in parts.items():
                part = self._mixed(rows, own[at], out, noise[target])
                each = part.log_prob(rows.values[out])
                total += float(rows.weight[out] @ each.reshape(len(each)))
        return total, noise

    def _mixed(
        self, rows: TargetRows, part: MemberPrediction, out: Tensor, noise: float | None
    ) -> MemberPrediction:
        """A member's prediction with the noise, and what the members disagree about."""
        means = self.means(rows)
        between = torch.stack([means[at][out] for at in rows.parts]).var(0, correction=0)
        return rows.target.head.renoised(part, noise, between)

    def _predict(
        self, member: AllWeights, place: int, chosen: Tensor
    ) -> dict[str, MemberPrediction]:
        inputs = {name: value[chosen] for name, value in self.inputs.items()}
        return member.predict(self.networks[place], inputs)
