"""Let a memory watch the steps of `counterpoint.train.fit`."""

from dataclasses import dataclass

from counterpoint.continual._memory import Memory
from counterpoint.train import Moment


@dataclass(frozen=True)
class StepObserver:
    """A callback of `fit` that calls ``memory.observe`` after every step, and nothing else.

    Attributes:
        memory: `SI`, or any other.
    """

    memory: Memory

    def step_end(self, moment: Moment) -> bool:
        """After an optimiser step; the run goes on."""
        self.memory.observe(moment.model)
        return False

    def epoch_end(self, moment: Moment) -> bool:
        """Nothing; the run goes on."""
        del moment
        return False
