"""The balancer: named losses in, `.grad` filled, a record out."""

import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from counterpoint.balance.catch import Catch, unwrapped
from counterpoint.balance.checks import (
    BalanceWarning,
    check_arguments,
    check_features,
    check_losses,
    check_model,
)
from counterpoint.balance.fill import exactly, fill, scale_of, score_of
from counterpoint.balance.gram import Gram
from counterpoint.balance.judge import Verdict, judge
from counterpoint.balance.kept import Kept
from counterpoint.balance.monitor import Alarm, remedied
from counterpoint.balance.objective import stacked
from counterpoint.balance.ranks import Ranks
from counterpoint.balance.record import Step
from counterpoint.balance.rule import Rule
from counterpoint.balance.rules import rule as named_rule
from counterpoint.balance.saved import Saved, pack, same_settings, unpack
from counterpoint.balance.sources import (
    Measured,
    Scene,
    Sketch,
    Source,
    Unfit,
    choose,
    made_source,
    movable,
    told_source,
)
from counterpoint.balance.watch import Watch
from counterpoint.balance.weigh import Weigher
from counterpoint.goals import Goals
from counterpoint.parameters import Pattern

__all__ = ["Balancer"]


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
        at: for "features" the part of the model that returns them (its name, or itself); for the
            others the weights that count; see `counterpoint.parameters.Pattern`.
        every: steps from one measurement to the next; weights are kept in between.
        preference: how much a goal is wanted, by name; 1 where nothing is said. What a rule does
            with it is in its docstring.
        nonfinite: what to do with a goal that is not finite: "raise"; "skip" the step; "drop" the
            goal from the step; "pass" it on. All but the last wait for the device once a step.
            With a GradScaler everything is passed on, and the scaler skips the step.
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
        gram: str | Source = "auto",
        at: Pattern | None = None,
        every: int = 1,
        preference: Mapping[str, float] | None = None,
        nonfinite: str = "raise",
        on_alarm: str | Callable[[Alarm], object] = "warn",
        monitor: bool = True,
        seed: int = 0,
        group: dist.ProcessGroup | None = None,
    ) -> None:
        check_arguments(every, nonfinite, on_alarm, preference)
        self._weigher = Weigher(named_rule(rule), preference or {}, seed)
        self._catch: Catch | None = None
        if at is not None and gram in ("auto", "features"):
            gram, self._catch = "features", Catch(at)
        self._source = told_source(gram, at, seed)
        self._choice: tuple[str, str] | None = None
        self._at = at
        self._every, self._nonfinite, self._on_alarm = every, nonfinite, on_alarm
        self._ranks = Ranks(group)
        self._watch = Watch(seed) if monitor else None
        self._count = 0
        self._kept = Kept()

    @property
    def rule(self) -> Rule:
        """The rule."""
        return self._weigher.rule

    @property
    def source(self) -> str:
        """Where the Gram matrix comes from, and why; "" before "auto" has seen a step."""
        return "" if self._source is None else self._source.text

    def describe(self) -> dict[str, str | int | float]:
        """Everything that decides what it does, as plain values: for the identity of a run."""
        source = "auto" if self._choice is not None or self._source is None else self._source.text
        told = {
            "rule": repr(self.rule),
            "gram": source,
            "at": repr(self._at),
            "every": self._every,
            "nonfinite": self._nonfinite,
            "remedy": str(self._on_alarm == "remedy"),
        }
        wanted = sorted(self._weigher.wanted.items())
        return told | {f"preference.{name}": float(value) for name, value in wanted}

    @property
    def in_force(self) -> tuple[Alarm, ...]:
        """The failures that the monitor sees now."""
        return () if self._watch is None else self._watch.monitor.in_force

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
    ) -> Step:
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
        found = check_losses(losses)
        check_model(model)
        passed = check_features(features)
        passed = passed or self._caught(tuple(found), refresh)
        told = {"features": passed, "share": share, "backward": backward}
        return self._go(self._scene(found, model, scaler, told), refresh)

    def step(
        self,
        goals: Goals,
        model: nn.Module,
        batch: Mapping[str, Tensor],
        *,
        scaler: torch.amp.GradScaler | None = None,
        refresh: bool = True,
        share: float = 1.0,
        backward: Callable[[Tensor], object] | None = None,
    ) -> Step:
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

        Raises:
            InputError: see `backward`.
        """
        check_model(model)
        looks = self._measures(None, refresh)
        if isinstance(self._source, Sketch) and looks:
            self._source.look(goals, model, batch, movable(unwrapped(model), self._at), self._ranks)
        with self.watching(model):
            found = check_losses(goals(model, batch))
        # other goals than before, between two looks: nothing is known of them yet
        blind = isinstance(self._source, Sketch) and not looks
        caught = self._caught(tuple(found), refresh)
        told = {"features": caught, "share": share, "backward": backward, "blind": blind}
        return self._go(self._scene(found, model, scaler, told), refresh)

    @contextmanager
    def watching(self, model: nn.Module) -> Generator[None, None, None]:
        """Catch what the part `at` returns inside the block; nothing without `at`."""
        if self._catch is None:
            yield
            return
        with self._catch.watching(model):
            yield

    def state_dict(self) -> dict[str, Tensor]:
        """All that the steps to come depend on, as tensors on the CPU; may wait for the device."""
        return pack(
            Saved(
                {
                    "count": self._count,
                    "choice": self._choice,
                    "of": self._kept.names,
                    "settings": self.describe(),
                },
                weigher=self._weigher.state(),
                source=self._source.state() if isinstance(self._source, Sketch) else {},
                watch={} if self._watch is None else self._watch.state(),
                kept=self._kept.state(),
            )
        )

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state_dict` was called: the same steps, to the bit.

        Raises:
            InputError: it is the state of a balancer with other settings; names the first.
        """
        saved = unpack(state)
        same_settings(saved.values["settings"], self.describe())
        self._weigher.restore(saved.weigher)
        if isinstance(self._source, Sketch) and saved.source:
            self._source.restore(saved.source)
        if self._watch is not None and saved.watch:
            self._watch.restore(saved.watch)
        self._count = saved.values["count"]
        self._kept.restore(saved.values["of"], saved.kept)
        if saved.values["choice"] is not None:
            gram, why = saved.values["choice"]
            self._choice, self._source = (gram, why), made_source(gram, why)
        elif self._choice is not None:
            self._choice = self._source = None

    def _scene(
        self,
        losses: Mapping[str, Tensor],
        model: nn.Module,
        scaler: torch.amp.GradScaler | None,
        told: dict[str, Any],
    ) -> Scene:
        scale = scale_of(scaler, next(iter(losses.values())))
        names, values = tuple(losses), [*losses.values()]
        return Scene(names, values, model, self._ranks, scale=scale, **told)

    def _go(self, scene: Scene, refresh: bool) -> Step:
        self._ranks.agree(scene.names, scene.losses[0].device)
        values = self._ranks.mean(stacked(scene.losses).detach().double())
        fresh = self._measures(scene.names, refresh)
        with exactly(values.device.type):
            measured = self._measure(scene) if fresh else None
            verdict = judge(self._nonfinite, scene, values, measured)
            counted = refresh or not self._count
            position = None
            if self._watch is not None and counted:
                position = self._watch.position(scene.model, self._ranks)
            step = self._weighed(scene, values, measured, verdict)
            if not verdict.skipped:
                fill(scene, step.weights, verdict.kept, measured)
        return self._noted(step, position, counted)

    def _caught(self, names: tuple[str, ...], refresh: bool) -> tuple[Tensor, ...]:
        if self._catch is None:
            return ()
        return self._catch.take(wanted=self._measures(names, refresh))

    def _measures(self, names: tuple[str, ...] | None, refresh: bool) -> bool:
        """Whether this step does."""
        if not self._kept.names or (names is not None and self._kept.names != names):
            return True
        return refresh and self._count % self._every == 0

    def _measure(self, scene: Scene) -> Measured:
        if len(scene.names) == 1 or scene.blind:
            return Measured.nothing(scene)
        if self._source is None:
            return self._chosen(scene)
        try:
            return self._source.measure(scene)
        except Unfit:
            if self._choice is None:
                raise
            return self._chosen(scene)  # the goals of this step are others than it was chosen for

    def _chosen(self, scene: Scene) -> Measured:
        self._choice = choose(self.rule, scene)
        self._source = made_source(*self._choice)
        return self._source.measure(scene)

    def _weighed(
        self, scene: Scene, values: Tensor, measured: Measured | None, verdict: Verdict
    ) -> Step:
        weights, gram = self._known(scene, values, measured, verdict)
        return Step(
            names=scene.names,
            losses=values,
            score=score_of(scene, values, verdict.kept),
            weights=weights,
            norms=gram.norms,
            cosines=gram.cosines,
            source=self._words(measured),
            fresh=measured is not None,
            dropped=verdict.dropped,
            skipped=verdict.skipped,
        )

    def _words(self, measured: Measured | None) -> str:
        if measured is None or not measured.unseen:
            return self.source
        return f"{self.source}; not seen there: {', '.join(measured.unseen)}"

    def _known(
        self, scene: Scene, values: Tensor, measured: Measured | None, verdict: Verdict
    ) -> tuple[Tensor, Gram]:
        """Weights of all goals (0 for those that take no part), and what is known of gradients."""
        kept, whole = list(verdict.kept), len(verdict.kept) == len(values)
        if measured is None:
            return self._kept.weights(kept, values.device), self._kept.gram(values.device)
        gram = measured.gram
        if scene.blind:
            self._kept.drop()
            return self._weigher.preference(scene.names).to(values.device), gram
        if whole:
            weights = self._held(scene.names, values, gram)
            self._kept.keep(scene.names, weights, gram, filled=self._every > 1)
            return weights, gram
        self._kept.drop()
        weights = torch.zeros_like(values)
        if kept:
            part = Gram(gram.norms[kept], gram.cosines[kept][:, kept])
            weights[kept] = self._held([scene.names[k] for k in kept], values[kept], part)
        return weights, gram

    def _held(self, names: Sequence[str], values: Tensor, gram: Gram) -> Tensor:
        """The rule's weights, held back if an alarm is in force and remedies are wanted."""
        weights = self._weigher.weigh(names, values, gram)
        if self._on_alarm != "remedy" or not self.in_force:
            return weights
        wanted = self._weigher.preference(names).to(values.device)
        return remedied(weights, gram.norms, names, self.in_force, wanted)

    def _noted(self, step: Step, position: Tensor | None, counted: bool) -> Step:
        if not counted:
            return step
        self._count += 1
        if self._watch is None or len(step.names) == 1:
            return step
        alarms = self._watch.add(step, position)
        for alarm in alarms:
            if callable(self._on_alarm):
                self._on_alarm(alarm)
            elif self._on_alarm == "warn" and not alarm.over:
                warnings.warn(f"{alarm.sentence}; {alarm.remedy}", BalanceWarning, stacklevel=4)
        return replace(step, alarms=alarms) if alarms else step
