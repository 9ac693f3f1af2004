"""What an experiment answers: curves with error bars, a sentence, a figure."""

from collections.abc import Sequence
from dataclasses import dataclass

from counterpoint.report.figures import Axis, Figure, Line, Mark, Points, Tone

_TONES: tuple[Tone, ...] = ("one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Curve:
    """One thing measured against another, over seeds.

    Attributes:
        name: what is measured.
        x: where.
        mean: over seeds.
        error: one standard error of that mean; 0 for what is not measured but drawn beside.
        measured: False for a law that is drawn beside the measurements.
    """

    name: str
    x: Sequence[float]
    mean: Sequence[float]
    error: Sequence[float]
    measured: bool = True

    @classmethod
    def of(cls, name: str, x: Sequence[float], runs: Sequence[Sequence[float]]) -> "Curve":
        """From one list a seed, each with a number for every x."""
        columns = list(zip(*runs, strict=True))
        means = [sum(column) / len(column) for column in columns]
        errors = [_error(column, mean) for column, mean in zip(columns, means, strict=True)]
        return cls(name, list(x), means, errors)


@dataclass(frozen=True)
class Measurement:
    """A question, what was measured, and what it says.

    Attributes:
        question: in words.
        sentence: the answer, with its numbers.
        x_label, y_label: what the axes are.
        curves: what was measured.
        numbers: single numbers of the answer, by name.
        x_log, y_log: whether an axis is logarithmic.
    """

    question: str
    sentence: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    numbers: dict[str, float]
    x_log: bool = False
    y_log: bool = False

    def figure(self) -> Figure:
        """The curves, with bars of two standard errors; laws are dashed."""
        marks: list[Mark] = []
        for number, curve in enumerate(self.curves):
            tone = _TONES[number % len(_TONES)]
            shown = [value if value > 0 or not self.y_log else None for value in curve.mean]
            dashed = not curve.measured or number >= len(_TONES)
            marks.append(Line(curve.x, shown, curve.name, tone, dashed))
            if curve.measured:
                spread = list(zip(curve.mean, curve.error, strict=True))
                low = [max(mean - 2 * error, 1e-12) for mean, error in spread]
                low = low if self.y_log else [mean - 2 * error for mean, error in spread]
                high = [mean + 2 * error for mean, error in spread]
                marks.append(Points(curve.x, shown, low, high, tone=tone))
        counted = all(isinstance(x, int) for curve in self.curves for x in curve.x)
        return Figure(
            self.question,
            marks,
            Axis(self.x_label, log=self.x_log, kind="whole" if counted else "number"),
            Axis(self.y_label, log=self.y_log),
            description=self.sentence,
            width=460,
            height=300,
        )

    def to_json(self) -> dict[str, object]:
        """All of it in plain values."""
        curves = [
            {"name": c.name, "x": list(c.x), "mean": list(c.mean), "error": list(c.error)}
            for c in self.curves
        ]
        text = {"question": self.question, "sentence": self.sentence}
        return {**text, "numbers": dict(self.numbers), "curves": curves}


def _error(values: Sequence[float], mean: float) -> float:
    """Standard error of the mean; 0 of a single run."""
    if len(values) < 2:
        return 0.0
    squares = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return (squares / len(values)) ** 0.5
