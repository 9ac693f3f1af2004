"""The monitor at work on one model."""

from collections.abc import Mapping

from torch import Tensor, nn

from counterpoint.balance.monitor import Alarm, Monitor, Positions
from counterpoint.balance.ranks import Ranks
from counterpoint.balance.record import Step
from counterpoint.balance.saved import join, split
from counterpoint.seeding import generator

__all__ = ["Watch"]


class Watch:
    """A `Monitor`, and the `Positions` of the model that it is shown.

    Args:
        seed: of the sketch of the weights.
    """

    def __init__(self, seed: int) -> None:
        self.monitor = Monitor()
        self._seed = seed
        self._positions: Positions | None = None

    def position(self, model: nn.Module, ranks: Ranks) -> Tensor | None:
        """Where the weights are now, the same on every rank; None if none asks for a gradient."""
        if self._positions is None:
            if not any(p.requires_grad and p.is_floating_point() for p in model.parameters()):
                return None
            self._positions = Positions(model, generator(self._seed, 3))
        here = self._positions()
        if ranks.count > 1 and any(hasattr(weight, "to_local") for weight in model.parameters()):
            return ranks.mean(here) * ranks.count  # each rank has seen its own shards
        return here

    def add(self, step: Step, position: Tensor | None) -> tuple[Alarm, ...]:
        """What the monitor has to say after a step."""
        return self.monitor.add(step, position)

    def state(self) -> dict[str, Tensor]:
        """All that the monitor remembers."""
        return split(self.monitor.state_dict())

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.monitor.load_state_dict(join(state))
