"""Of a mixture: what each site brought."""

from counterpoint.findings import Findings, SiteFindings, TargetFindings
from counterpoint.report._markup import Markup, join, tag
from counterpoint.report._parts import Cell, Heading, Section, brief, plain, sized, table
from counterpoint.report._words import ABSENT, left_out, percent, sentences
from counterpoint.report.sections._overview import headline, shown

_MOST_LINES = 100
_MOST_LEVELS = 8


def sites(findings: Findings) -> Section | None:
    """A line a site and target, and what one site alone knows; None where there are no sites."""
    if not findings.sites:
        return None
    lead = (
        "Each site reads a row in its own way, and they are mixed by their shares of the rows. No"
        " rows were exchanged, so the mixture itself was scored on none: the measures are of each"
        " site alone, on rows that it held out. Update the sites and merge again for more rows."
    )
    body = join([_scores(findings.sites), _alone(findings.sites)])
    return Section("sites", "What each site brought", body, lead)


def _scores(every: list[SiteFindings]) -> Markup:
    headings = [
        Heading("site", "name"),
        Heading("rows", "amount"),
        Heading("share", "amount"),
        Heading("updates", "amount"),
        Heading("target", "name"),
        Heading("measure", "value-cell"),
        Heading("model", "amount"),
        Heading("baseline", "amount"),
    ]
    lines = [line for site in every for line in _of_site(site)]
    caption = sentences(
        "The baseline predicts the mean, or the commonest class, of the site's training rows.",
        left_out(len(lines) - _MOST_LINES, "more line"),
    )
    return table(caption, headings, lines[:_MOST_LINES])


def _of_site(site: SiteFindings) -> list[list[Cell]]:
    start: list[Cell] = [
        plain(site.name),
        sized(f"{site.rows:,}", site.rows),
        sized(percent(site.share), site.share),
        sized(f"{site.updates:,}", site.updates),
    ]
    blank: list[Cell] = [ABSENT] * 4
    return [[*start, *_score(target)] for target in site.targets] or [[*start, *blank]]


def _score(target: TargetFindings) -> list[Cell]:
    name = headline(target)
    if name is None:
        return [plain(target.name), ABSENT, ABSENT, ABSENT]
    value, base = target.metrics[name], target.baseline.get(name)
    return [
        plain(target.name),
        plain(name),
        sized(shown(name, value), value),
        sized(ABSENT if base is None else shown(name, base), base),
    ]


def _alone(every: list[SiteFindings]) -> Markup:
    lines: list[list[Cell]] = [
        [plain(site.name), plain(column), sized(f"{len(levels):,}", len(levels)), _some(levels)]
        for site in every
        for column, levels in site.alone.items()
    ]
    if not lines:
        return tag("p", None, "All sites know the same levels and classes.")
    headings = [
        Heading("site", "name"),
        Heading("column", "name"),
        Heading("levels", "amount"),
        Heading("known there alone", "value-cell"),
    ]
    caption = sentences(
        "To the other sites these levels are ones that nobody saw; a class that a site has never"
        " seen has no probability there.",
        left_out(len(lines) - _MOST_LINES, "more column"),
    )
    return table(caption, headings, lines[:_MOST_LINES])


def _some(levels: list[str]) -> str:
    more = f", … ({len(levels) - _MOST_LEVELS:,} more)" if len(levels) > _MOST_LEVELS else ""
    return ", ".join(map(brief, levels[:_MOST_LEVELS])) + more
