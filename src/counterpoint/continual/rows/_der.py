"""Dark experience replay: old rows, and what the model said of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterpoint.continual.rows._rehearsal import RehearsalMemory, Replayed
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Heads
from counterpoint.parameters import device_of


@dataclass(frozen=True, eq=False, kw_only=True)
class DER(RehearsalMemory):
    r"""Dark experience replay ++ (Buzzega et al. 2020, equation 6).

    .. math:: \alpha \, \operatorname{mean} (f(x) - z)^2 + \beta \operatorname{mean} -\log p(y \mid
        x)

    over rows drawn from the store, with :math:`z` the outputs stored with them: here those at the
    end of their task (the paper stores them along the way), a row drawn once for both terms. These
    are the paper's units, a mean over rows beside the mean over the current task's; ``rows`` does
    not enter. Outputs that came later are free.

    Attributes:
        alpha: weight of the outputs; 0 leaves plain replay.
        beta: weight of the labels; 0 is the plain DER.

    Raises:
        InputError: a weight below zero, or both zero.
    """

    alpha: float = 0.5
    beta: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (min(self.alpha, self.beta) >= 0 and 0 < self.alpha + self.beta < float("inf")):
            raise InputError(
                "alpha, beta: must be at least 0 and not both 0, found"
                f" {self.alpha} and {self.beta}"
            )

    def _noted(self, model: nn.Module, heads: Heads, batch: Batch) -> dict[str, Tensor]:
        return noted_outputs(model, heads, batch)

    def _against(
        self, outputs: Mapping[str, Tensor], drawn: Replayed, moved: Batch, rows: float
    ) -> Tensor:
        del rows
        # over rows and outputs together, as the mean squared error of the paper's code
        apart = torch.cat([part.flatten() for part in differences(outputs, drawn)])
        found = self.alpha * apart.square().mean()
        return found + self.beta * self._nll(outputs, drawn, moved) if self.beta else found


def noted_outputs(model: nn.Module, heads: Heads, batch: Batch) -> dict[str, Tensor]:
    """The outputs of a batch, as columns to store."""
    # consolidation runs where the model is, whatever device the rows are on
    device = device_of(model)
    outputs = heads.outputs(batch.to(device).call(model))
    return {f"output/{name}": value for name, value in outputs.items()}


def differences(outputs: Mapping[str, Tensor], drawn: Replayed) -> list[Tensor]:
    """Outputs now minus outputs stored, of each head; zero where none was stored."""
    found = list[Tensor]()
    for name, output in outputs.items():
        stored = drawn.columns[f"output/{name}"].to(output)
        now = output if output.shape == stored.shape else output[:, : stored.shape[1]]
        # not a number marks outputs that the head did not have yet
        found.append(torch.where(stored.isnan(), torch.zeros_like(now), now - stored))
    return found
