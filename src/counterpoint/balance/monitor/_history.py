"""The steps the monitor remembers: first as they came, later together on the CPU."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from counterpoint.balance._step import BalancedStep
from counterpoint.balance.monitor._window import Window

_FIRST = 20  # steps that say what a goal's loss and gradient were at its start
_MOST_MISSING = 0.05  # of a window: a batch that overflowed now and then is no absent goal


class History:
    """The last `window` steps and the first of each goal, NaN where one was absent."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.names: tuple[str, ...] = ()
        # references until `settle` reads them in one transfer, so that no step waits
        self._waiting: list[tuple[BalancedStep, Tensor | None]] = []
        empty = torch.zeros(0, 0, dtype=torch.float64)
        self._rows: dict[str, Tensor] = {
            "losses": empty,
            "weights": empty,
            "norms": empty,
            "cosines": torch.zeros(0, 0, 0, dtype=torch.float64),
            "positions": empty,
            "start_losses": torch.zeros(_FIRST, 0, dtype=torch.float64),
            "start_norms": torch.zeros(_FIRST, 0, dtype=torch.float64),
        }

    def add(self, step: BalancedStep, position: Tensor | None) -> None:
        """Keep a step; nothing is read."""
        self._waiting.append((step, position))
        # What was never looked at still passes through `settle` for the first losses of each goal.
        if len(self._waiting) > 2 * self.window:
            self.settle()

    def __len__(self) -> int:
        return min(self.window, len(self._rows["losses"]) + len(self._waiting))

    def settle(self) -> None:
        """Read what is waiting; waits for the device."""
        if not self._waiting:
            return
        steps = [step for step, _ in self._waiting]
        for name in dict.fromkeys(name for step in steps for name in step.names):
            if name not in self.names:
                self._widen(name)
        self._append(steps, _read(self._waiting))
        self._waiting = []

    def view(self) -> Window | None:
        """The window of the goals present throughout; None if there is no such goal."""
        self.settle()
        rows = self._rows
        missing = (~rows["losses"].isfinite()).double().mean(0)
        begun = rows["start_losses"].isfinite().all(0)
        kept = ((missing <= _MOST_MISSING) & begun).nonzero()[:, 0].tolist()
        if not kept:
            return None
        absent = ~rows["losses"][:, kept].isfinite().all(1)
        last = _last_known(absent)  # the values before stand in for a step that was missed
        return Window(
            names=tuple(self.names[k] for k in kept),
            losses=rows["losses"][last][:, kept],
            weights=rows["weights"][last][:, kept],
            norms=rows["norms"][last][:, kept],
            cosines=rows["cosines"][last][:, kept][:, :, kept],
            positions=rows["positions"],
            start_losses=rows["start_losses"][:, kept],
            start_norms=rows["start_norms"][:, kept],
        )

    def state_dict(self) -> dict[str, Any]:
        """All it remembers; waits for the device."""
        self.settle()
        return {"names": list(self.names), **self._rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was saved."""
        self.names = tuple(state["names"])
        self._waiting = []
        self._rows = {name: state[name].clone() for name in self._rows}

    def _widen(self, name: str) -> None:
        self.names = (*self.names, name)
        for key in self._rows:
            if key != "positions":
                pads = (0, 1, 0, 1) if key == "cosines" else (0, 1)
                self._rows[key] = torch.nn.functional.pad(self._rows[key], pads, value=torch.nan)

    def _append(self, steps: Sequence[BalancedStep], read: Mapping[str, Sequence[Tensor]]) -> None:
        places = [torch.tensor([self.names.index(name) for name in s.names]) for s in steps]
        goals = len(self.names)
        for key in ("losses", "weights", "norms"):
            new = torch.full((len(steps), goals), torch.nan, dtype=torch.float64)
            for row, place, values in zip(new, places, read[key], strict=True):
                row[place] = values
            if key != "weights":
                self._begin(f"start_{key}", new)
            self._extend(key, new)
        cosines = torch.full((len(steps), goals, goals), torch.nan, dtype=torch.float64)
        for row, place, values in zip(cosines, places, read["cosines"], strict=True):
            row[place[:, None], place] = values.view(len(place), len(place))
        self._extend("cosines", cosines)
        size = max(self._rows["positions"].shape[1], *map(len, read["positions"]))
        points = torch.full((len(steps), size), torch.nan, dtype=torch.float64)
        for row, values in zip(points, read["positions"], strict=True):
            row[: len(values)] = values
        old = self._rows["positions"]
        self._rows["positions"] = torch.nn.functional.pad(
            old, (0, size - old.shape[1]), value=torch.nan
        )
        self._extend("positions", points)

    def _extend(self, key: str, new: Tensor) -> None:
        self._rows[key] = torch.cat([self._rows[key], new])[-self.window :]

    def _begin(self, key: str, new: Tensor) -> None:
        """The first finite values of each goal, as long as there are too few."""
        for goal in range(len(self.names)):
            known = self._rows[key][:, goal]
            have = known[known.isfinite()]
            if len(have) < _FIRST:
                more = new[:, goal]
                have = torch.cat([have, more[more.isfinite()]])[:_FIRST]
                self._rows[key][: len(have), goal] = have


def _last_known(absent: Tensor) -> Tensor:
    """For each row the last row before it that is not absent, or the first such of all."""
    each = torch.arange(len(absent))
    last = torch.where(absent, -1, each).cummax(0).values
    return torch.where(last < 0, int((~absent).int().argmax()), last)


def _read(waiting: Sequence[tuple[BalancedStep, Tensor | None]]) -> dict[str, list[Tensor]]:
    """All numbers of all steps in one transfer."""
    nothing = torch.zeros(0)
    parts = {
        "losses": [step.losses.detach() for step, _ in waiting],
        "weights": [step.weights.detach() for step, _ in waiting],
        "norms": [step.norms.detach() for step, _ in waiting],
        "cosines": [step.cosines.detach().flatten() for step, _ in waiting],
        "positions": [nothing if place is None else place for _, place in waiting],
    }
    # one tensor, so one transfer, whatever the number of steps
    device = parts["losses"][0].device
    flat = [torch.cat([part.to(device) for part in each]) for each in parts.values()]
    values = torch.cat(flat).cpu().double()
    sizes = [len(part) for each in parts.values() for part in each]
    pieces = iter(values.split(sizes))
    return {key: [next(pieces) for _ in each] for key, each in parts.items()}
