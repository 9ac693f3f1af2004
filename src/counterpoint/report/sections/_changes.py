"""What an update taught and what it cost: each target's measures before and after."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from counterpoint.findings import UpdatedTarget, UpdateFindings
from counterpoint.report._markup import Markup, join, tag
from counterpoint.report._parts import brief, figures_table, named, plain, text_card
from counterpoint.report._words import amount, left_out, listing, number, percent
from counterpoint.report.figures import finite
from counterpoint.report.sections._overview import gain, shown

_Pair: TypeAlias = tuple[float | None, float | None]

_MOST_TARGETS = 6
_MOST_MEASURES = 8
_MOST_CLASSES = 6
_SAME = "the same"
_STYLES = {"better": "good", "worse": "bad"}
# capitals whose names begin with a vowel: an F, an R
_SPOKEN_WITH_A_VOWEL = frozenset("AEFHILMNORSX")


def learnt(update: UpdateFindings) -> Markup:
    """The card of the update's own rows: before and after, and the classes they brought."""
    reading = "Before and after, each row is predicted by a model that had not learnt it."
    if update.deep:
        reading += " These rows were left out of training, and decided when it stopped."
    return _card("What was learnt", update.targets, _learnt, reading)


def forgotten(update: UpdateFindings) -> Markup:
    """The card of the earlier rows: before and after, and where these numbers come from."""
    reading = "Where the numbers stay as they were, nothing was forgotten."
    return _card("What was forgotten", update.targets, _forgotten, reading)


def _card(
    title: str,
    targets: list[UpdatedTarget],
    draw: Callable[[UpdatedTarget], list[Markup]],
    reading: str,
) -> Markup:
    parts = [part for target in targets[:_MOST_TARGETS] for part in draw(target)]
    if more := left_out(len(targets) - _MOST_TARGETS, "more target"):
        parts.append(tag("p", None, more))
    return text_card(
        title, *parts, tag("p", None, reading if targets else "No target was measured.")
    )


def _learnt(target: UpdatedTarget) -> list[Markup]:
    sentence = [_learnt_sentence(target), *([_classes(target)] if target.classes else [])]
    return [
        _heading(target.name, target.new_rows, "new row"),
        tag("p", None, join(sentence, between=" ")),
        _measures(target.new),
    ]


def _forgotten(target: UpdatedTarget) -> list[Markup]:
    measures = target.earlier
    if target.source == "Gaussian":
        measures = {name: _added(name, pair) for name, pair in measures.items()}
    return [
        _heading(target.name, target.earlier_rows, "earlier row"),
        tag("p", None, _source(target), " ", _forgotten_sentence(target, measures)),
        _measures(measures),
    ]


def _added(name: str, pair: _Pair) -> _Pair:
    """An estimate of what was added begins at 0 where nothing else is said."""
    before, after = pair
    rises_from_nothing = finite(before) is None and gain(name, -1.0, 0.0) is not False
    return (0.0, after) if rises_from_nothing else pair


def _heading(name: str, rows: int, what: str) -> Markup:
    counted = tag("span", {"class": "faint"}, f" {amount(rows, what)}")
    return tag("h4", None, named(name), counted)


def _verdict(name: str, pair: _Pair) -> str:
    """Whether the second of two values is better; empty where that cannot be said."""
    before, after = finite(pair[0]), finite(pair[1])
    if before is None or after is None:
        return ""
    # a difference that the reader cannot see is none
    if shown(name, before) == shown(name, after):
        return _SAME
    better = gain(name, after, before)
    return "" if better is None else "better" if better else "worse"


def _strong(verdict: str) -> Markup:
    style = _STYLES.get(verdict)
    return tag("strong", {"class": style}, verdict) if style else tag("span", None, verdict)


def _measures(measures: Mapping[str, _Pair]) -> Markup:
    if not measures:
        return Markup("")
    rows = [_measure(name, pair) for name, pair in list(measures.items())[:_MOST_MEASURES]]
    more = left_out(len(measures) - len(rows), "more measure")
    return figures_table(("measure", "before", "after", ""), rows, more)


def _measure(name: str, pair: _Pair) -> Markup:
    verdict = _verdict(name, pair)
    return tag(
        "tr",
        None,
        tag("th", {"scope": "row"}, tag("bdi", None, brief(name))),
        *(tag("td", {"class": "amount"}, shown(name, value)) for value in pair),
        tag("td", {"class": f"amount {_STYLES.get(verdict, 'faint')}"}, verdict),
    )


def _first(measures: Mapping[str, _Pair]) -> tuple[str, _Pair] | None:
    """The first measure that is known before and after."""
    for name, pair in measures.items():
        if finite(pair[0]) is not None and finite(pair[1]) is not None:
            return name, pair
    return None


def _tail(name: str, pair: _Pair) -> Markup:
    verdict = _verdict(name, pair)
    if verdict not in _STYLES:
        return join([f", {verdict}." if verdict else "."])
    return join([", which is ", _strong(verdict), "."])


def _learnt_sentence(target: UpdatedTarget) -> Markup:
    first = _first(target.new)
    if first is None:
        return join(["No measure of these rows is known both before and after."])
    name, pair = first
    before, after = (shown(name, value) for value in pair)
    start = "Predicted before they were learnt, these rows"
    if target.new_rows == 1:
        start = "Predicted before it was learnt, this row"
    text = f"{start} had {_with_article(name)} of {before}; the updated model has {after}"
    return join([text, _tail(name, pair)])


def _with_article(name: str) -> str:
    """A measure's name after "a" or "an", as it is spoken.

    >>> _with_article("RMSE"), _with_article("accuracy"), _with_article("Brier score")
    ('an RMSE', 'an accuracy', 'a Brier score')
    """
    # abbreviations are read letter by letter
    spelt = name[:1].isupper() and not name[1:2].islower()
    vowel = name[:1] in (_SPOKEN_WITH_A_VOWEL if spelt else frozenset("aeiouAEIOU"))
    return f"{'an' if vowel and name else 'a'} {plain(name)}"


def _classes(target: UpdatedTarget) -> str:
    names = [f"{brief(name)} ({amount(rows, 'row')})" for name, rows in target.classes.items()]
    verb = "is" if len(names) == 1 else "are"
    text = f"{amount(len(names), 'class', 'classes')} {verb} new: {listing(names, _MOST_CLASSES)}"
    if finite(target.recognised) is None:
        return f"{text}; how many of these rows are recognised is not known."
    return f"{text}; {percent(target.recognised)} of these rows are given their class."


def _source(target: UpdatedTarget) -> str:
    rows = amount(target.earlier_rows, "row")
    sources = {
        "kept rows": f"Measured on {rows} kept from earlier tables.",
        "sufficient statistics": f"From exact sums over all {rows} learnt from earlier (the mean"
        " of the members).",
        "Gaussian": "Estimated from a Gaussian: the loss added on earlier rows, in nats a row.",
    }
    return sources.get(target.source) or (
        f"Source: {plain(target.source)}." if target.source else ""
    )


def _forgotten_sentence(target: UpdatedTarget, measures: Mapping[str, _Pair]) -> Markup:
    first = _first(measures)
    if first is None:
        return join(["How well earlier rows are still predicted is not known."])
    name, pair = first
    # both are known: `_first` looks for that
    before, after = pair[0] or 0.0, pair[1] or 0.0
    if target.source == "Gaussian":
        # of a likelihood a fall is the loss that was added
        rise = before - after if gain(name, 1.0, 0.0) else after - before
        verb = "rose" if rise >= 0 else "fell"
        return join([f"By this estimate it {verb} by {number(abs(rise), 3)}", _tail(name, pair)])
    text = f"The {plain(name)} was {shown(name, before)} before the update and is"
    return join([f"{text} {shown(name, after)} after it", _tail(name, pair)])
