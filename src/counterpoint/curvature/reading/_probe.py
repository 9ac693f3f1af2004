"""Find out how the weights of a model can be read, and check it against plain differentiation."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from counterpoint.curvature.reading._forward import Forward
from counterpoint.curvature.reading._modes import refuse_modes, refuse_unrepeatable
from counterpoint.curvature.reading._plan import Plan, differentiable
from counterpoint.curvature.reading._whole import by_example, by_vmap
from counterpoint.curvature.reading.calls import Layout
from counterpoint.data import Batch
from counterpoint.errors import InputError, warn
from counterpoint.gaussian import FullJacobian, explicit
from counterpoint.goals import Heads
from counterpoint.parameters import Pattern, named, select
from counterpoint.seeding import generator

_ROWS = (5, 4)
# one is enough, see `_differing`; the price of a check is a pass an example and direction
_DIRECTIONS = 1
_TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-3}


def weights_of(model: nn.Module, parameters: Pattern | None) -> dict[str, Tensor]:
    """The parameters asked for; none means all that are trained."""
    if parameters is None:
        chosen = {name: value for name, value in named(model).items() if value.requires_grad}
        if not chosen:
            raise InputError("model: no parameter requires a gradient; all are frozen, or none is")
    else:
        chosen = select(model, parameters)
    for name, value in chosen.items():
        if not value.is_floating_point():
            raise InputError(f"parameter {name!r}: must be floating point, found {value.dtype}")
        if not value.requires_grad:
            raise InputError(
                f"parameter {name!r}: is frozen (requires_grad=False); unfreeze it, or leave it "
                "out of parameters="
            )
    return dict(chosen)


def probe(
    model: nn.Module,
    heads: Heads,
    weights: Mapping[str, Tensor],
    batch: Batch,
    *,
    check: bool = True,
) -> Plan:
    """How to read the weights of a model, from the first rows of a batch.

    Every weight whose uses are all read, and (with `check`) whose Jacobian of the first rows equals
    the one by plain differentiation, is read by kernels; the others go through the whole model.
    """
    refuse_modes(model)
    few = _sample(batch, _ROWS[0])
    if check:
        refuse_unrepeatable(model, heads, few)
    plan, reasons, forward = _tried(model, heads, weights, few, check)
    if reasons:
        # a dimension that happens to be as long as the sample is told apart by another sample
        more = _sample(batch, _ROWS[1])
        again = _tried(model, heads, weights, more, check)
        if len(again[1]) < len(reasons):
            few, (plan, reasons, forward) = more, again
    plan = replace(plan, unread=tuple(reasons), outputs=forward.output.shape[1])
    plan = replace(plan, shared=batch.sharing())
    if reasons:
        plan = _with_whole(plan, few)
        _warn(plan, reasons)
    return plan


def _sample(batch: Batch, count: int) -> Batch:
    """Rows from all over a batch, out of their order; repeated where there are too few."""
    # out of order: a model that reads a row's place in the batch is found out
    places = torch.linspace(batch.rows - 1, 0, count).round().long()
    return batch.take(places.roll(1) if batch.rows >= count else torch.arange(count) % batch.rows)


def _tried(
    model: nn.Module, heads: Heads, weights: Mapping[str, Tensor], few: Batch, check: bool
) -> tuple[Plan, dict[str, str], Forward]:
    """A plan from a few rows, which weights it cannot read, and why."""
    plan = Plan(model, heads, weights, None, (), by_vmap)
    forward = Forward.of(plan, few)
    reasons = dict.fromkeys(forward.unread, "an operation on it is not one that can be read")
    layouts = dict[frozenset[str], Layout]()
    for record in forward.records:
        names, layout = frozenset(record.call.names), record.call.layout
        if layouts.setdefault(names, layout) != layout:
            reasons |= dict.fromkeys(names, "its uses have the examples in different dimensions")
    if check:
        reasons |= _differing(forward)
    return replace(plan, layouts=layouts), reasons, forward


def _differing(forward: Forward) -> dict[str, str]:
    """Weights whose Jacobian is not that of plain differentiation, and by how much."""
    plan, batch = forward.plan, forward.batch
    read = {name: value for name, value in plan.weights.items() if name not in forward.unread}
    if not read:
        return {}
    # a random direction: an error that it misses has probability zero
    columns = _directions(batch, forward.output.shape[1], forward.output)
    with differentiable(read.values()):
        truth = by_example(plan.model, plan.heads, read, batch, columns)
    shapes = {name: value.shape for name, value in plan.weights.items()}
    try:
        entries = forward.pull(columns).all(slice(0, batch.rows))
        found = explicit(entries, shapes) if entries else dict[str, Tensor]()
    except RuntimeError as error:
        reason = f"a kernel could not run: {str(error).splitlines()[0]}"
        return dict.fromkeys(read, reason)
    reasons, scale = dict[str, str](), _scale(truth)
    for right in truth:
        left = found.get(right.name, torch.zeros_like(right.values))
        if gap := _gap(left, right.values, scale):
            reasons[right.name] = f"what is read of it is off by {gap:.1e} on a few rows"
    return reasons


def _with_whole(plan: Plan, rows: Batch) -> Plan:
    """The plan with the faster of the two ways to take the whole model that is right."""
    weights = {name: plan.weights[name] for name in plan.unread}
    columns = _directions(rows, plan.outputs, next(iter(weights.values())))
    slow = replace(plan, whole=by_example)
    # vmap warns of loops it falls back to; whether it is right is what is asked here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = by_vmap(plan.model, plan.heads, weights, rows, columns)
        except (RuntimeError, ValueError, TypeError):
            return slow
    with differentiable(weights.values()):
        truth = by_example(plan.model, plan.heads, weights, rows, columns)
    pairs, scale = {one.name: one.values for one in found}, _scale(truth)
    return slow if any(_gap(pairs[one.name], one.values, scale) for one in truth) else plan


def _scale(truth: Sequence[FullJacobian]) -> float:
    """A thousandth of the greatest norm."""
    return 1e-3 * max((_norm(one.values) for one in truth), default=0.0)


def _norm(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values, dtype=torch.float64))


def _directions(rows: Batch, outputs: int, like: Tensor) -> Tensor:
    shape = (_DIRECTIONS, rows.rows, outputs)
    return torch.randn(shape, generator=generator(0), dtype=torch.float64).to(like)


# the scale is the least norm to compare with: what is zero but for rounding has none of its own
def _gap(found: Tensor, truth: Tensor, scale: float) -> float:
    """The relative difference, or zero where it is no more than rounding."""
    # relative to the norm of the whole: entries may be zero
    norm, distance = _norm(truth), _norm(found - truth)
    ratio = distance / (max(norm, scale) or 1.0)
    return 0.0 if ratio <= _TOLERANCE.get(truth.dtype, 3e-2) else ratio


def _warn(plan: Plan, reasons: Mapping[str, str]) -> None:
    names, size = list(reasons), sum(plan.weights[name].numel() for name in reasons)
    shown = ", ".join(repr(name) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    way = "torch.func.vmap" if plan.whole is by_vmap else "one example at a time"
    warn(
        f"curvature of {shown}{more} goes through the whole model by {way}: {reasons[names[0]]}; "
        f"{size:,} numbers an example and direction (up to {plan.outputs} directions), a few to a "
        "hundred times the cost of a layer that is read"
    )
