"""New rows predicted by models that had not learnt them: for the noise, and for what was learnt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.nn import TableNet
from counterpoint.table.columns import Schema
from counterpoint.table.targets._head import MemberPrediction
from counterpoint.table.targets._prediction import Prediction
from counterpoint.table.update._updater import Updater


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
        heads = {target.name: target.head for target in updater.prepared.targets}
        parts = [
            {name: head.joined([turn[name] for turn in turns]) for name, head in heads.items()}
            for turns in zip(*found, strict=True)
        ]
        return cls(torch.cat(list(folds)), parts, networks)

    def predictions(self, schema: Schema, factors: Mapping[str, float]) -> dict[str, Prediction]:
        """The members' mixture, target by target.

        Args:
            schema: the columns.
            factors: target -> by how much its noise variance has been found to differ since.
        """
        if not self.parts:
            return {}
        return {
            name: head.combine(
                [
                    head.renoised(part[name], part[name].noise * factors.get(name, 1.0))
                    for part in self.parts
                ]
            )
            for name, head in schema.heads.items()
        }
