"""The watch over a run: what went by, when to look, and what to say."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from counterpoint.balance.monitor.alarm import Alarm, Kind
from counterpoint.balance.monitor.desert import desert
from counterpoint.balance.monitor.history import History
from counterpoint.balance.monitor.obnoxious import obnoxious
from counterpoint.balance.monitor.oscillation import oscillation
from counterpoint.balance.monitor.standoff import standoff
from counterpoint.balance.monitor.window import Finding, Window
from counterpoint.balance.record import Step
from counterpoint.errors import InputError

__all__ = ["Monitor"]

# The first that applies is the one that is told: rest before motion, causes before symptoms.
_DIAGNOSTICS: tuple[tuple[Kind, Callable[[Window], Finding | None]], ...] = (
    (Kind.STANDOFF, standoff),
    (Kind.OBNOXIOUS, obnoxious),
    (Kind.OSCILLATION, oscillation),
    (Kind.DESERT, desert),
)


class Monitor:
    """Looks over the last steps now and then, and says which failure it sees.

    Args:
        window: how many steps a look is over, H.
        every: how many steps from one look to the next.
        confirm: how many looks in a row must see a failure before it is told.

    Raises:
        InputError: `window` is below 40, or `every` or `confirm` is not positive.

    Source: Planeswalker's failure modes; the formulas are in the file of each.
    """

    def __init__(self, window: int = 200, every: int = 50, confirm: int = 3) -> None:
        if window < 40:
            raise InputError(f"monitor: window must be at least 40 steps, found {window}")
        if every < 1 or confirm < 1:
            raise InputError(
                f"monitor: every and confirm must be positive, found {every} and {confirm}"
            )
        self.window, self.every, self.confirm = window, every, confirm
        self._history = History(window)
        self._steps = 0
        self._looked = 0
        self._streak: dict[Kind, int] = {}
        self._force: dict[Kind, tuple[Alarm, int]] = {}

    @property
    def in_force(self) -> tuple[Alarm, ...]:
        """Failures that were told and seen within the last window, as last seen."""
        return tuple(alarm for alarm, _ in self._force.values())

    def add(self, step: Step, position: Tensor | None = None) -> tuple[Alarm, ...]:
        """Take note of a step; every so often look, which waits for the device once.

        Args:
            step: the record of the step.
            position: `Positions` where the step's losses were measured, (size,); without it only
                failures that show in the gradients are seen.

        Returns:
            What begins or is over with this step; nothing while it lasts.
        """
        self._history.add(step, position)
        self._steps += 1
        if len(self._history) < self.window or self._steps - self._looked < self.every:
            return ()
        self._looked = self._steps
        return self._look()

    def state_dict(self) -> dict[str, Any]:
        """All it remembers, in tensors and plain values; waits for the device."""
        return {
            **self._history.state_dict(),
            "steps": self._steps,
            "looked": self._looked,
            "streak": {kind.value: count for kind, count in self._streak.items()},
            "force": [(alarm.to_json(), seen) for alarm, seen in self._force.values()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was saved: the same alarms at the same steps.

        Raises:
            InputError: a part is missing.
        """
        expected = self.state_dict().keys()
        if missing := sorted(expected - state.keys()):
            raise InputError(f"monitor: the state has no {missing[0]!r}")
        self._history.load_state_dict(state)
        self._steps, self._looked = int(state["steps"]), int(state["looked"])
        self._streak = {Kind(name): int(count) for name, count in state["streak"].items()}
        told = [(Alarm.from_json(plain), int(seen)) for plain, seen in state["force"]]
        self._force = {alarm.kind: (alarm, seen) for alarm, seen in told}

    def _look(self) -> tuple[Alarm, ...]:
        view = self._history.view()
        seen = None if view is None else self._name(view)
        self._streak = {} if seen is None else {seen.kind: self._streak.get(seen.kind, 0) + 1}
        news: list[Alarm] = []
        if seen is not None and (
            seen.kind in self._force or self._streak[seen.kind] >= self.confirm
        ):
            if seen.kind not in self._force:
                news.append(seen)
            self._force[seen.kind] = (seen, self._steps)
        for kind, (alarm, last) in list(self._force.items()):
            if self._steps - last >= self.window:
                del self._force[kind]
                news.append(replace(alarm, step=self._steps, over=True))
        return tuple(news)

    def _name(self, view: Window) -> Alarm | None:
        for kind, diagnose in _DIAGNOSTICS:
            if (found := diagnose(view)) is not None:
                means = dict(zip(view.names, view.weights.mean(0).tolist(), strict=True))
                return Alarm(kind, found.goals, self._steps, found.measures, means)
        return None
