"""What the data are: one line a column."""

from counterpoint.findings import Bins, ColumnFindings, Findings
from counterpoint.report._markup import Markup, join, tag
from counterpoint.report._parts import Cell, Heading, Section, named, plain, sized, table
from counterpoint.report._words import ABSENT, amount, date, first_of, number, percent
from counterpoint.report.figures import finite, sparkline
from counterpoint.report.figures._text import shorten

_MOST = 100
_LONGEST_SUMMARY = 240


def data(findings: Findings) -> Section:
    """The table of columns: kind, role, missing values, summary, a histogram."""
    columns, rows = findings.columns, total_rows(findings)
    if not columns:
        body = tag("p", None, "No column was described.")
        return Section("data", "The data", body)
    headings = [
        Heading("column", "name"),
        Heading("kind"),
        Heading("role"),
        Heading("spread", sorts=False),
        Heading("missing", "amount"),
        Heading("summary", "text", sorts=False),
    ]
    caption = "Spread: how often each range of values, from low to high, or each category occurs."
    body = table(caption, headings, [_row(column, rows) for column in columns[:_MOST]])
    if len(columns) > _MOST:
        more = first_of(_MOST, len(columns), "columns", "listed")
        body = join([body, tag("p", {"class": "lead"}, more)])
    return Section("data", "The data", body, _lead(columns, rows))


def total_rows(findings: Findings) -> int:
    """Rows of the whole table: the entry called so, else the sum of the parts."""
    for key in ("total", "all", "rows", "table"):
        if key in findings.rows:
            return findings.rows[key]
    return sum(findings.rows.values())


def _lead(columns: list[ColumnFindings], rows: int) -> str:
    gaps = [column for column in columns if column.missing > 0]
    kinds: dict[str, int] = {}
    for column in columns:
        kinds[column.kind] = kinds.get(column.kind, 0) + 1
    counted = ", ".join(f"{count:,} {plain(kind)}" for kind, count in list(kinds.items())[:8])
    text = f"{amount(rows, 'row')}, {amount(len(columns), 'column')} ({counted})."
    if not gaps:
        return f"{text} No value is missing."
    verb = "has" if len(gaps) == 1 else "have"
    return f"{text} {amount(len(gaps), 'column')} {verb} missing values."


def _row(column: ColumnFindings, rows: int) -> list[Cell]:
    share = column.missing / rows if rows > 0 else None
    text = "0" if column.missing == 0 else f"{column.missing:,} ({percent(share)})"
    style = "chip one" if "target" in column.role.lower() else "chip"
    return [
        named(column.name),
        plain(column.kind),
        tag("span", {"class": style}, plain(column.role)),
        _spread(column),
        sized(text, column.missing),
        shorten(column.summary, _LONGEST_SUMMARY),
    ]


def _spread(column: ColumnFindings) -> Markup:
    if column.bins is None or not any(column.bins.counts):
        return tag("span", {"class": "faint"}, ABSENT)
    return sparkline(column.bins.counts, _described(column.kind, column.bins))


def _described(kind: str, bins: Bins) -> str:
    counted = amount(len(bins.counts), "bin")
    if bins.edges is not None and len(bins.edges) > 1:
        ends = [finite(bins.edges[0]), finite(bins.edges[-1])]
        texts = [date(end) if kind == "date" and end is not None else number(end) for end in ends]
        return f"{counted} from {texts[0]} to {texts[1]}"
    if bins.labels:
        pairs = sorted(zip(bins.counts, bins.labels, strict=False), key=lambda pair: -pair[0])[:3]
        # for who cannot see the bars: what they would see first
        often = ", ".join(f"{label[:40]} ({count:,})" for count, label in pairs)
        return f"{amount(len(bins.counts), 'category', 'categories')}; most often {often}"
    return counted
