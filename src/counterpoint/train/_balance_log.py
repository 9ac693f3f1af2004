"""Several goals share the steps of a run: the balancer at work, and what is kept of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from counterpoint.balance import Alarm, BalancedStep, Balancer
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Goals
from counterpoint.recipe import PLAIN, Training
from counterpoint.seeding import derive
from counterpoint.storage import JSONValue, below, pack_state, unpack_state

_MOST = 240  # records of a run: more than a figure has room for, and bounded however long it is
_SEEDS = 3  # the stream of seeds of the balancer


@dataclass(frozen=True)
class BalanceLog:
    """How the goals shared the steps: T records of single steps, evenly spread over the run.

    Attributes:
        rule: name of the rule.
        source: where the gradients were compared, and why; see `counterpoint.balance.BalancedStep`.
        names: the goals, K of them.
        steps: the steps that are recorded, T of them, 1 for the first of the run.
        losses: (T, K).
        weights: w_k, (T, K); the step is along ``(1/K) sum_k w_k g_k``.
        control: the share of each goal in the step, (T, K); NaN where no gradient is measured.
        cosines: between the goals' gradients, (T, K, K); NaN likewise.
        alarms: what the monitor said, each with its step.
    """

    rule: str
    source: str
    names: tuple[str, ...]
    steps: tuple[int, ...]
    losses: Float64[Tensor, "records goals"]
    weights: Float64[Tensor, "records goals"]
    control: Float64[Tensor, "records goals"]
    cosines: Float64[Tensor, "records goals goals"]
    alarms: tuple[tuple[int, Alarm], ...] = ()


class BalanceRecorder:
    """A balancer and a record of its steps, of bounded length; nothing waits for the device."""

    def __init__(
        self, balancer: Balancer, name: str, every: int, note: Callable[[str], object]
    ) -> None:
        self.balancer = balancer
        self.name = name
        self._every, self._note = every, note
        self._names: tuple[str, ...] = ()
        self._count = 0
        self._rows: list[Tensor] = []
        self._steps: list[int] = []
        self._last: Tensor | None = None
        self._alarms: list[tuple[int, Alarm]] = []
        self._logged = 0

    def backward(
        self,
        goals: Goals,
        model: nn.Module,
        batch: Batch,
        *,
        scaler: torch.amp.GradScaler | None = None,
        first: bool = True,
        share: float = 1.0,
    ) -> BalancedStep:
        """Add the balanced gradient to `.grad`; see `counterpoint.balance.Balancer.step`."""
        return self.balancer.step(goals, model, batch, scaler=scaler, refresh=first, share=share)

    def add(self, step: BalancedStep, losses: list[Tensor]) -> None:
        """Take in one optimiser step."""
        self._names = step.names
        self._count += 1
        values = torch.stack(losses).double()
        parts = [values, step.weights, step.control, step.cosines.flatten()]
        # one tensor a step, left where it is: nothing is read before the run asks
        self._last = torch.cat([part.to(values) for part in parts])
        if (self._count - 1) % self._every == 0:
            self._rows.append(self._last)
            self._steps.append(self._count)
        for alarm in step.alarms:
            self._alarms.append((self._count, alarm))
            self._note(alarm.sentence if alarm.over else f"{alarm.sentence}; {alarm.remedy}")

    def line(self) -> dict[str, JSONValue]:
        """The last step's weights and control, and what the monitor said since the last line."""
        said = [alarm.sentence for _, alarm in self._alarms[self._logged :]]
        self._logged = len(self._alarms)
        if self._last is None:
            return {"alarms": [*said]}
        _, weights, control, _ = _cut(self._last[None].cpu(), len(self._names))
        return {
            "weights": self._by_name(weights[0]),
            "control": self._by_name(control[0]),
            "alarms": [*said],
        }

    def record(self) -> BalanceLog | None:
        """Everything kept; None before the first step."""
        if not self._names:
            return None
        losses, weights, control, cosines = _cut(self._table(), len(self._names))
        return BalanceLog(
            rule=self.name,
            source=self.balancer.source,
            names=self._names,
            steps=tuple(self._steps),
            losses=losses,
            weights=weights,
            control=control,
            cosines=cosines.unflatten(1, (len(self._names), -1)),
            alarms=tuple(self._alarms),
        )

    def state(self) -> dict[str, Tensor]:
        """All that later steps and the record depend on."""
        if self._last is None:
            return {}
        values: dict[str, Any] = {
            "names": self._names,
            "count": self._count,
            "steps": self._steps,
            "logged": self._logged,
            "alarms": [{"at": step, **alarm.to_json()} for step, alarm in self._alarms],
            "rows": self._table(),
            "last": self._last.cpu(),
        }
        record = {f"record.{name}": value for name, value in pack_state(values).items()}
        balancer = self.balancer.state_dict()
        return {**record, **{f"balancer.{name}": value for name, value in balancer.items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        record, balancer = below(state, "record"), below(state, "balancer")
        if not record:  # of a run that ended before its first step
            return
        self.balancer.load_state_dict(balancer)
        values = unpack_state(record, "balance log")
        self._names, self._count = tuple(values["names"]), values["count"]
        self._steps, self._logged = values["steps"], values["logged"]
        self._rows, self._last = list(values["rows"].unbind()), values["last"]
        self._alarms = [(item["at"], Alarm.from_json(item)) for item in values["alarms"]]

    def _table(self) -> Tensor:
        return torch.stack([row.cpu() for row in self._rows])

    def _by_name(self, values: Tensor) -> dict[str, JSONValue]:
        pairs = zip(self._names, values.tolist(), strict=True)
        # JSON has neither NaN nor infinity, for which value - value is NaN
        return {name: value if value - value == 0.0 else None for name, value in pairs}


def choose_recorder(
    training: Training, balancer: Balancer | None, steps: int, note: Callable[[str], object]
) -> BalanceRecorder | None:
    """The balancer that was given, or the one that the settings name; None for the plain mean."""
    every = max(1, -(-steps // _MOST))
    if balancer is None and training.balance == PLAIN:
        return None
    if balancer is None:
        # what is not finite is found by the meter, which does not wait for the device every step
        made = Balancer(
            training.balance,
            nonfinite="pass",
            on_alarm=_heard,
            seed=derive(training.seed, _SEEDS),
        )
        return BalanceRecorder(made, training.balance, every, note)
    if training.balance != PLAIN:
        raise InputError(
            f"training.balance: {training.balance!r} is asked for, and a balancer is given;"
            f" leave training.balance at {PLAIN!r}"
        )
    if training.compile:
        raise InputError("training.compile: works without a balancer only")
    return BalanceRecorder(balancer, type(balancer.rule).__name__, every, note)


def _heard(_: Alarm) -> None:
    """Alarms are in the steps' records, which is where they are taken from."""


def _cut(table: Tensor, goals: int) -> list[Tensor]:
    return list(table.split([goals, goals, goals, goals * goals], dim=1))
