"""The one function type that the loop, the balancer, the curvature and the memories share."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from torch import Tensor, nn

from counterpoint.data import Batch, types_named
from counterpoint.errors import InputError

Goals: TypeAlias = Callable[[nn.Module, Batch], dict[str, Tensor]]
"""A function ``goals(model, batch) -> {name: scalar}``; each scalar carries a graph.

The `Batch` answers by the names that the user's own data have, ``batch["x"]``, and by what they
are: ``batch.call(model)``, ``batch.target``, ``batch.weight``. `Heads.goals` makes such a function
of one likelihood a head.
"""


def call_goals(goals: Goals, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The goals of a batch, not yet checked.

    Raises:
        InputError: inputs of another type of number than the model's weights (names one).
    """
    try:
        return goals(model, batch)
    except RuntimeError as error:
        raise types_named(error, model, batch) from error


class ModelWithGoals(nn.Module):
    """A model and its goals as one module of a batch, so that one call runs both.

    `torch.func.functional_call` then reaches the model's weights, as ``model.NAME``, also from
    within the goals: penalties may look at weights themselves.

    Args:
        model: the model.
        goals: of it and a batch.

    >>> together = ModelWithGoals(nn.Linear(1, 1), lambda model, batch: {"fit": model(batch["x"])})
    >>> [name for name, _ in together.named_parameters()]
    ['model.weight', 'model.bias']
    """

    def __init__(self, model: nn.Module, goals: Goals) -> None:
        super().__init__()
        self.model = model
        self._goals = goals

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The goals of a batch."""
        return self._goals(self.model, batch)


def check_goals(losses: object, *, graph: bool = True) -> dict[str, Tensor]:
    """Refuse anything that is not a non-empty mapping from names to scalars with a graph.

    Values are not read, so nothing waits for a device: a loss that is not finite passes.

    Args:
        losses: what a `Goals` function returned.
        graph: False where no gradient is wanted (evaluation).

    Returns:
        The same goals as a plain dict, in the same order.

    Raises:
        InputError: names the goal, the rule, and what was found.

    >>> import torch
    >>> check_goals({"rating": torch.zeros(64, requires_grad=True)})
    Traceback (most recent call last):
    ...
    counterpoint.errors.InputError: goal 'rating': expected a scalar, found shape (64,); reduce it
    (for example .mean())
    """
    if not isinstance(losses, Mapping):
        raise InputError(
            f"goals: expected a mapping from name to scalar, found {type(losses).__name__}; "
            "return {'fit': loss}"
        )
    if not losses:
        raise InputError("goals: expected at least one goal, found an empty mapping")
    return {_check_name(name): _check_value(name, loss, graph) for name, loss in losses.items()}


def _check_name(name: object) -> str:
    if not isinstance(name, str):
        raise InputError(f"goals: a name must be text, found {name!r} ({type(name).__name__})")
    return name


def _check_value(name: object, loss: object, graph: bool) -> Tensor:
    if not isinstance(loss, Tensor):
        raise InputError(f"goal {name!r}: expected a tensor, found {type(loss).__name__}")
    if loss.shape != ():
        raise InputError(
            f"goal {name!r}: expected a scalar, found shape {tuple(loss.shape)}; "
            "reduce it (for example .mean())"
        )
    if not loss.is_floating_point():
        raise InputError(f"goal {name!r}: expected a floating-point scalar, found {loss.dtype}")
    if graph and not loss.requires_grad:
        raise InputError(
            f"goal {name!r}: expected a scalar with a graph, found one without; "
            "it was detached, or computed under torch.no_grad()"
        )
    return loss
