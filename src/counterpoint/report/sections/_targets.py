"""One section a target, with the figures its kind calls for."""

from counterpoint.findings import Findings, TargetFindings
from counterpoint.report._markup import Markup, tag
from counterpoint.report._parts import Section, grid
from counterpoint.report._words import amount
from counterpoint.report.sections._category import category_cards
from counterpoint.report.sections._number import number_cards

_MOST_TARGETS = 8
# Every dot has its tip: 1,500 of them leave room for all else in a megabyte.
_POINTS = 1500
_POINTS_EACH = 420


def targets(findings: Findings) -> list[Section]:
    """The sections of the first 8 targets; together they draw at most 1,500 rows."""
    drawn = findings.targets[:_MOST_TARGETS]
    points = min(_POINTS_EACH, _POINTS // max(len(drawn), 1))
    sections = [_target(target, index, points) for index, target in enumerate(drawn)]
    left = len(findings.targets) - len(drawn)
    if left:
        text = f"{amount(left, 'more target')} are in the results, without figures."
        sections.append(Section("target-more", "More targets", tag("p", None, text)))
    return sections


def _target(target: TargetFindings, index: int, points: int) -> Section:
    anchor = f"target-{index}"
    cards = [*number_cards(target, anchor, points), *category_cards(target, anchor)]
    body: Markup = grid(cards) if cards else tag("p", None, "There are no held-out rows to draw.")
    return Section(anchor, f"Target: {target.name}", body)
