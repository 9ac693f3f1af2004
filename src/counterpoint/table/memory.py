"""What all rows so far say of one network's weights: the Gaussian under which a trunk may move on.

It is online elastic weight consolidation (`counterpoint.continual.OnlineEWC`) with its centre at
the newest weights, over all targets together; a table's rows of one month may well have one class
only, which a task may not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.curvature import fisher
from counterpoint.errors import InputError
from counterpoint.gaussian import Diagonal, Gaussian
from counterpoint.nn import TableNet
from counterpoint.table.masked import Masked, batches, likelihoods
from counterpoint.table.prepare import Prepared

__all__ = ["Remembered"]


@dataclass(frozen=True)
class Remembered:
    r"""``N(w, P^{-1})`` over a network's weights, ``P`` the Fisher information of rows so far.

    Every batch of rows makes it ``P <- keep P + F`` around the weights that were found with them
    (Schwarz et al. 2018, equations 8 and 9), ``F`` a SUM over the rows in the unit of their
    weights: divided by the rows to come, `energy` is in nats a row.

    Attributes:
        gaussian: diagonal; its counts are the rows.
    """

    gaussian: Gaussian

    @classmethod
    def of(
        cls,
        network: TableNet,
        prepared: Prepared,
        rows: Tensor,
        noise: Mapping[str, float | None],
        *,
        before: "Remembered | None" = None,
        keep: float = 1.0,
    ) -> "Remembered":
        """What rows say, and what was known before.

        Args:
            network: as trained on the rows; its heads the means of what is believed of them.
            prepared: the table.
            rows: places in it.
            noise: target -> noise variance of a number, standardised; None of a category.
            before: of the earlier rows; its weights may have grown since, what is new being free.
            keep: share of what was known before that stays.
        """
        network.eval()
        model = Masked(network)
        found = fisher(model, likelihoods(noise), batches(prepared, rows)).diagonal()
        weights = dict(model.named_parameters())
        counted = sum(float(target.weight[rows].sum()) for target in prepared.targets)
        counts = counted / len(prepared.targets)
        if before is not None:
            counts += keep * before.gaussian.counts
            for name, value in before.gaussian.precision.diagonal().items():
                found[name][tuple(map(slice, value.shape))] += keep * value
        mean = {name: weights[name].detach().clone() for name in found}
        return cls(Gaussian(mean, Diagonal(found), counts))

    def energy(self, network: TableNet) -> Float[Tensor, ""]:
        """``1/2 (w - mu)' P (w - mu)`` in nats, with a graph; weights that are new cost nothing."""
        weights = dict(Masked(network).named_parameters())
        mean = self.gaussian.mean
        corner = {n: weights[n][tuple(map(slice, value.shape))] for n, value in mean.items()}
        return self.gaussian.energy(corner)

    def tensors(self) -> dict[str, Tensor]:
        """All but the names of the weights' places, which are the network's."""
        precision = self.gaussian.precision.diagonal()
        counts = torch.tensor(self.gaussian.counts, dtype=torch.float64)
        return {
            "counts": counts,
            **{f"mean/{name}": value for name, value in self.gaussian.mean.items()},
            **{f"precision/{name}": value for name, value in precision.items()},
        }

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor], network: TableNet) -> "Remembered":
        """What `tensors` gave.

        Raises:
            InputError: it is not that of the network.
        """
        weights = {name: value.shape for name, value in Masked(network).named_parameters()}
        mean, precision = (_under(f"{part}/", tensors) for part in ("mean", "precision"))
        for part in (mean, precision):
            if {name: value.shape for name, value in part.items()} != weights:
                raise InputError("memory: its parts do not fit together: not of this network")
            if not all(bool(torch.isfinite(value).all()) for value in part.values()):
                raise InputError("memory: its values must be finite")
        if min(float(value.min()) for value in precision.values()) < 0:
            raise InputError("memory: precisions must not be negative")
        return cls(Gaussian(mean, Diagonal(precision), float(tensors["counts"])))


def _under(lead: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(lead): value for n, value in tensors.items() if n.startswith(lead)}
