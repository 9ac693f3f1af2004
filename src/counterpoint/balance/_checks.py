"""Refusals before anything is differentiated."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from counterpoint.errors import InputError
from counterpoint.goals import check_goals


class BalanceWarning(UserWarning):
    """A balancer has something to say: its monitor, or a name that fits no goal."""


POLICIES = ("raise", "skip", "drop", "pass")
"""What may be done with a goal that is not finite."""


def check_arguments(every: object, preference: Mapping[str, object] | None) -> None:
    """Refuse settings of a `Balancer` that break their rule."""
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise InputError(f"every: expected a whole number of at least 1, found {every!r}")
    for name, wanted in (preference or {}).items():
        # True is an int, and no preference
        fits = isinstance(wanted, int | float) and wanted > 0 and math.isfinite(wanted)
        if not fits or isinstance(wanted, bool):
            raise InputError(f"preference: goal {name!r}: expected above 0, found {wanted!r}")


def check_losses(losses: object) -> dict[str, Tensor]:
    """Named scalars with graphs, each name once, all on one device; others are refused."""
    if isinstance(losses, Mapping):
        names = [*losses]  # a mapping of somebody else's may give one key twice
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"goal {twice!r}: given twice; every goal needs a name of its own")
    found = check_goals(losses)
    first, device = next((name, loss.device) for name, loss in found.items())
    for name, loss in found.items():
        if "\0" in name:
            raise InputError(f"goal {name!r}: a name must not contain the character NUL")
        if loss.device != device:
            raise InputError(
                f"goal {name!r}: is on {loss.device}, goal {first!r} on {device}; bring all goals"
                " to one device"
            )
    return found


def check_features(features: object) -> tuple[Tensor, ...]:
    """One tensor with a graph, or several; anything else is refused."""
    if features is None:
        return ()
    if isinstance(features, Tensor):
        features = (features,)
    if not isinstance(features, Sequence) or not features:
        raise InputError(f"features: expected tensors, found {type(features).__name__}")
    found: list[Tensor] = []
    for value in features:
        if not isinstance(value, Tensor) or not value.requires_grad:
            raise InputError(
                "features: expected tensors with a graph, as the trunk returned them; found"
                f" {'one without' if isinstance(value, Tensor) else type(value).__name__}"
            )
        found.append(value)
    return tuple(found)


def check_model(model: object) -> nn.Module:
    """A module; anything else is refused."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model: expected a torch module, found {type(model).__name__}")
    return model
