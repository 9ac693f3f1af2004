"""No Gram matrix: for rules that look at losses only."""

from counterpoint.balance.sources.source import Measured, Scene

__all__ = ["Loss"]


class Loss:
    """Measures nothing: norms and cosines are NaN."""

    def __init__(self, why: str = "") -> None:
        self._why = why

    @property
    def text(self) -> str:
        """That nothing is measured."""
        return f"losses only{self._why}"

    def measure(self, scene: Scene) -> Measured:
        """See `Source`."""
        return Measured.nothing(scene)
