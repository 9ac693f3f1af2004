"""Functional regularisation: the outputs at a few rows hold still, as far as they were certain."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterpoint.continual.rows._der import differences, noted_outputs
from counterpoint.continual.rows._rehearsal import RehearsalMemory, Replayed
from counterpoint.data import Batch
from counterpoint.errors import one_of
from counterpoint.goals import Heads


@dataclass(frozen=True, eq=False, kw_only=True)
class Functional(RehearsalMemory):
    r"""A Gaussian over the outputs at a core set of rows, instead of one over the weights.

    .. math:: \frac{N_\text{old}}{N} \cdot \frac{1}{|B|} \sum_{i \in B}
        \tfrac12 (f(x_i) - z_i)^\top \Lambda_i (f(x_i) - z_i)

    with :math:`z` the outputs at the end of the row's task and :math:`\Lambda` the Fisher
    information of the output there (``labels="exact"``) or the identity over the outputs that the
    task's likelihood looks at (``"jac"``): what `EWC`
    penalises to second order, without the linearisation. FROMP (Pan et al. 2020) without the
    kernel between rows.

    Attributes:
        labels: ``"exact"`` or ``"jac"``.
        core: which rows are kept: ``"random"``, or ``"memorable"``, those with the largest trace of
            :math:`\Lambda`, the least certain (there section 3.3).

    Raises:
        InputError: labels or a core that are not known.
    """

    labels: str = "jac"
    core: str = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "labels", one_of("labels", self.labels, ("exact", "jac")))
        object.__setattr__(self, "core", one_of("core", self.core, ("random", "memorable")))

    def describe(self) -> dict[str, object]:
        """The settings that what is held depends on, as plain values."""
        return {**super().describe(), "core": self.core}

    def _noted(self, model: nn.Module, heads: Heads, batch: Batch) -> dict[str, Tensor]:
        return noted_outputs(model, heads, batch)

    def _keys(
        self, heads: Heads, columns: Mapping[str, Tensor], generator: torch.Generator
    ) -> Tensor:
        if self.core == "random":
            return super()._keys(heads, columns, generator)
        # tr Λ = Σ_k |s_k|², the trace that scores a row (Pan et al. 2020, section 3.3)
        roots = [
            likelihood.root(columns[f"output/{name}"]).square().movedim(1, 0).flatten(1).sum(1)
            for name, likelihood in heads.likelihoods.items()
        ]
        return torch.stack(roots).sum(0).cpu()

    def _against(
        self, outputs: Mapping[str, Tensor], drawn: Replayed, moved: Batch, rows: float
    ) -> Tensor:
        weight = moved.weight
        apart = dict(zip(outputs, differences(outputs, drawn), strict=True))
        parts = list[Tensor]()
        for task in drawn.tasks.unique().tolist():
            mine = drawn.tasks == task
            counts = 1.0 if weight is None else weight[mine.to(weight.device)]
            for name, likelihood in self._held.heads[task].likelihoods.items():
                moves = apart[name][mine.to(apart[name].device)]
                moves = moves * likelihood.used(moves)
                if self.labels == "exact":
                    # outputs that did not exist then: a logit of -inf is a class of probability 0
                    stored = drawn.columns[f"output/{name}"][mine].nan_to_num(-torch.inf)
                    turned = likelihood.root(stored.to(moves)) * moves
                    moves = (turned.flatten(2).sum(2) if turned.ndim > 2 else turned).T
                each = moves.square().flatten(1).sum(1)
                parts.append((counts * each).sum() / 2)
        # N_old / N times the mean over rows drawn: an estimate of the sum over all old rows
        return torch.stack(parts).sum() * (self._held.rows / (rows * len(drawn.tasks)))
