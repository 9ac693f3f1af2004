"""The page around the sections: header, navigation, footer."""

from collections.abc import Mapping
from string import Template

from counterpoint.findings import Findings, RatingsFindings
from counterpoint.report._markup import Markup, join, tag
from counterpoint.report._parts import Section, named, note_box, within
from counterpoint.report._ratings import ratings_header, ratings_sections
from counterpoint.report._shell import asset, offline_page
from counterpoint.report._words import ABSENT, day, duration
from counterpoint.report.figures._text import shorten
from counterpoint.report.sections import sections
from counterpoint.report.sections._data import total_rows

_MOST_NOTES = 20
_LONGEST_NOTE = 600
# The promise is 1 MB; the rest is for navigation and footer, which are measured with no section.
_MOST_BYTES = 970_000


def render(findings: Findings | RatingsFindings) -> str:
    """Write everything a fit found out as one HTML page that opens offline.

    The page makes no request (its Content-Security-Policy forbids them and names the only style
    and the only script by hash), shows everything without script, follows the reader's light or
    dark setting, and stays under 1 MB whatever the findings hold: long lists are drawn in part,
    and the page says so. Values that are None or not finite are drawn as gaps; every text is
    escaped.

    Args:
        findings: what to show; see `counterpoint.findings`.

    Returns:
        The HTML; encode it as UTF-8.
    """
    header = _header(findings)
    shell = offline_page("", "", style="", script=asset("page.js"))
    around = len((shell + header).encode())
    # what does not fit is cut by whole sections, so that what is shown is never half a list
    ratings = isinstance(findings, RatingsFindings)
    told = ratings_sections(findings) if ratings else sections(findings)
    parts = within(told, _MOST_BYTES - around)
    body = Template(asset("page.html")).substitute(
        header=header,
        navigation=_navigation(parts),
        sections="\n".join(part.html() for part in parts),
        footer=_footer(findings),
    )
    return offline_page(
        f"{shorten(findings.name, 120)} · counterpoint",
        body,
        style="",
        script=asset("page.js"),
        version=findings.version[:60],
    )


def _header(findings: Findings | RatingsFindings) -> Markup:
    voices = ("M2 12C8 2 12 2 18 9S28 16 32 6", "M2 6C8 16 12 16 18 9S28 2 32 12")
    mark = tag(
        "svg",
        {"viewBox": "0 0 34 18", "aria-hidden": "true"},
        *(tag("path", {"class": t, "d": d}) for t, d in zip(("one", "two"), voices, strict=True)),
    )
    return tag(
        "header",
        None,
        tag("p", {"class": "brand"}, mark, "counterpoint report"),
        tag("h1", None, named(findings.name or "A fit without a name")),
        ratings_header(findings) if isinstance(findings, RatingsFindings) else _facts(findings),
        tag("pre", {"class": "command", "tabindex": "0"}, findings.command[:4000])
        if findings.command
        else "",
        note_box(findings.notes, "Notes", _MOST_NOTES, _LONGEST_NOTE),
    )


def _facts(findings: Findings) -> Markup:
    parts = {f"{key} rows": f"{count:,}" for key, count in list(findings.rows.items())[:8]}
    if findings.sites:
        return _pairs(
            {
                "rows": f"{total_rows(findings):,}",
                "sites": f"{len(findings.sites):,}",
                "parameters of each": f"{findings.parameters:,}",
                "made": shorten(findings.created, 40) or ABSENT,
            }
        )
    facts = {
        "rows": f"{total_rows(findings):,}",
        # the total has its own line above
        **{shorten(key, 40): count for key, count in parts.items() if key != "total rows"},
        "columns": f"{len(findings.columns):,}",
        "made": day(findings.created) or ABSENT,
    }
    return _pairs(facts)


def _pairs(facts: Mapping[str, str]) -> Markup:
    pairs = [tag("div", None, tag("dt", None, k), tag("dd", None, v)) for k, v in facts.items()]
    return tag("dl", {"class": "facts"}, *pairs)


def _navigation(parts: list[Section]) -> Markup:
    links = [tag("li", None, _link(part)) for part in parts]
    return tag("nav", {"aria-label": "Sections"}, tag("ul", None, *links))


def _link(part: Section) -> Markup:
    return tag("a", {"href": f"#{part.anchor}"}, tag("bdi", None, shorten(part.title, 60)))


def _footer(findings: Findings | RatingsFindings) -> Markup:
    version = f" {findings.version[:60]}" if findings.version else ""
    text = f"Written by counterpoint{version}. This page is one file and loads nothing."
    if isinstance(findings, RatingsFindings) or findings.sites:
        return join([tag("p", None, text)])
    told = _insiders(findings)
    return join([told, tag("p", None, text)])


def _insiders(findings: Findings) -> Markup:
    """What only who built it wants to know."""
    best = ABSENT if findings.best_epoch is None else f"{findings.best_epoch:,}"
    facts = {
        "parameters": f"{findings.parameters:,}",
        "best epoch": f"{best} of {len(findings.history):,}",
        "fitted in": duration(findings.seconds),
        "made": shorten(findings.created, 40) or ABSENT,
        "training ended": findings.status[:600] or ABSENT,
    }
    return _pairs(facts)
