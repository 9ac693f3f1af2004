"""What every kind of uncertainty has to answer, and where it is kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from counterpoint.nn import TableNet
from counterpoint.table.columns import Schema
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.targets._head import MemberPrediction


@dataclass(frozen=True)
class PosteriorFiles:
    """What is stored of a posterior.

    Attributes:
        tensors: the end of a file's name -> named tensors.
        document: a JSON value, or None for none.
    """

    tensors: Mapping[str, Mapping[str, Tensor]]
    document: Any = None


@runtime_checkable
class MemberPosterior(Protocol):
    """What is known of one member's weights."""

    def predict(
        self, network: TableNet, inputs: Mapping[str, Tensor]
    ) -> dict[str, MemberPrediction]:
        """The distribution of each target in each row.

        Args:
            network: the member.
            inputs: ``categories`` and ``numbers``, encoded, as the network takes them.
        """
        ...

    @property
    def noise(self) -> Mapping[str, float | None]:
        """Target -> its noise variance, standardised; None where its head has none."""
        ...

    def settle(self, network: TableNet) -> None:
        """Put what is believed of the heads, on average, into the network's own.

        Args:
            network: the member.
        """
        ...

    def updated(
        self,
        network: TableNet,
        prepared: Prepared,
        rows: Tensor,
        *,
        keep: float,
        noise: Mapping[str, float],
    ) -> "MemberPosterior":
        """What is believed after more rows.

        Args:
            network: the member as it is now; it may have grown.
            prepared: the table of the rows.
            rows: places in it.
            keep: share of what earlier rows say that stays.
            noise: target -> noise variance from now on; where there is none it stays.
        """
        ...

    def files(self) -> PosteriorFiles:
        """What `UncertaintyKind.read` needs."""
        ...


@runtime_checkable
class FeaturePosterior(MemberPosterior, Protocol):
    """A posterior whose predictions follow from the trunk's features."""

    def of_features(
        self, network: TableNet, features: Tensor, inputs: Mapping[str, Tensor]
    ) -> dict[str, MemberPrediction]:
        """`predict`, where the features are known already.

        Args:
            network: the member.
            features: of its trunk, (N, F).
            inputs: those that they are of.
        """
        ...


@dataclass(frozen=True)
class UncertaintyKind:
    """How a kind of uncertainty is made.

    Attributes:
        fit: from all members' networks and the table to a posterior each.
        read: from the columns, a network and what was stored to its posterior; raises `InputError`,
            `LookupError` or `ValueError` where they do not fit together.
        updates: what an update may train: "heads" (the trunk stays), "network".
    """

    fit: Callable[[Sequence[TableNet], Prepared], Sequence[MemberPosterior]] = field(repr=False)
    read: Callable[[Schema, TableNet, PosteriorFiles], MemberPosterior] = field(repr=False)
    updates: frozenset[str] = frozenset()
