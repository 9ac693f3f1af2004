"""New rows predicted by models that had not learnt them: for the noise, and for what was learnt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.nn import TableNet
from counterpoint.posterior import CategoricalPredictive, Predictive
from counterpoint.table.columns import Schema
from counterpoint.table.model.predictions import Prediction, combine
from counterpoint.table.uncertainty import MemberPrediction
from counterpoint.table.update.updater import Updater

__all__ = ["CrossPrediction"]


@dataclass(frozen=True)
class CrossPrediction:
    """Rows left out in turn, and predicted.

    Attributes:
        rows: places of the rows, in the order of the predictions.
        parts: of each member, target -> its predictions; none where no row could be left out.
        networks: those of the last turn.
    """

    rows: Tensor
    parts: list[dict[str, MemberPrediction]]
    networks: list[TableNet]

    @classmethod
    def of(cls, updater: Updater, rows: Tensor, folds: Sequence[Tensor]) -> "CrossPrediction":
        """Leave out each fold.

        Args:
            updater: how rows are learnt.
            rows: places of all.
            folds: those to leave out in turn; none: nothing is predicted.
        """
        networks = list[TableNet]()
        found = list[list[dict[str, MemberPrediction]]]()
        for held in folds:
            inside = rows[~torch.isin(rows, held)]
            networks = updater.networks(inside, held)
            members = updater.members(networks, inside)
            inputs = {name: value[held] for name, value in updater.prepared.inputs.items()}
            found.append([member.predict(inputs) for member in members])
        if not found:
            return cls(rows, [], networks)
        return cls(
            torch.cat(list(folds)), [_joined(turns) for turns in zip(*found, strict=True)], networks
        )

    def predictions(self, schema: Schema, noise: Mapping[str, float]) -> dict[str, Prediction]:
        """The members' mixture, target by target.

        Args:
            schema: the columns.
            noise: target -> noise variance that was found since, standardised.
        """
        if not self.parts:
            return {}
        return {
            column.name: combine(
                column.head,
                [_with_noise(part[column.name], noise.get(column.name)) for part in self.parts],
            )
            for column in schema.targets
        }


def _with_noise(part: MemberPrediction, noise: float | None) -> MemberPrediction:
    if noise is None or not isinstance(part, Predictive):
        return part
    return Predictive(part.mean, torch.full_like(part.mean, noise), part.knowledge)


def _joined(turns: Sequence[dict[str, MemberPrediction]]) -> dict[str, MemberPrediction]:
    """One member's predictions of several folds, in their order."""
    return {name: _together([turn[name] for turn in turns]) for name in turns[0]}


def _together(parts: Sequence[MemberPrediction]) -> MemberPrediction:
    mean = torch.cat([part.mean for part in parts])
    knowledge = torch.cat([part.knowledge for part in parts])
    noise = [part.noise for part in parts if isinstance(part, Predictive)]
    if not noise:
        return CategoricalPredictive(mean, knowledge)
    return Predictive(mean, torch.cat(noise), knowledge)
