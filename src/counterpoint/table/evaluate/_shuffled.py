"""Predictions of rows of which one column stands in another order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from counterpoint.nn import TableNet
from counterpoint.table.model._model import TableModel
from counterpoint.table.targets._head import MemberPrediction
from counterpoint.table.targets._prediction import Prediction
from counterpoint.table.uncertainty import FeaturePosterior

Slots: TypeAlias = Mapping[str, Sequence[int]]
"""A column's places in the network's tensors, ``categories`` and ``numbers``."""

Shuffler: TypeAlias = Callable[[Slots, Tensor], dict[str, Prediction]]
"""From a column and R orders of the N rows, (R, N), to predictions of R N rows, order by order."""


def is_incremental(model: TableModel) -> bool:
    """Whether a column in another order costs no more than one column of the first layer."""
    return all(isinstance(member.posterior, FeaturePosterior) for member in model.members)


def shuffler(model: TableModel, inputs: Mapping[str, Tensor]) -> Shuffler:
    """Predictions of rows of which one column stands in another order; all others stay.

    The first layer is a sum over columns, so that one column's part is taken out and put back in
    the other order: a table of C columns costs C small parts and not C whole layers. Of a posterior
    that needs the inputs themselves, every prediction is whole.

    Args:
        model: the fitted model.
        inputs: of the rows, encoded.
    """
    if not is_incremental(model):
        return lambda slots, orders: model.mixture(_moved(inputs, slots, orders))
    members = [_Entered.of(member.network, inputs) for member in model.members]

    def predictions(slots: Slots, orders: Tensor) -> dict[str, Prediction]:
        # the noise of a row may depend on its numbers, too, and on no category
        numbers = {part: places for part, places in slots.items() if part == "numbers"}
        moved = _moved(inputs, numbers, orders)
        found = list[dict[str, MemberPrediction]]()
        for member, own in zip(model.members, members, strict=True):
            if isinstance(member.posterior, FeaturePosterior):
                features = own.features(inputs, slots, orders)
                found.append(member.posterior.of_features(member.network, features, moved))
        return model.mixed(found)

    return predictions


@dataclass(frozen=True)
class _Entered:
    """A member's first layer on the rows.

    Attributes:
        network: the member.
        entered: what its first layer put out, (N, width).
    """

    network: TableNet
    entered: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, network: TableNet, inputs: Mapping[str, Tensor]) -> "_Entered":
        network.eval()
        return cls(network, network.enter(inputs["categories"], inputs["numbers"]))

    @torch.no_grad()
    def features(self, inputs: Mapping[str, Tensor], slots: Slots, orders: Tensor) -> Tensor:
        """The features with a column in other orders, (R N, width)."""
        entered = self.entered.expand(len(orders), -1, -1)
        if slots:
            codes, numbers = slots.get("categories", ()), slots.get("numbers", ())
            arguments = (inputs["categories"], inputs["numbers"], codes, numbers)
            part = self.network.entered_by(*arguments)
            entered = (self.entered - part) + part[orders]
        return self.network.leave(entered.flatten(0, 1))


def _moved(inputs: Mapping[str, Tensor], slots: Slots, orders: Tensor) -> dict[str, Tensor]:
    changed = dict[str, Tensor]()
    for part, value in inputs.items():
        repeated = value.repeat(len(orders), 1)
        if part in slots:
            places = torch.as_tensor(slots[part])
            repeated[:, places] = value[orders.flatten()[:, None], places]
        changed[part] = repeated
    return changed
