"""Which parameters train, and each at which learning rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from counterpoint.errors import InputError
from counterpoint.parameters import Pattern, named, select


@dataclass(frozen=True)
class Group:
    """Parameters that share a rate.

    Attributes:
        names: the parameters' names in the model.
        rate: their highest learning rate; None: that of the `Training`.
        weight_decay: None: that of the `Training`.
    """

    names: tuple[str, ...]
    rate: float | None = None
    weight_decay: float | None = None


@dataclass(frozen=True)
class Groups:
    """A split of a model's parameters; make one with `groups`.

    Attributes:
        groups: what trains; no parameter is in two of them.
        frozen: names of the parameters that do not train.
    """

    groups: tuple[Group, ...]
    frozen: tuple[str, ...] = ()


def groups(
    model: nn.Module,
    rates: Mapping[str, float | Group] | None = None,
    *,
    freeze: Pattern | None = None,
    only: Pattern | None = None,
) -> Groups:
    """Give parts of a model their own learning rates, and freeze others.

    A parameter belongs to the first pattern that matches it; what no pattern matches trains at the
    rate of the `Training`. Frozen parameters receive no gradient and no decay.

    Args:
        model: the model.
        rates: glob -> highest rate (or a `Group` with empty names, for its own weight decay too).
        freeze: a `counterpoint.parameters.Pattern`.
        only: likewise; everything else is frozen, as where a new head is trained first.

    Raises:
        InputError: a pattern matches nothing, a rate is not positive, or nothing is left to train.

    >>> net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    >>> groups(net, {"1.*": 1e-2}, freeze="0.bias").groups
    (Group(names=('1.weight', '1.bias'), rate=0.01, weight_decay=None),
     Group(names=('0.weight',), rate=None, weight_decay=None))
    """
    held = set[str]() if freeze is None else set(select(model, freeze))
    if only is not None:
        held |= set(named(model)) - set(select(model, only))
    frozen = tuple(name for name in named(model) if name in held)
    left = [
        name for name, value in named(model).items() if name not in frozen and value.requires_grad
    ]
    made: list[Group] = []
    for pattern, rate in (rates or {}).items():
        matched = select(model, pattern)
        # `left` shrinks: the first pattern that matches has the parameter
        names = tuple(name for name in left if name in matched)
        left = [name for name in left if name not in matched]
        group = rate if isinstance(rate, Group) else Group((), rate)
        _check_rate(pattern, group.rate)
        if names:
            made.append(Group(names, group.rate, group.weight_decay))
    if left:
        made.append(Group(tuple(left)))
    if not made:
        raise InputError("groups: every parameter is frozen, so nothing is left to train")
    return Groups(tuple(made), frozen)


def spread(patterns: Sequence[str], low: float, high: float) -> dict[str, float]:
    """Rates from `low` for the first pattern to `high` for the last, in equal ratios.

    Early layers hold what is general and should move least (Howard & Ruder 2018, section 3.2).

    >>> {name: round(rate, 6) for name, rate in spread(["a.*", "b.*", "c.*"], 1e-4, 1e-2).items()}
    {'a.*': 0.0001, 'b.*': 0.001, 'c.*': 0.01}
    """
    if not patterns or not 0 < low <= high:
        raise InputError(
            f"spread: expected patterns and 0 < low <= high, found {len(patterns)} patterns,"
            f" low {low:g} and high {high:g}"
        )
    gaps = max(len(patterns) - 1, 1)
    ratio = high / low
    return {name: low * ratio ** (place / gaps) for place, name in enumerate(patterns)}


def _check_rate(pattern: str, rate: float | None) -> None:
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"groups: the rate of {pattern!r} must be positive, found {rate!r}")
