"""The straight line between two models, and what is lost on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from counterpoint.data import DataLike, Unpack, one_pass
from counterpoint.errors import InputError, nearest
from counterpoint.goals import Likelihood
from counterpoint.merge._merge import merge
from counterpoint.merge._refit import refit
from counterpoint.merge.alignment import align
from counterpoint.parameters import device_of, evaluating
from counterpoint.report.figures import Axis, Figure, Line

ModelScore: TypeAlias = Callable[[nn.Module], Mapping[str, float]]
"""A model's measures by name, such as ``{"loss": 0.3, "accuracy": 0.9}``."""


@dataclass(frozen=True)
class MergePath:
    """Measures along the line between two models.

    Attributes:
        lambdas: shares of the second model, from 0 to 1.
        naive: measure -> its values.
        aligned: the same with the second model's units in the first's order, where that was asked.
    """

    lambdas: tuple[float, ...]
    naive: dict[str, tuple[float, ...]]
    aligned: dict[str, tuple[float, ...]] | None = None

    def barrier(self, measure: str = "loss", *, aligned: bool = False) -> float:
        r"""How far a loss rises above the chord between the ends, at most.

        :math:`\max_\lambda L(\lambda) - ((1 - \lambda) L(0) + \lambda L(1))`, Frankle et al. 2020,
        "Linear mode connectivity and the lottery ticket hypothesis", section 2.

        Raises:
            InputError: there is no such measure, or nothing was aligned.
        """
        values = self._values(measure, aligned)
        chords = ((1 - t) * values[0] + t * values[-1] for t in self.lambdas)
        return max(value - chord for value, chord in zip(values, chords, strict=True))

    def figure(self, measure: str = "loss") -> Figure:
        """The line of a measure, naive and aligned."""
        lines = [Line(self.lambdas, self._values(measure, False), label="naive", tone="two")]
        if self.aligned is not None:
            lines.append(Line(self.lambdas, self._values(measure, True), label="aligned"))
        return Figure(
            f"{measure} between two models", lines, Axis("share of the second model"), Axis(measure)
        )

    def _values(self, measure: str, aligned: bool) -> tuple[float, ...]:
        if aligned and self.aligned is None:
            raise InputError("path: nothing was aligned; give inputs to align on")
        found = (self.aligned if aligned else self.naive) or {}
        if measure not in found:
            raise InputError(f"path: no measure {measure!r}{nearest(measure, found)}")
        return found[measure]


def path(
    models: Sequence[nn.Module],
    score: ModelScore,
    *,
    inputs: DataLike | None = None,
    statistics: DataLike | None = None,
    count: int = 25,
) -> MergePath:
    """Score models on the line between two, as they are and with their units in one order.

    Args:
        models: two of one architecture.
        score: see `score_by`, or any function of a model.
        inputs: rows to align by; none: the naive line alone.
        statistics: rows on which every model on the line has its normalisation `refit`.
        count: models on the line, the ends included.

    Raises:
        InputError: there are not two models, or they differ.
    """
    if len(models) != 2 or count < 2:
        raise InputError(
            f"path: two models and two points are expected, found {len(models)} and {count}"
        )
    # in float64: 0, 1 and the middle are exact
    lambdas = tuple(torch.linspace(0, 1, count, dtype=torch.float64).tolist())
    naive = _along(models, lambdas, score, statistics)
    if inputs is None:
        return MergePath(lambdas, naive)
    matched = align(models, inputs).models
    return MergePath(lambdas, naive, _along(matched, lambdas, score, statistics))


def score_by(
    likelihood: Likelihood, data: DataLike, *, size: int = 4096, unpack: Unpack | None = None
) -> ModelScore:
    """A function that gives a model's mean loss on rows, and for classes its accuracy.

    Args:
        likelihood: whose negative logarithm is the loss, and whose mode is the answer.
        data: rows with targets.
        size: rows at a time.
        unpack: reads a batch.

    >>> from counterpoint.goals import Normal
    >>> score = score_by(Normal(), (torch.zeros(2, 1), torch.zeros(2, 1)))
    >>> round(score(nn.Linear(1, 1, bias=False))["loss"], 4)  # log(2 pi) / 2
    0.9189
    """

    def score(model: nn.Module) -> dict[str, float]:
        losses, right, rows = 0.0, 0.0, 0
        with evaluating(model), torch.no_grad():
            for batch in one_pass(data, unpack, size):
                batch = batch.to(device_of(model))
                output, target = batch.call(model), batch.target
                if not isinstance(target, torch.Tensor):
                    raise InputError("score: rows must have one target")
                losses += float(likelihood.nll_each(output, target).double().sum())
                rows += batch.rows
                if likelihood.classes:
                    mode = likelihood.distribution(output).mode
                    right += float((mode == target).double().mean()) * batch.rows
        found = {"loss": losses / rows}
        return {**found, "accuracy": right / rows} if likelihood.classes else found

    return score


def _along(
    models: Sequence[nn.Module],
    lambdas: Sequence[float],
    score: ModelScore,
    statistics: DataLike | None,
) -> dict[str, tuple[float, ...]]:
    found = list[Mapping[str, float]]()
    for share in lambdas:
        between = merge(models, share, quiet=statistics is not None)
        found.append(score(between if statistics is None else refit(between, statistics)))
    return {name: tuple(float(each[name]) for each in found) for name in found[0]}
