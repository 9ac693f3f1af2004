"""Elastic weight consolidation: the curvature of each task around the weights found for it."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from counterpoint.continual._base import LearntTask
from counterpoint.continual.weights._importance import (
    gaussian_of,
    is_merged,
    known_labels,
    known_structure,
)
from counterpoint.continual.weights._quadratic_memory import QuadraticMemory
from counterpoint.curvature import Structure
from counterpoint.errors import InputError, one_of
from counterpoint.gaussian import Gaussian, Quadratic


@dataclass(frozen=True, eq=False, kw_only=True)
class FisherMemory(QuadraticMemory):
    """What is remembered of a task is the Fisher information of its rows, in some structure."""

    structure: Structure = "diagonal"
    labels: str = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        structure = known_structure(self.structure)
        # the one moment at which a frozen value may still be written
        object.__setattr__(self, "structure", structure)
        object.__setattr__(self, "labels", known_labels(self.labels, structure))

    def _remember(self, task: LearntTask) -> None:
        # refused before the pass over the data is paid for, and before anything changes
        before = self._before(task.model)
        fisher = gaussian_of(task, self.structure, self.labels, self.parameters)
        self._join(before, fisher, pooled=is_merged(self.structure))

    @abstractmethod
    def _join(self, before: Quadratic | None, task: Gaussian, *, pooled: bool) -> None:
        """Hold a task beside what was held."""

    def describe(self) -> dict[str, Any]:
        """The settings that what is held depends on, as plain values."""
        structure = self.structure
        return {
            "memory": type(self).__name__,
            "structure": structure if isinstance(structure, str) else dict(structure),
            "labels": self.labels,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class EWC(FisherMemory):
    r"""Elastic weight consolidation: a Gaussian a task, all of them as one quadratic.

    .. math:: E(\theta) = \sum_k \tfrac12 (\theta - \theta_k)^\top F_k (\theta - \theta_k)

    (Kirkpatrick et al. 2017, equation 3 with its half) with :math:`F_k` the Fisher information of
    task k, a SUM over its rows. Sums of quadratics are quadratics, so that a step costs the same
    after twenty tasks as after one, value and gradient being those of the separate sum. From the
    second task on it counts an earlier task twice where :math:`\theta_k` already gives way to it
    (Huszár 2018); `OnlineEWC` does not.

    Attributes:
        structure: as `counterpoint.curvature.fisher` takes: ``"diagonal"``, ``"kronecker"``,
            ``"block"``, ``"dense"``, or globs to these. A sum of Kronecker products is kept as one:
            a product a task; ``"kronecker-merged"`` adds the factors instead, which is an
            approximation at the cost of one (Ritter, Botev and Barber 2018, section 3.2).
        labels: ``"exact"``; ``"jac"``, the squares of the derivatives of the outputs that the
            likelihood looks at, which do not vanish where the model is certain: the one that works
            at a strength of 1; ``"sampled"``,
            ``"empirical"``, or ``"batch"``, which is wrong (it warns).

    Raises:
        InputError: labels that are not known, a strength that is not positive.

    A line learns a slope, and then is pulled back to it:

    >>> import torch
    >>> from torch import nn
    >>> from counterpoint.goals import Normal
    >>> line, x = nn.Linear(1, 1, bias=False), torch.tensor([[1.0], [3.0]])
    >>> _ = nn.init.constant_(line.weight, 2.0)
    >>> memory = EWC()
    >>> memory.consolidate(line, Normal(), [(x, 2 * x)])
    >>> _ = nn.init.constant_(line.weight, 5.0)
    >>> memory.penalty(line, rows=2).item()  # 1/2 (1² + 3²) (5 - 2)² over two rows
    22.5
    """

    def _join(self, before: Quadratic | None, task: Gaussian, *, pooled: bool) -> None:
        # equation 3: each task's quadratic stays around that task's weights
        self._hold(before, task, pooled=pooled)


@dataclass(frozen=True, eq=False, kw_only=True)
class OnlineEWC(FisherMemory):
    r"""One Gaussian for all tasks: yesterday's posterior, to a power, is today's prior.

    .. math:: P \leftarrow \gamma P + F_k, \qquad
        E(\theta) = \tfrac12 (\theta - \mu)^\top P (\theta - \mu)

    with :math:`\mu` by the convention:

    - ``centre="latest"`` (Schwarz et al. 2018, equations 8 and 9; Huszár 2018): :math:`\mu =
      \theta_k`, the weights after the latest task. Laplace's method, where these minimise the
      task's loss plus the penalty: for linear models with Gaussian noise it is exact;
    - ``centre="product"``: the power and the product of Gaussians, ``G ** γ * N(θ_k, F_k⁻¹)``,
      whose mean is the precision-weighted one. With γ = 1 that is `EWC`.

    Attributes:
        keep: the forgetting factor γ, from 0 to 1: the share of the old precision that is kept.
            1 forgets nothing, 0 all but the latest task.
        centre: see above.
        structure: see `EWC`.
        labels: see `EWC`.

    Raises:
        InputError: a factor outside [0, 1], a centre or labels that are not known.
    """

    keep: float = 1.0
    centre: str = "latest"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.keep <= 1:
            raise InputError(
                f"keep: must be from 0 to 1, the share of the old precision that is kept, found"
                f" {self.keep}"
            )
        object.__setattr__(self, "centre", one_of("centre", self.centre, ("latest", "product")))

    def _join(self, before: Quadratic | None, task: Gaussian, *, pooled: bool) -> None:
        # γ P + F around θ_k or around the product's mean (Schwarz et al. 2018, equation 9)
        latest = self.centre == "latest"
        self._hold(before, task, keep=self.keep, latest=latest, pooled=pooled)

    def describe(self) -> dict[str, Any]:
        """The settings that what is held depends on, as plain values."""
        return {**super().describe(), "centre": self.centre}
