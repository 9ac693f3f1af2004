"""The watch over a run: what went by, when to look, and what to say."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from counterpoint.balance._ranks import Ranks, sharded
from counterpoint.balance._step import Alarm, BalancedStep, Failure
from counterpoint.balance.monitor._diagnostics import DIAGNOSTICS
from counterpoint.balance.monitor._history import History
from counterpoint.balance.monitor._positions import Positions
from counterpoint.balance.monitor._window import Window
from counterpoint.errors import InputError
from counterpoint.seeding import generator
from counterpoint.storage import pack_state, unpack_state


class Monitor:
    """Looks over the last steps now and then, and says which failure it sees.

    Args:
        window: how many steps a look is over, H.
        every: how many steps from one look to the next.
        confirm: how many looks in a row must see a failure before it is told.

    Raises:
        InputError: `window` is below 40, or `every` or `confirm` is not positive.

    Source: Planeswalker's failure modes; the formulas are in `diagnostics`.
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
        self._streak: dict[Failure, int] = {}
        self._force: dict[Failure, tuple[Alarm, int]] = {}

    @property
    def in_force(self) -> tuple[Alarm, ...]:
        """Failures that were told and seen within the last window, as last seen."""
        return tuple(alarm for alarm, _ in self._force.values())

    def add(self, step: BalancedStep, position: Tensor | None = None) -> tuple[Alarm, ...]:
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
            "streak": {failure.word: count for failure, count in self._streak.items()},
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
        self._streak = {Failure.of(name): int(count) for name, count in state["streak"].items()}
        alarms = [(Alarm.from_json(plain), int(seen)) for plain, seen in state["force"]]
        self._force = {alarm.failure: (alarm, seen) for alarm, seen in alarms}

    def _look(self) -> tuple[Alarm, ...]:
        view = self._history.view()
        seen = None if view is None else self._name(view)
        self._streak = {} if seen is None else {seen.failure: self._streak.get(seen.failure, 0) + 1}
        news: list[Alarm] = []
        if seen is not None and (
            seen.failure in self._force or self._streak[seen.failure] >= self.confirm
        ):
            if seen.failure not in self._force:
                news.append(seen)
            self._force[seen.failure] = (seen, self._steps)
        for failure, (alarm, last) in list(self._force.items()):
            if self._steps - last >= self.window:
                del self._force[failure]
                news.append(replace(alarm, step=self._steps, over=True))
        return tuple(news)

    def _name(self, view: Window) -> Alarm | None:
        for failure, diagnose in DIAGNOSTICS:
            if (found := diagnose(view)) is not None:
                means = dict(zip(view.names, view.weights.mean(0).tolist(), strict=True))
                return Alarm(failure, found.goals, self._steps, found.measures, means)
        return None


class MonitorState:
    """A `Monitor` of one model, and the `Positions` that it is shown.

    Args:
        seed: of the sketch of the weights.
    """

    def __init__(self, seed: int) -> None:
        self._monitor = Monitor()
        self._seed = seed
        self._positions: Positions | None = None

    @property
    def in_force(self) -> tuple[Alarm, ...]:
        """See `Monitor`."""
        return self._monitor.in_force

    def position(self, model: nn.Module, ranks: Ranks) -> Tensor | None:
        """Where the weights are now, the same on every rank; None if none asks for a gradient."""
        if self._positions is None:
            if not any(p.requires_grad and p.is_floating_point() for p in model.parameters()):
                return None
            # made at the first step, for the model is not known before it
            self._positions = Positions(model, generator(self._seed, 3))
        here = self._positions()
        if ranks.count > 1 and sharded(model.parameters()):
            return ranks.mean(here) * ranks.count  # each rank has seen its own shards
        return here

    def add(self, step: BalancedStep, position: Tensor | None) -> tuple[Alarm, ...]:
        """What the monitor has to say after a step."""
        return self._monitor.add(step, position)

    def state(self) -> dict[str, Tensor]:
        """All that the monitor remembers."""
        return pack_state(self._monitor.state_dict())

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self._monitor.load_state_dict(unpack_state(state, "monitor"))
