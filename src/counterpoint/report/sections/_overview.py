"""At the top: what was fitted, and how good it is in one look."""

from counterpoint.findings import Findings, TargetFindings
from counterpoint.report._markup import Markup, join, tag
from counterpoint.report._parts import Section, figures_table, grid, named, plain
from counterpoint.report._statistics import honesty
from counterpoint.report._words import (
    ABSENT,
    left_out,
    number,
    percent,
    sentences,
)
from counterpoint.report.figures import finite
from counterpoint.report.sections._category import calibration_sentence

_LOWER = ("rmse", "mae", "mse", "error", "loss", "brier", "nll", "ece", "deviance", "crps")
_HIGHER = (
    "r2", "r²", "accuracy", "likelihood", "auc", "auroc", "f1", "precision", "recall", "explained",
)  # fmt: skip
_SHARES = ("accuracy", "coverage", "share", "ece", "calibration", "recall")
_TYPICAL = "mean absolute error"
_MOST = 40
_MOST_METRICS = 12


def overview(findings: Findings) -> Section:
    """A card a target: its headline against the baseline, and all its metrics."""
    targets = findings.targets[:_MOST]
    if not targets:
        body = tag("p", None, "No target was evaluated, so there are no held-out results.")
        return Section("overview", "Results", body)
    lead = (
        "On rows that were held out of training. The baseline predicts the mean, or the commonest"
        " class, of the training rows for every row; a model that learnt something beats it."
    )
    more = left_out(len(findings.targets) - len(targets), "more target")
    lead = sentences(lead, more)
    title = "Results of the fit" if findings.updates else "Results"
    return Section("overview", title, grid([_tile(target) for target in targets]), lead)


def shown(name: str, value: float | None) -> str:
    """A metric as it is written: shares as per cent, others with four digits."""
    return percent(value) if _is(name, _SHARES) else number(value)


def _is(name: str, words: tuple[str, ...]) -> bool:
    lowered = name.lower().replace("_", " ")
    return any(word in lowered for word in words)


def gain(name: str, value: float | None, base: float | None) -> bool | None:
    """Whether a metric is better than what it is held against; None where that cannot be said."""
    known, other = finite(value), finite(base)
    if known is None or other is None or known == other:
        return None
    if _is(name, _HIGHER):
        return known > other
    return known < other if _is(name, _LOWER) else None


def headline(target: TargetFindings) -> str | None:
    """The typical error; else the first metric with a value and a baseline, or with a value."""
    known = [name for name, value in target.metrics.items() if finite(value) is not None]
    # without a baseline nobody can tell whether 20.75 is good
    against = [name for name in known if finite(target.baseline.get(name)) is not None]
    # what a row is off by is in the target's unit, and no far row decides it
    return next(iter([n for n in against if n == _TYPICAL] or against or known), None)


def _tile(target: TargetFindings) -> Markup:
    name = headline(target)
    what = tag("h3", {"class": "what"}, named(target.name))
    if name is None:
        return tag(
            "div", {"class": "card tile"}, what, tag("p", None, "No metric could be computed.")
        )
    value, base = target.metrics[name], finite(target.baseline.get(name))
    said = " typical error" if name == _TYPICAL else f" {plain(name)}"
    unit = tag("span", {"class": "unit"}, said)
    parts = [what, tag("p", {"class": "value"}, shown(name, value), unit)]
    if base is not None:
        parts += [_meter(value, base, name), tag("p", None, *_against(name, value, base))]
    width = finite(target.metrics.get("mean interval width"))
    if width is not None:
        wide = f"{percent(target.interval)} intervals are {number(width)} wide on average."
        parts.append(tag("p", None, wide))
    honest = _cover(target) or _calibration(target)
    parts += [tag("p", None, honest) if honest else "", _measures(target)]
    return tag("div", {"class": "card tile"}, *parts)


def _meter(value: float | None, base: float, name: str) -> Markup:
    """Two bars on one scale: the model above the baseline."""
    largest = max(abs(value or 0.0), abs(base))
    # lengths from zero say nothing where a measure may be negative, as a log likelihood
    if largest == 0 or (value or 0.0) < 0 or base < 0:
        return Markup("")
    text = f"{plain(name)}: model {shown(name, value)}, baseline {shown(name, base)}"
    bars = [(3.0, value or 0.0, "fill one"), (13.0, base, "fill soft")]
    return tag(
        "svg",
        {"class": "meter", "viewBox": "0 0 300 22", "preserveAspectRatio": "none", "role": "img"},
        tag("title", None, text),
        tag("rect", {"class": "track", "x": 0, "y": 3, "width": 300, "height": 7}),
        *(
            tag(
                "rect", {"class": style, "x": 0, "y": y, "width": 300 * size / largest, "height": h}
            )
            for (y, size, style), h in zip(bars, (7, 3), strict=True)
        ),
    )


def _against(name: str, value: float | None, base: float) -> list[str]:
    better = gain(name, value, base)
    beside = f"baseline {shown(name, base)}"
    if better is None:
        return [beside]
    word = "better" if better else "worse"
    style = {"class": "good" if better else "bad"}
    known = finite(value) or 0.0
    # of losses alone: per cent of a share, or of what may be below 0, would be misread
    if _is(name, _LOWER) and not _is(name, _HIGHER) and base > 0:
        change = f"{percent(abs(known - base) / base, 0)} {'lower' if known < base else 'higher'}"
        return [tag("strong", style, change), f" than the baseline's {shown(name, base)}"]
    return [tag("strong", style, word), f" than the baseline's {shown(name, base)}"]


def _cover(target: TargetFindings) -> str:
    found = honesty(target)
    if found is None:
        return ""
    said, bad = found
    lead, sign, verdict = said.partition(": ")
    return join([lead, sign, tag("strong", {"class": "bad"}, verdict) if bad else verdict])


def _calibration(target: TargetFindings) -> str:
    error = None if target.reliability is None else finite(target.reliability.error)
    if error is None:
        return ""
    return calibration_sentence(error)


def _measures(target: TargetFindings) -> Markup:
    """All metrics beside the baseline's, in a small table."""
    names = [*target.metrics, *(name for name in target.baseline if name not in target.metrics)]
    rows = [_measure(target, name) for name in names[:_MOST_METRICS]]
    more = left_out(len(names) - len(rows), "more metric")
    return figures_table(("metric", "model", "baseline"), rows, more)


def _measure(target: TargetFindings, name: str) -> Markup:
    value, base = target.metrics.get(name), target.baseline.get(name)
    worse = gain(name, value, base) is False
    mark = tag("span", {"class": "bad"}, " worse") if worse else ""
    reference = ABSENT if finite(base) is None else shown(name, base)
    return tag(
        "tr",
        None,
        tag("th", {"scope": "row"}, named(name), mark),
        tag("td", {"class": "amount"}, shown(name, value)),
        tag("td", {"class": "amount faint"}, reference),
    )
