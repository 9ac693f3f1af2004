"""The balancer: named losses in, `.grad` filled, a record out."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from counterpoint.balance._checks import (
    POLICIES,
    check_arguments,
    check_features,
    check_losses,
    check_model,
)
from counterpoint.balance._engine import Engine
from counterpoint.balance._ranks import Ranks
from counterpoint.balance._rule import Rule
from counterpoint.balance._state import RuleState
from counterpoint.balance._step import Alarm, BalancedStep
from counterpoint.balance.monitor import MonitorState
from counterpoint.balance.rules import rule as named_rule
from counterpoint.balance.sources import (
    GRAMS,
    BackwardOptions,
    FeatureHook,
    GramSource,
    SourceState,
    spelt,
)
from counterpoint.data import Unpack, as_batch
from counterpoint.errors import one_of
from counterpoint.goals import Goals, call_goals
from counterpoint.parameters import Pattern
from counterpoint.storage import below, pack_state, refuse_other_settings, unpack_state


class Balancer:
    """Lets several goals share each step.

    A rule turns the Gram matrix of the goals' gradients into weights w; one ordinary backward pass
    of ``F = sg(T) + M - sg(M)``, with ``T = mean L_k`` and ``M = mean sg(w_k) L_k``, adds
    ``(1/K) sum_k w_k g_k`` to `.grad`, while the value that anything reads stays T. Where the
    source has all gradients at hand already, and no hook waits for a backward pass, it adds them
    itself: the same sums in another order.

    Args:
        rule: a rule, or its name; see `counterpoint.balance.rules`.
        gram: where the Gram matrix comes from: "features", "parameters", "last", "sketch",
            "loss", a source with settings of its own such as ``Sketch(probes=4)``, or "auto", which
            looks at rule and model and says in the record what it chose.
        at: the part of the model to measure at: a module's dotted name, a glob, a module, a list of
            these, or for all but "features" a function; see `counterpoint.parameters.Pattern`.
            "features" takes what the part returns, the others the weights in it.
        every: steps from one measurement to the next; weights are kept in between.
        preference: how much a goal is wanted, by name; 1 where nothing is said. What a rule does
            with it is in its docstring.
        nonfinite: what to do with a goal that is not finite: "raise"; "skip" the step; "drop" the
            goal from the step; "pass" it on. All but the last wait for the device at every
            step, and let no weight reach `.grad` that is not finite. With a GradScaler everything
            is passed on, and the scaler skips the step.
        on_alarm: "warn"; "remedy": hold weights back as `counterpoint.balance.monitor.remedied`
            says; or a function that is given every `Alarm`.
        monitor: whether to look for failures; see `counterpoint.balance.monitor`.
        seed: of everything drawn here.
        group: the process group of DistributedDataParallel; None: the default one.

    Raises:
        InputError: names the argument, its rule, and the nearest valid value.

    >>> model = nn.Linear(2, 1)
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0], [2.0]])
    >>> losses = {"fit": (model(x) - y).square().mean(), "decay": model.weight.square().sum()}
    >>> step = Balancer("impartial").backward(losses, model)
    >>> pulls = step.weights * step.norms
    >>> torch.allclose(pulls[0], pulls[1])  # each pulls as hard as the other
    True
    """

    def __init__(
        self,
        rule: str | Rule = "magnitude",
        *,
        gram: str | GramSource = "auto",
        at: Pattern | None = None,
        every: int = 1,
        preference: Mapping[str, float] | None = None,
        nonfinite: str = "raise",
        on_alarm: str | Callable[[Alarm], object] = "warn",
        monitor: bool = True,
        seed: int = 0,
        group: dist.ProcessGroup | None = None,
    ) -> None:
        check_arguments(every, preference)
        if isinstance(on_alarm, str):
            on_alarm = one_of("on_alarm: a function or a name", on_alarm, ("warn", "remedy"))
        if isinstance(gram, str):
            gram = one_of("gram", gram, GRAMS)
        hook = None
        if at is not None and gram in ("auto", "features"):
            gram, hook = "features", FeatureHook(at)
        chosen = named_rule(rule)
        self._engine = Engine(
            rule=RuleState(chosen, preference or {}, seed),
            source=SourceState(gram, chosen, at, seed),
            hook=hook,
            every=every,
            nonfinite=one_of("nonfinite", nonfinite, POLICIES),
            on_alarm=on_alarm,
            ranks=Ranks(group),
            monitor=MonitorState(seed) if monitor else None,
        )

    @property
    def rule(self) -> Rule:
        """The rule."""
        return self._engine.rule.rule

    @property
    def source(self) -> str:
        """Where the Gram matrix comes from, and why; "" before "auto" has seen a step."""
        return self._engine.source.text

    def describe(self) -> dict[str, str | int | float]:
        """Everything that decides what it does, as plain values: for the identity of a run."""
        engine = self._engine
        settings = {
            "rule": repr(self.rule),
            "gram": engine.source.name,
            "at": spelt(engine.source.at),
            "every": engine.every,
            "nonfinite": engine.nonfinite,
            "remedy": str(engine.on_alarm == "remedy"),
        }
        wanted = sorted(engine.rule.wanted.items())
        return settings | {f"preference.{name}": float(value) for name, value in wanted}

    @property
    def in_force(self) -> tuple[Alarm, ...]:
        """The failures that the monitor sees now."""
        return () if self._engine.monitor is None else self._engine.monitor.in_force

    def backward(
        self,
        losses: Mapping[str, Tensor],
        model: nn.Module,
        *,
        features: Tensor | Sequence[Tensor] | None = None,
        scaler: torch.amp.GradScaler | None = None,
        refresh: bool = True,
        share: float = 1.0,
        backward: Callable[[Tensor], object] | None = None,
    ) -> BalancedStep:
        """Add the balanced gradient to `.grad`, as ``loss.backward()`` would.

        The graph is freed, as there. Under DistributedDataParallel every rank calls this at once,
        with the same goals; the gradient is the mean over ranks, and so are all numbers of the
        record.

        Args:
            losses: named scalars with graphs; the names may differ from step to step.
            model: the model, wrapped as it is called.
            features: the shared representation that the heads were given, if it is to be measured
                there; without it "features" finds in the graph where the goals meet.
            scaler: the GradScaler of an automatic mixed precision loop: gradients are scaled, and
                the record is not.
            refresh: False for the further parts of an accumulated step: the weights of the part
                before are used, and nothing is measured or counted.
            share: the part's share of an accumulated step (its rows over those of the step): what
                the gradient is multiplied by. Rule and record see the losses as they are.
            backward: what is called with F in place of ``F.backward()``: ``fabric.backward``, or
                a LightningModule's ``self.manual_backward``.

        Raises:
            InputError: names the goal, the rule and what was found; `.grad` is as it was.
        """
        found, options = check_losses(losses), BackwardOptions(scaler, refresh, share, backward)
        context = self._engine.capture(found, check_model(model), options, check_features(features))
        return self._engine.balance(context)

    def step(
        self,
        goals: Goals,
        model: nn.Module,
        batch: Any,
        *,
        scaler: torch.amp.GradScaler | None = None,
        refresh: bool = True,
        share: float = 1.0,
        backward: Callable[[Tensor], object] | None = None,
        unpack: Unpack | None = None,
    ) -> BalancedStep:
        """Evaluate the goals and add the balanced gradient to `.grad`.

        What "sketch" needs: it evaluates the goals once more.

        Args:
            goals: ``goals(model, batch) -> {name: scalar}``.
            model: the model.
            batch: what the goals are evaluated on.
            scaler: see `backward`.
            refresh: see `backward`.
            share: see `backward`.
            backward: see `backward`.
            unpack: reads the batch; none means `counterpoint.data.as_batch`.

        Raises:
            InputError: see `backward`.
        """
        check_model(model)
        batch, options = as_batch(batch, unpack), BackwardOptions(scaler, refresh, share, backward)
        # before the step's own forward pass, whose graph the moved weights must not enter
        look = self._engine.look(goals, model, batch, options)
        with self.watching(model):
            found = check_losses(call_goals(goals, model, batch))
        return self._engine.balance(self._engine.capture(found, model, options, look=look))

    @contextmanager
    def watching(self, model: nn.Module) -> Generator[None, None, None]:
        """Catch what the part `at` returns inside the block; nothing without `at`."""
        if self._engine.hook is None:
            yield
            return
        with self._engine.hook.watching(model):
            yield

    def state_dict(self) -> dict[str, Tensor]:
        """All that the steps to come depend on, as tensors on the CPU; may wait for the device."""
        engine = self._engine
        values = {
            "count": engine.count,
            "choice": engine.source.choice,
            "of": engine.last.names,
            "settings": self.describe(),
        }
        groups = {"weigher": engine.rule.state(), "kept": engine.last.state()}
        groups["source"] = engine.source.state()
        if engine.monitor is not None:
            groups["watch"] = engine.monitor.state()
        return pack_state(values, groups)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state_dict` was called: the same steps, to the bit.

        Raises:
            InputError: it is the state of a balancer with other settings; names the first.
        """
        engine, values = self._engine, unpack_state(state, "balancer")
        refuse_other_settings("balancer", values["settings"], self.describe())
        engine.rule.restore(below(state, "weigher"))
        engine.last.restore(values["of"], below(state, "kept"))
        engine.count = values["count"]
        engine.source.restore(values["choice"], below(state, "source"))
        # a state may be of a balancer without a monitor: that is no setting, nothing depends on it
        if engine.monitor is not None and (watched := below(state, "watch")):
            engine.monitor.restore(watched)
