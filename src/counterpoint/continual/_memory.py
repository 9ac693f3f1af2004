"""What every memory answers, so that a loop need not know which it has."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.data import DataLike, Unpack
from counterpoint.goals import Likelihood
from counterpoint.plain import StrPath


@runtime_checkable
class Memory(Protocol):
    r"""What is kept of earlier tasks, and what it costs the weights to leave it.

    Bayes' rule adds the rows of a task to what was known: the whole objective is the SUM over the
    task's rows of the negative log likelihood, plus what earlier rows say. Loops minimise the MEAN
    over rows, so that every penalty is divided by the rows of the current task: with that, and a
    strength of 1, the step is towards the posterior.

    A loop that serves all of them, task after task:

    1. `begin` before the first step of a task;
    2. where ``tasks > 0``, ``goals["remember"] = memory.penalty(model, batch, rows=len(task))``;
    3. `observe` after every step of the optimiser, before gradients are cleared (which is noticed);
    4. `consolidate` after the task, in whatever mode the model is.

    What a memory does not need it ignores: only `SI` looks at steps, only `LwF` and `Functional`
    at batches or stored inputs.
    """

    strength: float

    @property
    def tasks(self) -> int:
        """Tasks consolidated so far; a penalty before the first is refused."""
        ...

    def begin(self, model: nn.Module) -> None:
        """A task starts at these weights."""
        ...

    def observe(self, model: nn.Module) -> None:
        """The optimiser has made a step; ``.grad`` is still what it followed."""
        ...

    def penalty(self, model: nn.Module, batch: Any = None, *, rows: float) -> Float[Tensor, ""]:
        """What leaving the memory costs, in nats a row of the current task, with a graph.

        Args:
            model: as it is now.
            batch: the step's, for memories of outputs; others ignore it.
            rows: of the current task, in all: what a mean over rows was divided by.

        Raises:
            InputError: before the first `consolidate`, or the model's weights are other ones.
        """
        ...

    def consolidate(
        self,
        model: nn.Module,
        likelihood: Likelihood | Mapping[str, Likelihood],
        data: DataLike,
        *,
        generator: torch.Generator | None = None,
        unpack: Unpack | None = None,
    ) -> None:
        """Add a task that has been learnt.

        Args:
            model: as learnt; switched to evaluation mode and back.
            likelihood: of its outputs.
            data: batches of the task's rows, as `counterpoint.curvature.fisher` takes them.
            generator: source of randomness, for memories that draw.
            unpack: reads a batch; none means `counterpoint.data.as_batch`.

        Raises:
            InputError: the task cannot be used; what was held before is intact.
        """
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """All that the penalties to come depend on, as tensors on the CPU."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state_dict` was called.

        Raises:
            InputError: it is the state of another memory; nothing is changed.
        """
        ...

    def save(self, path: StrPath, *, overwrite: bool = False) -> None:
        """Write a folder that `load` reads back to the same bits."""
        ...

    def load(self, path: StrPath) -> None:
        """Go on where `save` was called.

        Raises:
            InputError: the folder is damaged, or of another memory.
        """
        ...
