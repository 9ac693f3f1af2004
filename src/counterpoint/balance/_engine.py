"""One step of a balancer, in the order in which it happens.

Capture the losses, measure their gradients, see which goals are finite, weigh them, add the
balanced gradient, note what happened: one method or function each, called by `Engine.balance` from
top to bottom, each given what the ones before it made.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.balance._checks import BalanceWarning
from counterpoint.balance._gram import Gram
from counterpoint.balance._ranks import Ranks
from counterpoint.balance._state import LastWeights, RuleState
from counterpoint.balance._step import Alarm, BalancedStep, Knowledge
from counterpoint.balance.monitor import MonitorState, remedied
from counterpoint.balance.sources import (
    BackwardOptions,
    FeatureHook,
    Measured,
    SourceState,
    StepContext,
)
from counterpoint.data import Batch
from counterpoint.errors import InputError, warn
from counterpoint.goals import Goals


@dataclass(frozen=True)
class _Participants:
    """Which goals take part in a step."""

    indices: tuple[int, ...]  # empty: the step is skipped
    dropped: tuple[str, ...] = ()  # names of those not finite, if any were looked for


@dataclass(frozen=True)
class _Look:
    """What a source saw before a step's forward pass."""

    found: object = None
    missed: bool = False  # it would have had to look, and was not due


@dataclass
class Engine:
    """What a `Balancer` works with: its settings, and what it remembers."""

    rule: RuleState
    source: SourceState
    hook: FeatureHook | None
    every: int  # steps from one measurement to the next
    nonfinite: str
    on_alarm: str | Callable[[Alarm], object]
    ranks: Ranks
    monitor: MonitorState | None
    last: LastWeights = field(default_factory=LastWeights)
    count: int = 0  # the parts of an accumulated step are one

    def balance(self, context: StepContext) -> BalancedStep:
        """From the captured losses to the record, with the gradient in `.grad` between."""
        with _exactly(context.means.device.type):
            measured = self._measure(context)
            goals = _finite_goals(self.nonfinite, context, measured)
            position = self._position(context)
            weights = self._weigh(context, measured.gram, goals.indices)
            goals = self._with_numbers(context, goals, weights)
            step = self._record(context, measured, goals, weights)
            if goals.indices:
                _add_gradient(context, weights, goals.indices, measured)
        return self._note(context, step, position)

    def look(
        self, goals: Goals, model: nn.Module, batch: Batch, options: BackwardOptions
    ) -> "_Look":
        """Let a source that evaluates the goals itself do so, if it is due."""
        if self.source.looks and self.last.names and not self._due(options):
            return _Look(missed=True)
        return _Look(self.source.look(goals, model, batch, self.ranks))

    def capture(
        self,
        losses: Mapping[str, Tensor],
        model: nn.Module,
        options: BackwardOptions,
        features: tuple[Tensor, ...] = (),
        look: "_Look | None" = None,
    ) -> StepContext:
        """All that is known before anything is differentiated; see `Balancer.backward`."""
        names, scalars, look = tuple(losses), [*losses.values()], look or _Look()
        if self.last.names == names and not self._due(options):
            knowledge = Knowledge.REUSED
        else:
            # a source that was not due meets goals that are not those of its last look
            knowledge = Knowledge.UNKNOWN if look.missed else Knowledge.FRESH
        if self.hook is not None and not features:
            features = self.hook.take(wanted=knowledge is not Knowledge.REUSED)
        scale = _scale_of(options.scaler, scalars[0])
        self.ranks.agree(names, scalars[0].device)
        return StepContext(
            names=names,
            losses=scalars,
            means=self.ranks.mean(stacked(scalars).detach().double()),
            model=model,
            ranks=self.ranks,
            knowledge=knowledge,
            counted=options.refresh or not self.count,
            features=features,
            scale=scale,
            options=options,
            looked=look.found,
        )

    def _due(self, options: BackwardOptions) -> bool:
        return options.refresh and self.count % self.every == 0

    def _measure(self, context: StepContext) -> Measured:
        if context.knowledge is Knowledge.REUSED:
            return Measured(self.last.gram(context.means.device), known=False)
        # one goal needs no weighing, so its gradient is not looked at either
        if context.knowledge is Knowledge.UNKNOWN or len(context.names) == 1:
            return Measured.nothing(context)
        return self.source.measure(context)

    def _position(self, context: StepContext) -> Tensor | None:
        """Where the weights are; before the backward pass, which may move them (a hook may)."""
        if self.monitor is None or not context.counted:
            return None
        return self.monitor.position(context.model, self.ranks)

    def _weigh(self, context: StepContext, gram: Gram, indices: Sequence[int]) -> Tensor:
        """Weights of all goals, (K,): 0 for those that take no part."""
        names, means = context.names, context.means
        if context.knowledge is Knowledge.REUSED:
            return self.last.weights(indices, means.device)
        if context.knowledge is Knowledge.UNKNOWN:
            self.last.forget()
            return self.rule.preference(names).to(means.device)
        if len(indices) == len(names):
            weights = self._held_back(names, gram, self.rule.weigh(names, means, gram))
            self.last.keep(names, weights, gram, mend=self.every > 1)
            return weights
        # what is measured without some goals says nothing of the next step, which may have them
        self.last.forget()
        weights = torch.zeros_like(means)
        if indices:
            some, chosen = [names[index] for index in indices], list(indices)
            part = Gram(gram.norms[chosen], gram.cosines[chosen][:, chosen])
            wanted = self.rule.weigh(some, means[chosen], part)
            weights[chosen] = self._held_back(some, part, wanted)
        return weights

    def _with_numbers(
        self, context: StepContext, goals: _Participants, weights: Tensor
    ) -> _Participants:
        """Who takes part if the rule's weights are numbers; else nobody, or the step is refused."""
        # a scaler finds what is not finite itself; weights of an earlier step were looked at then
        passed_on = self.nonfinite == "pass" or context.scale is not None
        if passed_on or not goals.indices or context.knowledge is not Knowledge.FRESH:
            return goals
        if bool(torch.isfinite(weights).all()):
            return goals
        self.last.forget()
        if self.nonfinite == "raise":
            pairs = zip(context.names, weights.tolist(), strict=True)
            raise InputError(
                f"rule {self.rule.rule!r}: its weights are not finite"
                f" ({', '.join(f'{name} {weight:g}' for name, weight in pairs)}), though every goal"
                " is; no gradient was added; use another rule or source, or nonfinite='skip'"
            )
        return replace(goals, indices=())

    def _held_back(self, names: Sequence[str], gram: Gram, weights: Tensor) -> Tensor:
        """The weights, or what a remedy makes of them while a failure is in force."""
        if self.on_alarm != "remedy" or self.monitor is None or not self.monitor.in_force:
            return weights
        wanted = self.rule.preference(names).to(weights.device)
        return remedied(weights, gram.norms, names, self.monitor.in_force, wanted)

    def _record(
        self, context: StepContext, measured: Measured, goals: _Participants, weights: Tensor
    ) -> BalancedStep:
        source = self.source.text
        if measured.unseen:
            source = f"{source}; not seen there: {', '.join(measured.unseen)}"
        return BalancedStep(
            names=context.names,
            losses=context.means,
            # before the backward pass: a compiled model may write over its outputs there
            score=_score(context, goals.indices),
            weights=weights,
            norms=measured.gram.norms,
            cosines=measured.gram.cosines,
            source=source,
            knowledge=context.knowledge,
            dropped=goals.dropped,
            skipped=not goals.indices,
        )

    def _note(
        self, context: StepContext, step: BalancedStep, position: Tensor | None
    ) -> BalancedStep:
        """Count the step, and let the monitor see it."""
        if not context.counted:
            return step
        self.count += 1
        if self.monitor is None or len(step.names) == 1:
            return step
        alarms = self.monitor.add(step, position)
        for alarm in alarms:
            if callable(self.on_alarm):
                self.on_alarm(alarm)
            elif self.on_alarm == "warn" and not alarm.over:
                warn(f"{alarm.sentence}; {alarm.remedy}", BalanceWarning)
        return replace(step, alarms=alarms) if alarms else step


def _finite_goals(policy: str, context: StepContext, measured: Measured) -> _Participants:
    """Who takes part, by what all ranks have in common, so that all decide alike."""
    everyone = tuple(range(len(context.names)))
    # nothing is looked at: what is not finite reaches `.grad`, where a scaler finds it and skips
    if policy == "pass" or context.scale is not None:
        return _Participants(everyone)
    # a sum of two numbers is finite if both are (neither is near the largest float64)
    numbers = context.means + measured.gram.norms if measured.known else context.means
    finite: list[bool] = torch.isfinite(numbers).tolist()
    if all(finite):
        return _Participants(everyone)
    dropped = tuple(name for name, good in zip(context.names, finite, strict=True) if not good)
    if policy == "raise":
        raise InputError(_not_finite(context, dropped[0]))
    if policy == "skip":
        return _Participants((), dropped)
    return _Participants(tuple(index for index in everyone if finite[index]), dropped)


def _add_gradient(
    context: StepContext, weights: Tensor, indices: Sequence[int], measured: Measured
) -> None:
    """Add ``(1/K) sum_k w_k g_k`` over the K goals that take part to `.grad`."""
    if measured.assemble is not None:
        measured.assemble(weights * context.options.share, indices)
        return
    whole = len(indices) == len(context.names)
    some = weights if whole else weights[torch.tensor(indices, device=weights.device)]
    value = modulated([context.losses[index] for index in indices], some)
    if context.options.share != 1.0:
        value = value * context.options.share
    if context.scale is not None:
        value = value * context.scale
    if not whole and context.ranks.count > 1:
        # other ranks wait for the gradient of every weight, also of those that only a dropped
        # goal depends on
        value = value + sum(0.0 * p.sum() for p in context.model.parameters() if p.requires_grad)
    if context.options.backward is None:
        value.backward()
    else:
        context.options.backward(value)


def modulated(losses: Sequence[Tensor], weights: Float[Tensor, " goals"]) -> Float[Tensor, ""]:
    """F = sg(T) + M - sg(M) with T = mean L_k and M = mean sg(w_k) L_k.

    The value of F is T for every w, bit for bit; its gradient is ``(1/K) sum_k w_k g_k``; w itself
    is not differentiated. Whatever reads the value (a line search, a schedule, early stopping, a
    log) never sees the weights.

    Args:
        losses: K scalars with a graph.
        weights: w, (K,).

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> value = modulated([x, x**2], torch.tensor([1.5, 0.5]))
    >>> value.item(), torch.autograd.grad(value, x)[0].item()  # (3 + 9) / 2, (1.5 + 0.5 * 6) / 2
    (6.0, 2.25)
    """
    values = stacked(losses)
    share = (values * weights.detach().to(values)).mean()
    # a - a is 0 unless it overflows, and then the gradient is not finite either; the brackets make
    # it so: (T + M) - M would round
    return values.detach().mean() + (share - share.detach())


def stacked(losses: Sequence[Tensor]) -> Float[Tensor, " goals"]:
    """The losses as one tensor, (K,), in float32 at least."""
    kinds = {loss.dtype for loss in losses}
    if len(kinds) == 1 and kinds <= {torch.float32, torch.float64}:
        return torch.stack(list(losses))
    kind = torch.float32
    for other in kinds:
        kind = torch.promote_types(kind, other)
    return torch.stack([loss.to(kind) for loss in losses])


def _score(context: StepContext, indices: Sequence[int]) -> Tensor:
    """T of the goals that take part (of all where none does), over all ranks; ()."""
    if 0 < len(indices) < len(context.names):
        return context.means[list(indices)].mean()
    if context.ranks.count > 1 or not indices:
        return context.means.mean()
    return stacked(context.losses).detach().mean()  # in the losses' own type, as F has it


def _scale_of(scaler: torch.amp.GradScaler | None, like: Tensor) -> Tensor | None:
    """What a scaler multiplies losses by, (); it is not waited for. None if it does nothing."""
    if scaler is None or not scaler.is_enabled():
        return None
    # the scale of 1: `get_scale` would bring it to Python, and so wait
    return scaler.scale(like.new_ones((), dtype=torch.float32)).detach()


def _not_finite(context: StepContext, name: str) -> str:
    """What to say of a goal that is not finite; every rank calls this at once."""
    own = torch.isfinite(torch.stack([loss.detach().double() for loss in context.losses]))
    where = context.ranks.blame(~own, context.names)
    value = context.means[context.names.index(name)].item()
    if where:
        what = f"not finite: {where}" if context.ranks.count > 1 else f"not finite ({value})"
    else:
        what = f"its value is finite ({value:g}), its gradient is not"
    return (
        f"goal {name!r}: {what}; no gradient was added; lower the rate, clip the gradient, look for"
        " values that are not finite in the data, or choose nonfinite='skip' or 'drop'"
    )


def _exactly(device: str) -> AbstractContextManager[object]:
    """A block in which no product is rounded by an autocast around the call."""
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
