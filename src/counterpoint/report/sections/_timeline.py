"""Several named curves over the steps of a training, with marks at steps worth a look."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from counterpoint.report._markup import Markup
from counterpoint.report._parts import card
from counterpoint.report._words import number
from counterpoint.report.figures import Axis, Bands, Figure, Guide, Line, every, finite
from counterpoint.report.figures._mark import Mark, Tone
from counterpoint.report.figures._text import shorten

_MOST_STEPS = 100
_MOST_POINTS = 250
_MOST_TIPS = 20
_MOST_LINES_IN_TIP = 4
_MOST_MARKS = 12
_NAME = 24
_TONES: tuple[Tone, ...] = ("one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Curves:
    """Named values over steps; absent ones are None."""

    step: Sequence[float]
    values: Mapping[str, Sequence[float | None]]

    @classmethod
    def of(cls, step: Sequence[int], values: Mapping[str, Sequence[float | None]]) -> "Curves":
        """Thinned to what a figure can show, the last step kept; what cannot be drawn is absent."""
        indices = every(len(step), min(_MOST_STEPS, _MOST_POINTS // max(len(values), 1)))
        if step and indices[-1] != len(step) - 1:
            indices.append(len(step) - 1)
        thinned = {
            name: [finite(curve[index]) if index < len(curve) else None for index in indices]
            for name, curve in values.items()
        }
        return cls([float(step[index]) for index in indices], thinned)

    def known(self) -> dict[str, list[float]]:
        """The values that are there, of the curves that have one."""
        known = {
            name: [value for value in curve if value is not None]
            for name, curve in self.values.items()
        }
        return {name: values for name, values in known.items() if values}

    @property
    def spans(self) -> bool:
        """Whether a logarithmic axis shows more."""
        return spans([value for values in self.known().values() for value in values])


def spans(values: Iterable[float | None]) -> bool:
    """Whether a logarithmic axis shows more: all positive, over more than a factor of 20."""
    known = [value for value in values if value is not None]
    # 1e-140 as in `extent`: of smaller numbers a ratio loses digits
    return bool(known) and min(known) > 1e-140 and max(known) / min(known) > 20


def short(name: str) -> str:
    """A name where many stand side by side: in a legend, under the pointer, in a list."""
    return shorten(name, _NAME)


def timeline(
    identifier: str,
    title: str,
    curves: Curves,
    axis: Axis,
    *sentences: str,
    marks: Sequence[Guide] = (),
    events: Sequence[tuple[int, str]] = (),
    text: Callable[[float | None], str] = number,
) -> Markup | None:
    """A card with one line a curve; None where no value is there."""
    if not curves.known():
        return None
    drawn: list[Mark] = [_tips(curves, text), *marks, *_rules(curves, events)]
    for index, (name, values) in enumerate(curves.values.items()):
        tone, dashed = _TONES[index % len(_TONES)], index >= len(_TONES)
        drawn.append(Line(curves.step, values, short(name), tone, dashed))
    figure = Figure(
        f"{title} by step",
        drawn,
        Axis("step", kind="whole"),
        axis,
        description=sentences[0] if sentences else "",
        height=235 + 14 * len(curves.values),
        margin=0.06,
    )
    scale = "The vertical axis is logarithmic." if axis.log else ""
    return card(title, [(identifier, figure)], *sentences, scale)


def _tips(curves: Curves, text: Callable[[float | None], str]) -> Bands:
    indices = every(len(curves.step), _MOST_TIPS)
    few = list(curves.values.items())[:_MOST_LINES_IN_TIP]
    tips = [
        "\n".join(
            [
                f"step {curves.step[index]:,.0f}",
                *(f"{short(name)} {text(values[index])}" for name, values in few),
            ]
        )
        for index in indices
    ]
    return Bands([curves.step[index] for index in indices], tips)


def _rules(curves: Curves, events: Sequence[tuple[int, str]]) -> list[Guide]:
    """An upright line an event; its name where the one before is far enough away."""
    # names of two events would otherwise lie over each other
    apart = 0.3 * (max(curves.step) - min(curves.step))
    rules: list[Guide] = []
    last: float | None = None
    for step, kind in sorted(set(events))[:_MOST_MARKS]:
        named = last is None or step - last > apart
        rules.append(Guide(x=float(step), text=short(kind) if named else "", tone="six"))
        last = step if named else last
    return rules
