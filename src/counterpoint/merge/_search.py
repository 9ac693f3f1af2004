"""Weights of a merge, found on rows that are not the ones that are reported on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat

import torch
from torch import Tensor, nn
from torch.func import functional_call

from counterpoint.data import Batch, DataLike, Unpack, as_loader
from counterpoint.errors import InputError, one_of
from counterpoint.goals import Goals, ModelWithGoals, check_goals
from counterpoint.merge._merge import MergedStates, like_model, merged
from counterpoint.merge._plan import MergePlan
from counterpoint.merge._state import Model, NamedState, agree
from counterpoint.merge.methods import MergeMethod, method_of
from counterpoint.parameters import evaluating, unwrapped
from counterpoint.train import evaluate

_GRID = torch.linspace(-0.5, 1.5, 41).tolist()
"""Values that a search by coordinates tries."""


@dataclass(frozen=True)
class MergeSearch:
    """What `search` found.

    Attributes:
        model: merged with these weights.
        weights: one row a layer: λ, or one number a model; what `merge` takes as ``weights=``.
        tuning: the loss on the rows that were tuned on, before and after.
        reporting: the loss on the other rows, before and after: what to believe.
        layers: their names.
    """

    model: nn.Module
    weights: tuple[float | tuple[float, ...], ...]
    tuning: tuple[float, float]
    reporting: tuple[float, float]
    layers: tuple[str, ...]


def search(
    models: Sequence[nn.Module],
    goals: Goals,
    tuning: DataLike,
    reporting: DataLike,
    *,
    method: str | MergeMethod = "linear",
    base: Model | None = None,
    by: str = "gradient",
    steps: int = 150,
    rate: float = 0.03,
    size: int = 1024,
    unpack: Unpack | None = None,
) -> MergeSearch:
    """Find the weights of each layer, from equal ones, on rows with targets.

    Per-layer coefficients of task vectors by gradient are the supervised form of layer-wise
    AdaMerging (Yang et al. 2024, "AdaMerging: adaptive model merging for multi-task learning",
    section 3.3, whose loss needs no targets).

    Args:
        models: two or more of one architecture; of two that share, each layer has one λ.
        goals: ``goals(model, batch) -> {name: scalar}``; their mean is minimised.
        tuning: rows to tune on, in no way those that are reported on.
        reporting: rows for the loss to believe.
        method: one through which gradients pass, for a search by gradient.
        base: the common start, where the method needs it.
        by: ``"gradient"`` (Adam, a batch a step) or ``"coordinate"`` (41 values a number, two
            sweeps; every value costs a pass over the rows).
        steps: of a search by gradient.
        rate: of a search by gradient.
        size: rows a batch.
        unpack: reads a batch.

    Raises:
        InputError: both sets of rows are one, the models differ, or there is no such search.
    """
    if tuning is reporting or _parts(tuning) == _parts(reporting) != ():
        raise InputError("search: the rows that are reported on must not be those tuned on")
    way = one_of("search by", by, ("gradient", "coordinate"))
    space = _Space.of(models, method_of(method), base)
    loader = as_loader(tuning, unpack)

    def loss_on(rows: DataLike, values: Tensor) -> float:
        model = space.model(values)
        return evaluate(model, goals, rows, size, unpack=unpack)["score"]

    start = space.start()
    if way == "gradient":
        batches = islice(_forever(lambda epoch: loader.batches(size, seed=epoch)), steps)
        found = _by_gradient(space, goals, batches, rate)
    else:
        found = _by_coordinates(start, lambda values: loss_on(tuning, values))
    # over all tuning rows: the last batches may have led astray
    before, after = loss_on(tuning, start), loss_on(tuning, found)
    if not after < before:
        found, after = start, before
    rows = [tuple(row.tolist()) if row.ndim else row.item() for row in found]
    return MergeSearch(
        space.model(found),
        tuple(rows),
        (before, after),
        (loss_on(reporting, start), loss_on(reporting, found)),
        tuple(layer.shown for layer in space.inputs.plan.table),
    )


def _parts(rows: DataLike) -> tuple[int, ...]:
    """Which tensors or arrays a tuple or mapping is of; batches, which are listed, are none."""
    found = rows.values() if isinstance(rows, Mapping) else rows if isinstance(rows, tuple) else ()
    return tuple(id(each) for each in found)


@dataclass(frozen=True)
class _Space:
    """Merges by one row of numbers a layer."""

    models: Sequence[nn.Module]
    inputs: MergedStates
    method: MergeMethod
    state: NamedState

    @classmethod
    def of(cls, models: Sequence[nn.Module], method: MergeMethod, base: Model | None) -> "_Space":
        states = [NamedState.of(model) for model in models]
        agree(states)
        start = None
        if method.facts.base:
            if base is None:
                raise InputError(f"search: {type(method).__name__} needs the common start as base=")
            start = NamedState.of(base).under(states[0].tensors)
        if method.facts.evidence:
            raise InputError(f"search: {type(method).__name__} needs evidence; merge with it")
        table = states[0].table()
        plan = MergePlan.of(table, inputs=len(models), scales=method.facts.scales)
        names = states[0].tensors
        # only the numbers are learnt; a graph to the models would be made for nothing
        tensors = [{n: t.detach() for n, t in state.under(names).items()} for state in states]
        return cls(models, MergedStates(plan, tensors, start), method, states[0])

    @property
    def shared(self) -> bool:
        """Whether one λ a layer says it all."""
        return len(self.models) == 2 and not self.method.facts.scales

    def start(self) -> Tensor:
        """Equal weights."""
        rows, columns = len(self.inputs.plan.table), len(self.models)
        return torch.full((rows,) if self.shared else (rows, columns), 1 / columns)

    def tensors(self, values: Tensor) -> dict[str, Tensor]:
        """Merged, with the graph of the numbers."""
        plan, coefficients = self.inputs.plan, dict[str, tuple[Tensor, ...]]()
        for layer in plan.table:
            row = values[layer.index]
            pair = (1 - row, row) if self.shared else tuple(row)
            # shares of several models are kept on the simplex by their sum
            if not self.shared and not self.method.facts.scales:
                pair = tuple(row / row.sum())
            coefficients |= {name: pair for name in layer.tensors if name in plan.coefficients}
        inputs = replace(self.inputs, plan=replace(plan, coefficients=coefficients))
        return merged(inputs, self.method, quiet=True)

    def model(self, values: Tensor) -> nn.Module:
        """A copy of the first model, merged."""
        with torch.no_grad():
            return like_model(self.models[0], self.state, self.tensors(values))


def _by_gradient(space: _Space, goals: Goals, batches: Iterator[Batch], rate: float) -> Tensor:
    values = space.start().requires_grad_()
    optimiser = torch.optim.Adam([values], rate)
    bare = unwrapped(space.models[0])
    together = ModelWithGoals(bare, goals)
    with evaluating(bare):
        for batch in batches:
            tensors = {f"model.{name}": value for name, value in space.tensors(values).items()}
            losses = check_goals(functional_call(together, tensors, (batch,)))
            optimiser.zero_grad()
            torch.stack(list(losses.values())).mean().backward()
            optimiser.step()
    return values.detach()


def _by_coordinates(start: Tensor, loss: Callable[[Tensor], float], sweeps: int = 2) -> Tensor:
    best, least = start.clone(), loss(start)
    # twice: the best value of a layer depends on those found after it
    for _ in range(sweeps):
        for place in range(best.numel()):
            for value in _GRID:
                tried = best.clone()
                tried.view(-1)[place] = value
                found = loss(tried)
                if found < least:
                    best, least = tried, found
    return best


def _forever(batches: Callable[[int], Iterator[Batch]]) -> Iterator[Batch]:
    return chain.from_iterable(batches(epoch) for epoch, _ in enumerate(repeat(None)))
