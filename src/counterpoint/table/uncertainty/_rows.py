"""A target over the rows to learn from, and the noise that the rows left out reveal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from counterpoint.posterior import Predictive, held_out_noise
from counterpoint.seeding import generator
from counterpoint.table.fit._prepare import Prepared, Target

# what few members disagree about is itself uncertain, and must never eat up the noise
_LEAST = 0.1


@dataclass(frozen=True)
class TargetRows:
    """A target over `rows.train`, and which of these rows each member left out.

    Attributes:
        target: which.
        values: (N, 1) standardised, or (N,) places of classes.
        weight: (N,); 0 where a row has no value.
        used: (N,), whether the weight is positive.
        numbers: the inputs that are numbers, encoded, (N, numbers).
        held: for each member (N,), the rows it left out.
    """

    target: Target
    values: Tensor
    weight: Tensor
    used: Tensor
    numbers: Tensor
    held: list[Tensor]

    @classmethod
    def of(cls, target: Target, prepared: Prepared) -> "TargetRows":
        """The rows of one target."""
        rows = torch.from_numpy(prepared.rows.train)
        weight = target.weight[rows]
        held = [torch.isin(rows, torch.from_numpy(part)) for part in prepared.rows.held]
        numbers = prepared.inputs["numbers"][rows]
        return cls(target, target.values[rows], weight, weight > 0, numbers, held)

    @property
    def parts(self) -> dict[int, tuple[Tensor, Tensor]]:
        """Of each member that has both: the rows it was fitted to, and those it left out."""
        found = {place: (self.used & ~out, self.used & out) for place, out in enumerate(self.held)}
        return {place: pair for place, pair in found.items() if pair[0].any() and pair[1].any()}


@dataclass(frozen=True)
class LeftOut:
    """What members made of a number in rows that they left out, all (N,) but the numbers.

    Attributes:
        residual: standardised.
        known: variance of the prediction that is no noise: the member's own doubt.
        between: variance of the members' means; those of members that had learnt the row among
            them, so that it is large where the residual is.
        mean: predicted.
        numbers: encoded, (N, numbers).
        weight: of each row.
        row: its place; a row that several members left out comes as often.
    """

    residual: Tensor
    known: Tensor
    between: Tensor
    mean: Tensor
    numbers: Tensor
    weight: Tensor
    row: Tensor

    @classmethod
    def of(
        cls, rows: TargetRows, means: Mapping[int, Tensor], knowledge: Mapping[int, Tensor]
    ) -> "LeftOut | None":
        """All rows that were left out; None where none of them has a value.

        Args:
            rows: of the target.
            means: of each member in `rows.parts`, what it expects of every row, (N, 1).
            knowledge: likewise, the variance of that in the rows it left out, (held, 1).
        """
        parts = rows.parts
        if not parts:
            return None
        every = torch.stack([means[place][:, 0] for place in parts]).double()
        # of the mixture of these very members, which predicts; not of members that might have been
        between = every.var(0, unbiased=False)
        held = [(every[place], out) for place, (_, out) in enumerate(parts.values())]
        values = rows.values[:, 0].double()
        return cls(
            torch.cat([(values - mean)[out] for mean, out in held]),
            torch.cat([knowledge[place][:, 0].double() for place in parts]),
            torch.cat([between[out] for _, out in held]),
            torch.cat([mean[out] for mean, out in held]),
            torch.cat([rows.numbers[out] for _, out in held]).double(),
            torch.cat([rows.weight[out] for _, out in held]),
            torch.cat([torch.nonzero(out)[:, 0] for _, out in held]),
        )

    def some(self, most: int) -> "LeftOut":
        """At most so many of the rows, drawn without preference."""
        if len(self.row) <= most:
            return self
        # by no seed of the fit: the same rows whatever the networks
        drawn = torch.randperm(len(self.row), generator=generator(0, 11))[:most]
        return LeftOut(*(getattr(self, part.name)[drawn] for part in fields(self)))


def pooled_noise(
    rows: TargetRows, means: Mapping[int, Tensor], knowledge: Mapping[int, Tensor]
) -> float | None:
    """The noise variance of a number, pooled over the members.

    A member's residuals hold what the members disagree about, and the mixture adds the
    disagreement as knowledge; so its mean is taken off, lest it count twice.

    Args:
        rows: of the target.
        means: see `LeftOut.of`.
        knowledge: see `LeftOut.of`.

    Returns:
        None where no held-out row has a value.
    """
    found = LeftOut.of(rows, means, knowledge)
    return None if found is None else noise_of(found)


def noise_of(rows: LeftOut) -> float:
    """The noise variance that left-out rows reveal, what members disagree about taken off."""
    return without_disagreement(held_out_noise(rows.residual, rows.known, rows.weight), rows)


def without_disagreement(noise: float, rows: LeftOut) -> float:
    """A noise variance less what the members disagree about on average; a tenth stays."""
    disagreement = float(rows.weight @ rows.between / rows.weight.sum())
    return max(noise - disagreement, _LEAST * noise)


def fresh_noise(
    values: Tensor, parts: Sequence[Predictive], weight: Tensor, before: float
) -> float:
    """The pooled noise that new rows reveal, each predicted by members that had not learnt it.

    As in `pooled_noise`, what the members disagree about is taken off. Rows count in units of what
    their noise was expected to be.

    Args:
        values: (N, 1), standardised.
        parts: of each member, what it expected.
        weight: of each row, not all zero.
        before: the pooled noise by which the members predicted.
    """
    every = torch.cat([part.mean for part in parts], 1).T
    between = every.var(0, unbiased=False)
    ratio = torch.cat([part.noise for part in parts], 1).T / before
    # a row that scatters more says no more of the pooled noise than another
    residual = (values[:, 0] - every) / ratio.sqrt()
    unsure = torch.cat([part.knowledge for part in parts], 1).T / ratio
    noise = held_out_noise(residual.flatten(), unsure.flatten(), weight.repeat(len(every)))
    return max(noise - float(weight @ (between / ratio).mean(0) / weight.sum()), _LEAST * noise)


def residual_noise(rows: TargetRows, means: Mapping[int, Tensor]) -> float:
    """`pooled_noise` of members that are sure; by all rows where no held-out row has a value.

    Args:
        rows: of the target.
        means: of every member, what it expects of every row, (N, 1), standardised.
    """
    sure = {place: torch.zeros(int(out.sum()), 1) for place, (_, out) in rows.parts.items()}
    found = pooled_noise(rows, means, sure)
    if found is not None:
        return found
    square = (rows.values - torch.stack(list(means.values())).mean(0))[:, 0].square()
    # a target that is met exactly must have a density still
    return max(float(rows.weight @ square / rows.weight.sum()), 1e-12)
