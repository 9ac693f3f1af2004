"""No Gram matrix: for rules that look at losses only."""

from counterpoint.balance.sources._source import Measured, StepContext


class Loss:
    """Measures nothing: norms and cosines are NaN."""

    gives = "losses"

    def __init__(self, why: str = "") -> None:
        self._why = why

    @property
    def text(self) -> str:
        """That nothing is measured."""
        return f"losses only{self._why}"

    def measure(self, context: StepContext) -> Measured:
        """See `GramSource`."""
        return Measured.nothing(context)
