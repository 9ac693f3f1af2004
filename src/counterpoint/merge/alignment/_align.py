"""Models whose hidden units are put in the order of another's, so that averaging makes sense."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from counterpoint.data import DataLike, Unpack, one_pass
from counterpoint.errors import InputError
from counterpoint.merge._state import NamedState, agree
from counterpoint.merge.alignment._channels import UnitSet
from counterpoint.merge.alignment._trace import OUTPUT, traced
from counterpoint.parameters import device_of, evaluating, unwrapped

_SWEEPS = 100
_PROGRESS = 1e-12
"""Least gain, over the size of what is matched, that counts as one."""


@dataclass(frozen=True)
class Units:
    """A set of hidden units, and what became of it.

    Attributes:
        layer: the layer that makes them.
        count: how many there are.
        fixed: why they kept their places; empty where they were matched.
        orders: for each model the old place of each unit; the first model's are as they were.
    """

    layer: str
    count: int
    fixed: str
    orders: tuple[Tensor, ...]


@dataclass(frozen=True)
class Alignment:
    """What `align` found.

    Attributes:
        models: the first as it was given, and copies of the others with their units in its order.
        units: the sets of hidden units.
        untraced: names of tensors that no layer read; they are as they were.
        distances: of each model from the first, before and after.
        sweeps: over all sets, for each model but the first.
    """

    models: list[nn.Module]
    units: tuple[Units, ...]
    untraced: tuple[str, ...]
    distances: tuple[tuple[float, float], ...]
    sweeps: tuple[int, ...]

    @property
    def fixed(self) -> dict[str, str]:
        """The hidden layers whose units kept their places, and why; outputs always do."""
        return {each.layer: each.fixed for each in self.units if each.fixed not in ("", OUTPUT)}


def align(
    models: Sequence[nn.Module], inputs: DataLike, *, seed: int = 0, unpack: Unpack | None = None
) -> Alignment:
    r"""Put the hidden units of models in the order of the first; what they compute stays.

    Weight matching: the order of each set of units in turn is the assignment with the greatest
    :math:`\sum_l \langle A_l, P(B_l) \rangle` over all tensors along which the units run, until no
    set gains. Units are found by tracing the forward pass: linear layers, convolutions,
    normalisations, embeddings, whole heads of attention, sums and reshapes between them. What is
    not read keeps its order, and says so.

    Ainsworth, Hayase and Srinivasa 2023, "Git Re-Basin: merging models modulo permutation
    symmetries", algorithm 1.

    Args:
        models: two or more of one architecture.
        inputs: a few rows that the models can be called with; only shapes matter.
        seed: of the order in which sets are visited.
        unpack: reads a batch.

    Raises:
        InputError: the models differ, or the forward pass cannot be traced.

    >>> import copy
    >>> net = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 1))
    >>> other, order = copy.deepcopy(net), torch.tensor([4, 2, 0, 1, 3])
    >>> with torch.no_grad():
    ...     for tensor in (other[0].weight, other[0].bias):
    ...         _ = tensor.copy_(tensor[order])
    ...     _ = other[2].weight.copy_(other[2].weight[:, order])
    >>> found = align([net, other], torch.zeros(1, 2))
    >>> torch.equal(found.models[1][0].weight, net[0].weight)
    True
    """
    if len(models) < 2:
        raise InputError(f"align: at least two models are expected, found {len(models)}")
    bare = [unwrapped(model) for model in models]
    states = [NamedState.of(model) for model in bare]
    agree(states)
    batch = next(iter(one_pass(inputs, unpack))).to(device_of(bare[0]))
    with evaluating(bare[0]):
        names = {id(tensor): name for name, tensor in states[0].tensors.items()}
        ledger = traced(bare[0], names, batch.inputs, batch.named)
    sets = list(ledger.sets())
    free = [each for each in sets if not each.fixed and each.count > 1]
    found = [_match(free, states[0], other, seed) for other in states[1:]]
    first = [torch.arange(each.count) for each in sets]
    orders = [first, *(_orders(sets, match) for match, _ in found)]
    aligned = [
        _copy(model, permuted(state.under(states[0].tensors), free, match))
        for model, state, (match, _) in zip(bare[1:], states[1:], found, strict=True)
    ]
    return Alignment(
        [models[0], *aligned],
        tuple(
            Units(each.label, each.count, each.fixed, tuple(order[place] for order in orders))
            for place, each in enumerate(sets)
        ),
        tuple(sorted(states[0].tensors.keys() - ledger.tensors() - _scalars(states[0]))),
        tuple(
            (_distance(bare[0], before), _distance(bare[0], after))
            for before, after in zip(bare[1:], aligned, strict=True)
        ),
        tuple(sweeps for _, sweeps in found),
    )


def permuted(
    tensors: Mapping[str, Tensor], sets: Sequence[UnitSet], orders: Mapping[int, Tensor]
) -> dict[str, Tensor]:
    """Tensors with their units in another order.

    Args:
        tensors: by name.
        sets: of units.
        orders: a set's place in `sets` -> the old place of each unit.
    """
    result = dict(tensors)
    for place, order in orders.items():
        # one order along every tensor that a unit touches: what is computed stays
        for (name, dimension), axis in sets[place].uses.items():
            entries = axis.entries(order).to(result[name].device)
            result[name] = result[name].index_select(dimension, entries)
    return result


def _match(
    sets: Sequence[UnitSet], one: NamedState, two: NamedState, seed: int
) -> tuple[dict[int, Tensor], int]:
    """The orders of another model's units, and how often all were gone through."""
    uses = {name for each in sets for name, _ in each.uses}
    # statistics are of the data and say nothing of which unit is which
    mine = {n: one.tensors[n].detach().cpu().double() for n in uses if not _statistic(n)}
    theirs = {n: two[n].detach().cpu().double() for n in mine}
    orders = {place: torch.arange(each.count) for place, each in enumerate(sets)}
    random = torch.Generator().manual_seed(seed)
    for sweep in range(1, _SWEEPS + 1):
        gained = False
        for place in torch.randperm(len(sets), generator=random).tolist():
            likeness = _likeness(sets, place, mine, theirs, orders)
            rows, best = linear_sum_assignment(likeness.numpy(), maximize=True)
            order = torch.as_tensor(best)
            gain = float(likeness[rows, order].sum() - likeness[rows, orders[place]].sum())
            # rounding alone would go round among orders that are equally good
            if gain > _PROGRESS * float(likeness.abs().sum()):
                orders[place], gained = order, True
        if not gained:
            return orders, sweep
    return orders, _SWEEPS


def _likeness(
    sets: Sequence[UnitSet],
    place: int,
    mine: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    orders: Mapping[int, Tensor],
) -> Tensor:
    """Inner products of each unit of one model with each of the other, over all it touches."""
    each = sets[place]
    total = torch.zeros(each.count, each.count, dtype=torch.float64)
    for (name, dimension), axis in each.uses.items():
        if name not in mine:
            continue
        other = theirs[name]
        for rest, order in orders.items():
            for (known, along), lie in sets[rest].uses.items():
                # every dimension but this one is in the order found so far
                if known == name and (rest, along) != (place, dimension):
                    other = other.index_select(along, lie.entries(order))
        total += (
            _rows(mine[name], dimension, axis.copies, each.count)
            @ _rows(other, dimension, axis.copies, each.count).T
        )
    return total


def _rows(tensor: Tensor, dimension: int, copies: int, count: int) -> Tensor:
    """A row a unit: all that lies along it."""
    moved = tensor.movedim(dimension, 0)
    return moved.reshape(copies, count, -1).transpose(0, 1).reshape(count, -1)


def _orders(sets: Sequence[UnitSet], match: Mapping[int, Tensor]) -> list[Tensor]:
    found = iter(match.values())
    return [
        torch.arange(each.count) if each.fixed or each.count < 2 else next(found) for each in sets
    ]


def _copy(model: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    copied = deepcopy(model)
    state = NamedState.of(copied)
    copied.load_state_dict(
        {key: tensors[state.ties.get(name, name)] for name, key in state.keys.items()}
    )
    return copied


def _distance(one: nn.Module, two: nn.Module) -> float:
    pairs = zip(one.parameters(), two.parameters(), strict=True)
    return sum(float((a.detach() - b.detach()).double().square().sum()) for a, b in pairs) ** 0.5


def _scalars(state: NamedState) -> set[str]:
    return {name for name, tensor in state.tensors.items() if tensor.numel() < 2}


def _statistic(name: str) -> bool:
    return name.rpartition(".")[2] in ("running_mean", "running_var")
