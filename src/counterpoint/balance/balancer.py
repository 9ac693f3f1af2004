"""The balancer: named losses in, `.grad` filled, a record out."""

import math
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import Tensor, nn

from counterpoint.balance.catch import Catch, unwrapped
from counterpoint.balance.checks import check_features, check_losses, check_model
from counterpoint.balance.fill import fill, scale_of
from counterpoint.balance.gram import Gram
from counterpoint.balance.judge import POLICIES, Verdict, judge
from counterpoint.balance.monitor import Alarm, remedied
from counterpoint.balance.objective import stacked
from counterpoint.balance.ranks import Ranks
from counterpoint.balance.record import Step
from counterpoint.balance.rule import Rule
from counterpoint.balance.rules import rule as named_rule
from counterpoint.balance.saved import Saved, pack, unpack
from counterpoint.balance.sources import Measured, Scene, Sketch, choose, made_source
from counterpoint.balance.watch import Watch
from counterpoint.balance.weigh import Weigher
from counterpoint.errors import InputError, nearest
from counterpoint.goals import Goals
from counterpoint.parameters import Pattern, select

__all__ = ["BalanceWarning", "Balancer"]


class BalanceWarning(UserWarning):
    """The monitor of a balancer has something to say."""


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
            "loss", or "auto", which looks at rule and model and says in the record what it chose.
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
        seed: of everything drawn here; torch's generators are not touched.
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
        gram: str = "auto",
        at: Pattern | None = None,
        every: int = 1,
        preference: Mapping[str, float] | None = None,
        nonfinite: str = "raise",
        on_alarm: str | Callable[[Alarm], object] = "warn",
        monitor: bool = True,
        seed: int = 0,
        group: dist.ProcessGroup | None = None,
    ) -> None:
        if isinstance(every, bool) or every < 1:
            raise InputError(f"every: expected a whole number of at least 1, found {every!r}")
        if nonfinite not in POLICIES:
            raise InputError(
                f"nonfinite: expected one of {', '.join(POLICIES)}, found {nonfinite!r}"
                f"{nearest(nonfinite, POLICIES)}"
            )
        if isinstance(on_alarm, str) and on_alarm not in ("warn", "remedy"):
            raise InputError(
                f"on_alarm: expected 'warn', 'remedy' or a function, found {on_alarm!r}"
            )
        for name, wanted in (preference or {}).items():
            if not (wanted > 0 and math.isfinite(wanted)):
                raise InputError(f"preference: goal {name!r}: expected above 0, found {wanted!r}")
        self._weigher = Weigher(named_rule(rule), preference or {}, seed)
        self._catch: Catch | None = None
        if at is not None and gram in ("auto", "features"):
            if not isinstance(at, str | nn.Module):
                raise InputError("at: features come from one part of the model; give its name")
            gram, self._catch = "features", Catch(at)
        self._source = None if gram == "auto" else made_source(gram, at=at, seed=seed)
        self._choice: tuple[str, str] | None = None
        self._at = at
        self._every, self._nonfinite, self._on_alarm = every, nonfinite, on_alarm
        self._ranks = Ranks(group)
        self._watch = Watch(seed) if monitor else None
        self._count = 0
        self._of: tuple[str, ...] = ()  # the goals of what is kept between measurements
        self._kept = (torch.zeros(0), torch.zeros(0), torch.zeros(0, 0))

    @property
    def rule(self) -> Rule:
        """The rule."""
        return self._weigher.rule

    @property
    def source(self) -> str:
        """Where the Gram matrix comes from, and why; "" before "auto" has seen a step."""
        return "" if self._source is None else self._source.text

    @property
    def in_force(self) -> tuple[Alarm, ...]:
        """The failures that the monitor sees at present."""
        return () if self._watch is None else self._watch.monitor.in_force

    def backward(
        self,
        losses: Mapping[str, Tensor],
        model: nn.Module,
        *,
        features: Tensor | Sequence[Tensor] | None = None,
        scaler: torch.amp.GradScaler | None = None,
        refresh: bool = True,
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
            backward: what is called with F in place of ``F.backward()``: ``fabric.backward``, or
                a LightningModule's ``self.manual_backward``.

        Raises:
            InputError: names the goal, the rule and what was found; `.grad` is as it was.
        """
        found = check_losses(losses)
        check_model(model)
        passed = check_features(features)
        if self._catch is not None and not passed and self._measures(tuple(found), refresh):
            passed = self._catch.take()
        scale = None if scaler is None else scale_of(scaler, next(iter(found.values())))
        self._ranks.agree(tuple(found), next(iter(found.values())).device)
        scene = Scene(
            names=tuple(found),
            losses=[*found.values()],
            model=model,
            ranks=self._ranks,
            features=passed,
            scale=scale,
            backward=backward,
        )
        return self._go(scene, refresh)

    def step(
        self,
        goals: Goals,
        model: nn.Module,
        batch: Mapping[str, Tensor],
        *,
        scaler: torch.amp.GradScaler | None = None,
        refresh: bool = True,
        backward: Callable[[Tensor], object] | None = None,
    ) -> Step:
        """Evaluate the goals and add the balanced gradient to `.grad`.

        What the loop uses, and what "sketch" needs: it evaluates the goals once more.

        Args:
            goals: ``goals(model, batch) -> {name: scalar}``.
            model: the model.
            batch: what the goals are evaluated on.
            scaler: see `backward`.
            refresh: see `backward`.
            backward: see `backward`.

        Raises:
            InputError: see `backward`.
        """
        check_model(model)
        if isinstance(self._source, Sketch) and self._measures(None, refresh):
            self._source.look(goals, model, batch, self._moved(model), self._ranks)
        with self.watching(model):
            losses = goals(model, batch)
        return self.backward(losses, model, scaler=scaler, refresh=refresh, backward=backward)

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
        weights, norms, cosines = self._kept
        return pack(
            Saved(
                {"count": self._count, "choice": self._choice, "of": self._of},
                weigher=self._weigher.state(),
                source=self._source.state() if isinstance(self._source, Sketch) else {},
                watch={} if self._watch is None else self._watch.state(),
                kept={"weights": weights, "norms": norms, "cosines": cosines},
            )
        )

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state_dict` was called: the same steps, to the bit.

        Raises:
            InputError: it is the state of another rule or source.
        """
        saved = unpack(state)
        self._weigher.restore(saved.weigher)
        if isinstance(self._source, Sketch) and saved.source:
            self._source.restore(saved.source)
        if self._watch is not None and saved.watch:
            self._watch.restore(saved.watch)
        self._count, self._of = saved.values["count"], tuple(saved.values["of"])
        self._kept = saved.kept["weights"], saved.kept["norms"], saved.kept["cosines"]
        if saved.values["choice"] is not None:
            gram, why = saved.values["choice"]
            self._choice = (gram, why)
            self._source = made_source(gram, why)

    def _go(self, scene: Scene, refresh: bool) -> Step:
        values = self._ranks.mean(stacked(scene.losses).detach().double())
        fresh = self._measures(scene.names, refresh)
        measured = self._measure(scene) if fresh else None
        verdict = judge(self._nonfinite, scene, values, measured)
        counted = refresh or not self._count
        position = (
            self._watch.position(scene.model, self._ranks) if self._watch and counted else None
        )
        step = self._weighed(scene, values, measured, verdict)
        if not verdict.skipped:
            fill(scene, step.weights, verdict.kept, measured)
        return self._noted(step, position, counted)

    def _measures(self, names: tuple[str, ...] | None, refresh: bool) -> bool:
        """Whether this step measures."""
        if not self._of or (names is not None and self._of != names):
            return True
        return refresh and self._count % self._every == 0

    def _measure(self, scene: Scene) -> Measured:
        if len(scene.names) == 1:
            return Measured.nothing(scene)
        source = self._source
        if source is None:
            self._choice = choose(self.rule, scene)
            source = self._source = made_source(*self._choice)
        return source.measure(scene)

    def _weighed(
        self, scene: Scene, values: Tensor, measured: Measured | None, verdict: Verdict
    ) -> Step:
        weights, norms, cosines = self._known(scene, values, measured, verdict)
        if verdict.skipped:
            score = values.mean()
        elif len(verdict.kept) < len(values):
            score = values[list(verdict.kept)].mean()
        else:
            score = (
                stacked(scene.losses).detach().mean() if self._ranks.count == 1 else values.mean()
            )
        return Step(
            names=scene.names,
            losses=values,
            score=score,
            weights=weights,
            norms=norms,
            cosines=cosines,
            source=self.source,
            fresh=measured is not None,
            dropped=verdict.dropped,
            skipped=verdict.skipped,
        )

    def _known(
        self, scene: Scene, values: Tensor, measured: Measured | None, verdict: Verdict
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Weights of all goals (0 for those that take no part), norms and cosines."""
        kept, whole = list(verdict.kept), len(verdict.kept) == len(values)
        if measured is None:
            weights, norms, cosines = (part.to(values.device) for part in self._kept)
            return (weights if whole else _only(weights, kept)), norms, cosines
        gram = measured.gram
        if whole:
            weights = self._held(scene.names, values, gram)
        else:
            weights = torch.zeros_like(values)
            if kept:
                part = Gram(gram.norms[kept], gram.cosines[kept][:, kept])
                weights[kept] = self._held([scene.names[k] for k in kept], values[kept], part)
        if self._every > 1:
            sound = torch.isfinite(weights).all()
            old = self._kept[0].to(weights.device) if self._of == scene.names else 1.0
            self._kept = torch.where(sound, weights, old), gram.norms, gram.cosines
        else:
            self._kept = weights, gram.norms, gram.cosines
        self._of = scene.names
        return weights, gram.norms, gram.cosines

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

    def _moved(self, model: nn.Module) -> list[nn.Parameter]:
        """The weights that a sketch moves."""
        inner = unwrapped(model)
        chosen = inner.parameters() if self._at is None else select(inner, self._at).values()
        return [weight for weight in chosen if weight.requires_grad]


def _only(weights: Tensor, kept: Sequence[int]) -> Tensor:
    """Weights of the kept goals, 0 elsewhere."""
    some = torch.zeros_like(weights)
    some[list(kept)] = weights[list(kept)]
    return some
