"""How training went: the score and each goal, epoch by epoch."""

from counterpoint.findings import EpochRow, Findings
from counterpoint.report._markup import Markup, tag
from counterpoint.report._parts import Section, card, grid, plain
from counterpoint.report._words import amount, first_of, number, sentences
from counterpoint.report.figures import Axis, Bands, Figure, Guide, Line, Points, finite, thin
from counterpoint.report.figures._mark import Mark
from counterpoint.report.sections._timeline import spans

_MOST_EPOCHS = 100
_MOST_GOALS = 12
_POINTS = 700
_SCORE = "score"


def training(findings: Findings) -> Section:
    """A curve for the score, one for each goal, and the learning rate."""
    history = findings.history
    if not history:
        body = tag("p", None, "No epoch was finished, so there is no curve to draw.")
        return Section("training", "Training", body)
    goals = [name for name in _names(history) if name != _SCORE]
    names = [_SCORE, *goals] if _SCORE in _names(history) else goals
    # of one goal the score is that goal
    if len(goals) == 1 and _SCORE in names:
        names = [_SCORE]
    most = min(_MOST_EPOCHS, _POINTS // len(names[:_MOST_GOALS])) if names else _MOST_EPOCHS
    cards = [_curve(findings, name, index, most) for index, name in enumerate(names[:_MOST_GOALS])]
    return Section("training", "Training", grid([*cards, _rates(history)]), _lead(findings, names))


def _names(history: list[EpochRow]) -> list[str]:
    # a goal may begin late, but hardly after 50 epochs; all of a long history need not be read
    return list(dict.fromkeys(name for row in history[:50] for name in row.train))


def _lead(findings: Findings, names: list[str]) -> str:
    text = f"{amount(len(findings.history), 'epoch')}. The score is the mean of the goals' losses."
    if findings.best_epoch is not None:
        text += (
            " The weights of the epoch with the best validation score were kept: epoch"
            f" {findings.best_epoch:,} (of several networks each kept its own; this is the middle)."
        )
    return sentences(text, first_of(_MOST_GOALS, len(names), "curves"))


def _curve(findings: Findings, name: str, index: int, most: int) -> Markup:
    history = findings.history
    train = [finite(row.train.get(name)) for row in history]
    held = [finite((row.validation or {}).get(name)) for row in history]
    chosen = thin([train, held], most)
    epochs = [float(history[position].epoch) for position in chosen]
    few = [[curve[position] for position in chosen] for curve in (train, held)]
    marks: list[Mark] = [Line(epochs, few[0], "training", "one")]
    if any(value is not None for value in held):
        marks.append(Line(epochs, few[1], "validation", "two"))
    best = _best(findings, held)
    if best is not None:
        marks += [Guide(x=best[0], text=f"best: epoch {best[0]:,.0f}"), *_dot(best)]
    tips = [
        f"epoch {epoch:,.0f}\ntraining {number(a)}\nvalidation {number(b)}"
        for epoch, a, b in zip(epochs, *few, strict=True)
    ]
    log = spans(train + held)
    summary = _summary(train, held, best)
    figure = Figure(
        f"{plain(name)} by epoch",
        [Bands(epochs, tips), *marks],
        Axis("epoch", kind="whole"),
        Axis("score" if name == _SCORE else "loss", log=log),
        description=summary,
    )
    scale = "The vertical axis is logarithmic." if log else ""
    return card(_title(name), [(f"training-{index}", figure)], summary, scale)


def _title(name: str) -> str:
    return "Score: the mean of all goals" if name == _SCORE else f"Goal: {plain(name)}"


def _dot(best: tuple[float, float | None]) -> list[Mark]:
    return [] if best[1] is None else [Points([best[0]], [best[1]], radius=3.6, tone="two")]


def _best(findings: Findings, held: list[float | None]) -> tuple[float, float | None] | None:
    for row, value in zip(findings.history, held, strict=True):
        if row.epoch == findings.best_epoch:
            return float(row.epoch), value
    return None


def _summary(
    train: list[float | None],
    held: list[float | None],
    best: tuple[float, float | None] | None,
) -> str:
    known = [value for value in train if value is not None]
    if not known:
        return "No finite value was recorded."
    first, last = known[0], known[-1]
    verb = "fell" if last < first else "rose" if last > first else "stayed"
    text = f"On the training rows it {verb} from {number(first)} to {number(last)}."
    if len(known) == 1:
        text = f"One value was recorded on the training rows: {number(first)}."
    gaps = sum(value is None for value in train)
    if gaps:
        text += f" It was not finite in {amount(gaps, 'epoch')}; the line is interrupted there."
    return text + _after(held, best)


def _after(held: list[float | None], best: tuple[float, float | None] | None) -> str:
    known = [value for value in held if value is not None]
    if not known:
        return " There were no validation rows to judge it by."
    if best is None or best[1] is None:
        return f" On validation rows it ended at {number(known[-1])}."
    text = f" On validation rows it was {number(best[1])} at the best epoch"
    return f"{text} and {number(known[-1])} at the end."


def _rates(history: list[EpochRow]) -> Markup:
    rates = [finite(row.rate) for row in history]
    chosen = thin([rates], _MOST_EPOCHS)
    epochs = [float(history[position].epoch) for position in chosen]
    few = [rates[position] for position in chosen]
    tips = [
        f"epoch {epoch:,.0f}\nrate {number(rate)}" for epoch, rate in zip(epochs, few, strict=True)
    ]
    marks: list[Mark] = [Bands(epochs, tips), Line(epochs, few, tone="three")]
    seconds = [known for row in history if (known := finite(row.seconds)) is not None]
    each = (
        f"An epoch took {number(sum(seconds) / len(seconds), 2)} s on average." if seconds else ""
    )
    figure = Figure("Learning rate by epoch", marks, Axis("epoch", kind="whole"), Axis("rate"))
    text = "How far each step went: the schedule of the learning rate."
    return card("Learning rate", [("training-rate", figure)], text, each)
