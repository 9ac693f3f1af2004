"""Merge modules or state dicts in memory."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from counterpoint.errors import InputError
from counterpoint.merge._entries import Policy
from counterpoint.merge._lora import is_factor
from counterpoint.merge._plan import Coefficient, MergePlan, Weights
from counterpoint.merge._state import Model, NamedState, agree
from counterpoint.merge._uniform import uniform
from counterpoint.merge.methods import (
    Evidence,
    MergedTensor,
    MergeMethod,
    WeightedMean,
    evidence_of,
    method_of,
)
from counterpoint.parameters import unwrapped

_Model = TypeVar("_Model", bound=Model)


class MergeWarning(UserWarning):
    """A merged model needs something more; the message says what."""


def merge(
    models: Sequence[_Model],
    weights: Weights = None,
    *,
    first: Weights = None,
    method: str | MergeMethod = "linear",
    base: Model | None = None,
    evidence: Sequence[Evidence] | None = None,
    buffers: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> _Model:
    """One model of several of the same architecture, layer by layer.

    A weight λ is the share of the second of two models, ``(1 - λ) A + λ B``; see
    `MergePlan.of` for all that a weight may be.

    Args:
        models: two or more modules, or two or more state dicts; none is changed.
        weights: one number, one a layer, a schedule, a tensor, or selector -> any of these.
        first: instead of `weights`: λ is the share of the first, ``λ A + (1 - λ) B``.
        method: a name, or a method with its settings.
        base: the common start, for methods that merge what was learnt since.
        evidence: one a model, for methods that are told more than the weights: see each.
        buffers: selector -> what becomes of those tensors where the usual is not meant.
        quiet: do not warn that normalisation has to be `refit`, that factors are no products, or
            that numbers are not finite (looked for unless two plain state dicts are merged by
            numbers, which takes less time than to look).

    Returns:
        A module (a copy of the first, in its mode), or a state dict with the names, types and ties
        of the first. A state dict has the graph of the inputs and the weights.

    Raises:
        InputError: the models differ in names, shapes, ties or masks, or a weight is not one.

    >>> import counterpoint as cp
    >>> a, b = {"w": torch.tensor([0.0])}, {"w": torch.tensor([4.0])}
    >>> cp.merge([a, b], 0.25), cp.merge([a, b], first=0.25)
    ({'w': tensor([1.])}, {'w': tensor([3.])})
    """
    if isinstance(models, nn.Module | Mapping):
        raise InputError("merge: expected the models in a list, merge([a, b], weights)")
    models = list(models)
    if len(models) < 2:
        raise InputError(f"merge: at least two models are expected, found {len(models)}")
    if weights is not None and first is not None:
        raise InputError("merge: weights are shares of the second model or of the first, not both")
    chosen = method_of(method)
    given = weights if first is None else first
    if type(chosen) is WeightedMean and len(models) == 2 and not (buffers or evidence or base):
        found = uniform(models, given, first=first is not None)
        if found is not None:
            return cast(_Model, found)
    # all of it before anything is merged: a mismatch costs no work
    states = [NamedState.of(model) for model in models]
    agree(states)
    start = _base(chosen, base, states)
    told = _evidence(chosen, evidence, len(models))
    plan = MergePlan.of(
        states[0].table(),
        given,
        inputs=len(models),
        scales=chosen.facts.scales,
        first=first is not None,
        buffers=buffers,
    )
    inputs = MergedStates(plan, [state.under(states[0].tensors) for state in states], start, told)
    # a module's parameters are leaves: a graph would be made and thrown away
    graph = torch.is_grad_enabled() and not isinstance(models[0], nn.Module)
    with torch.set_grad_enabled(graph):
        return like_model(models[0], states[0], merged(inputs, chosen, quiet=quiet))


@dataclass(frozen=True)
class MergedStates:
    """What is merged, in memory: a `MergeInputs`."""

    plan: MergePlan
    states: Sequence[Mapping[str, Tensor]]
    start: Mapping[str, Tensor] | None = None
    told: Sequence[Evidence] = ()

    def names(self) -> Sequence[str]:
        """Of the tensors that the method merges."""
        return [name for name, what in self.plan.policies.items() if what is Policy.MERGE]

    def tensors(self, name: str) -> Sequence[Tensor]:
        """One an input."""
        return [state[name] for state in self.states]

    def base(self, name: str) -> Tensor | None:
        """The common start."""
        return None if self.start is None else self.start[name]

    def coefficients(self) -> Mapping[str, tuple[Coefficient, ...]]:
        """By name, one number an input."""
        return self.plan.coefficients

    def evidence(self) -> Sequence[Evidence]:
        """What is known of each input beside its tensors."""
        return self.told


def merged(inputs: MergedStates, method: MergeMethod, *, quiet: bool = False) -> dict[str, Tensor]:
    """Every tensor by its policy, in the first input's types."""
    ready = method.surveyed(inputs) if method.facts.surveys else method
    result = dict[str, Tensor]()
    for name, what in inputs.plan.policies.items():
        tensors = inputs.tensors(name)
        # one tensor at a time is held in the wider type
        if what is Policy.MERGE:
            about = MergedTensor(name, inputs.base(name), evidence_of(name, inputs.told))
            value = ready.merge(tensors, inputs.plan.coefficients[name], about)
            result[name] = value.to(tensors[0].dtype)
        else:
            shares = inputs.plan.coefficients.get(name, ())
            result[name] = kept(name, what, tensors, shares)
    if not quiet:
        _say_infinite(inputs, result)
        _say_refit([n for n, w in inputs.plan.policies.items() if w is Policy.AVERAGE], inputs)
        _say_factors(inputs.names())
    return result


def kept(
    name: str, what: Policy, tensors: Sequence[Tensor], shares: Sequence[Coefficient]
) -> Tensor:
    """A tensor that no method merges.

    Raises:
        InputError: integers or masks that must be equal are not.
    """
    first = tensors[0]
    if what is Policy.ZERO:
        return torch.zeros_like(first)
    if what is Policy.MAX:
        return torch.stack([tensor.to(first) for tensor in tensors]).amax(0)
    if what is Policy.AVERAGE:
        # scales of task vectors need not sum to one, and a mean's shares must
        total: Coefficient = sum(shares)
        if not isinstance(total, Tensor) and not total:
            shares, total = (1,) * len(tensors), len(tensors)
        pairs = zip(tensors, shares, strict=True)
        return torch.stack([tensor.to(first) * (share / total) for tensor, share in pairs]).sum(0)
    if what is Policy.EQUAL:
        for place, other in enumerate(tensors[1:], 2):
            if not torch.equal(first, other):
                raise InputError(
                    f"{name}: integers and masks are not averaged, and model {place} has others"
                    f" than model 1; say what is meant, such as buffers={{{name!r}: 'first'}}"
                )
    return first.clone()


def _base(
    method: MergeMethod, base: Model | None, states: Sequence[NamedState]
) -> Mapping[str, Tensor] | None:
    if base is None:
        if method.facts.base:
            raise InputError(
                f"merge: {type(method).__name__} merges what was learnt since a common start; give"
                " it as base="
            )
        return None
    state = NamedState.of(base)
    agree([states[0], state])
    return state.under(states[0].tensors)


def _evidence(
    method: MergeMethod, evidence: Sequence[Evidence] | None, models: int
) -> Sequence[Evidence]:
    needed = method.facts.evidence
    if bool(needed) != (evidence is not None):
        name = type(method).__name__
        what = f"needs evidence= ({needed})" if needed else "takes no evidence"
        raise InputError(f"merge: {name} {what}")
    if method.facts.models not in (0, models):
        raise InputError(
            f"merge: {type(method).__name__} takes {method.facts.models} models, found {models}"
        )
    if evidence is not None and len(evidence) != models:
        raise InputError(
            f"merge: one piece of evidence for each of {models} models is expected, found"
            f" {len(evidence)}"
        )
    return method.read(evidence or ())


def _say_infinite(inputs: MergedStates, result: Mapping[str, Tensor]) -> None:
    """What is not finite in a result is so in a model, or comes of the weights: which is said."""
    for name, tensor in result.items():
        if not tensor.is_floating_point() or tensor.device.type == "meta" or _finite(tensor):
            continue
        whose = [k for k, one in enumerate(inputs.tensors(name), 1) if not _finite(one)]
        why = f"so it is in model {' and '.join(map(str, whose))}" if whose else "no model's is so"
        warnings.warn(
            f"{name!r} of the merged model is not finite: {why}", MergeWarning, stacklevel=4
        )
        return


def _finite(tensor: Tensor) -> bool:
    with torch.no_grad():
        # a sum is finite only if all are; one that is not may be too large, and is looked into
        return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


def _say_refit(averaged: Sequence[str], inputs: MergedStates) -> None:
    """Statistics of a normalisation are of no model's activations once models differ."""
    moved = [
        name
        for name in averaged
        if any(not torch.equal(inputs.tensors(name)[0], one) for one in inputs.tensors(name)[1:])
    ]
    if moved:
        layers = dict.fromkeys(name.rpartition(".")[0] for name in moved)
        warnings.warn(
            f"the statistics of {len(layers)} normalisation layers ({next(iter(layers))}, ...) are"
            " averages, and not those of the merged model; refit(model, inputs) re-estimates them",
            MergeWarning,
            stacklevel=4,
        )


def _say_factors(names: Sequence[str]) -> None:
    factors = [name for name in names if is_factor(name)]
    if factors:
        warnings.warn(
            f"{len(factors)} tensors ({factors[0]}, ...) are factors of low-rank adapters, each"
            " merged by itself: their product is not that of the adapters; lora_products makes"
            " tensors whose merge is",
            MergeWarning,
            stacklevel=4,
        )


def like_model(like: _Model, state: NamedState, tensors: Mapping[str, Tensor]) -> _Model:
    """A module or state dict with other tensors.

    Args:
        like: a module is copied; of a state dict the names are taken.
        state: its own.
        tensors: by plain name, tied ones once.
    """
    named = {key: tensors[state.ties.get(name, name)] for name, key in state.keys.items()}
    if not isinstance(like, nn.Module):
        return cast(_Model, named)
    # copied before it is loaded: ties, modes, hooks and plain attributes are the first model's
    copied = copy.deepcopy(unwrapped(like))
    copied.load_state_dict(named)
    return cast(_Model, copied)
