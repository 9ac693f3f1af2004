"""How many examples speak in a Gaussian, and how loudly."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExampleEvidence:
    """Examples, and the power to which their evidence is raised.

    Attributes:
        counts: examples.
        tempering: the power, on average; ``counts * tempering`` is the effective number.

    >>> ExampleEvidence(10).power(0.5).plus(ExampleEvidence(30))  # (10 / 2 + 30) / 40
    ExampleEvidence(counts=40.0, tempering=0.875)
    """

    counts: float = 0.0
    tempering: float = 1.0

    def plus(self, other: "ExampleEvidence", sign: float = 1.0) -> "ExampleEvidence":
        """Both together, or with a sign of -1 without the other: numbers and effective numbers."""
        counts = max(0.0, self.counts + sign * other.counts)
        effective = self.counts * self.tempering + sign * other.counts * other.tempering
        return ExampleEvidence(float(counts), effective / counts if counts > 0 else 1.0)

    def power(self, power: float) -> "ExampleEvidence":
        """The same examples, their evidence raised to a power."""
        # of no examples there is nothing to raise
        return ExampleEvidence(self.counts, self.tempering * power if self.counts else 1.0)
