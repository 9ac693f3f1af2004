"""Numbers and lists as a person would write them."""

import datetime
import math
from collections.abc import Sequence

from counterpoint.report.figures._scale import finite
from counterpoint.report.figures._text import power_of_ten

ABSENT = "–"

_SOURCES = {
    "last-layer": "a Gaussian over the last layer's weights (last-layer)",
    "luna": "a Gaussian over the last layer's weights, on features that were trained to differ"
    " where there are no rows (luna)",
    "laplace": "a Gaussian over all weights (laplace)",
    "ensemble": "what the networks disagree about, and nothing else (ensemble)",
}


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits; a dash where there is none.

    >>> number(1234567.0), number(-0.012345), number(2e-7), number(None)
    ('1,235,000', '−0.01235', '2×10⁻⁷', '–')
    """
    known = finite(value)
    if known is None:
        return ABSENT
    if known == 0:
        return "0"
    size = math.floor(math.log10(abs(known)))
    # as people write numbers; beyond that powers of ten are shorter
    if -4 <= size < 9:
        # first rounded, then written: four digits of 1,234,567 are 1,235,000
        rounded = round(known, digits - 1 - size)
        decimals = max(0, digits - 1 - size)
        text = f"{rounded:,.{decimals}f}"
        # the zeros of 1,200 are no decimals
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return text.replace("-", "−")
    mantissa, exponent = f"{known:.{digits - 1}e}".split("e")
    mantissa = (mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa).replace("-", "−")
    return f"{mantissa}×{power_of_ten(int(exponent))}"


def percent(share: float | None, decimals: int | None = None) -> str:
    """A share as a percentage: one decimal where it tells something.

    >>> percent(0.883), percent(0.9), percent(0.0004), percent(None)
    ('88.3 %', '90 %', '0.04 %', '–')
    """
    known = finite(share)
    if known is None:
        return ABSENT
    if decimals is None:
        # with one decimal 0.04 % would be nothing at all
        decimals = 2 if 0 < abs(known) < 0.001 else 1
    text = f"{100 * known:,.{decimals}f}".replace("-", "−")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text} %"


def amount(count: int, one: str, many: str | None = None) -> str:
    """So many of a thing.

    >>> amount(1, "row"), amount(1200, "row"), amount(2, "class", "classes")
    ('1 row', '1,200 rows', '2 classes')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listing(names: Sequence[str], most: int = 8) -> str:
    """Names in a sentence.

    >>> listing(["a", "b", "c"]), listing(["a", "b", "c", "d"], most=2)
    ('a, b and c', 'a, b and 2 more')
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def day(moment: str) -> str:
    """The day of a moment, as far as it can be told.

    >>> day("2026-11-29T15:49:06+00:00"), day("yesterday")
    ('2026-11-29', 'yesterday')
    """
    return moment.partition("T")[0][:40]


def left_out(count: int, one: str, verb: str = "shown") -> str:
    """That so many things are not shown; nothing where none is left out.

    >>> left_out(1, "more target"), left_out(1200, "column", "listed"), left_out(0, "row")
    ('1 more target is not shown.', '1,200 columns are not listed.', '')
    """
    if count < 1:
        return ""
    return f"{amount(count, one)} {'is' if count == 1 else 'are'} not {verb}."


def first_of(shown: int, total: int, many: str, verb: str = "drawn") -> str:
    """That only the first of many things are drawn; nothing where all are.

    >>> first_of(8, 1200, "goals"), first_of(8, 8, "goals")
    ('The first 8 of 1,200 goals are drawn.', '')
    """
    return f"The first {shown:,} of {total:,} {many} are {verb}." if shown < total else ""


def sentences(*parts: str) -> str:
    """Sentences one after the other, the empty ones left out."""
    return " ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    """A time span.

    >>> duration(0.4), duration(75), duration(3720)
    ('0.4 s', '1 min 15 s', '1 h 2 min')
    """
    known = finite(seconds)
    if known is None:
        return ABSENT
    # 59.6 s would be rounded to "60 s"
    if known < 59.5:
        return f"{number(known, 2)} s"
    minutes, rest = divmod(round(known), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def date(days: float) -> str:
    """Days since 1970-01-01 as a date; the number itself outside the calendar.

    >>> date(19782.0)
    '2024-02-29'
    """
    try:
        # floor: an instant belongs to the day that it is in, also before 1970
        return (datetime.date(1970, 1, 1) + datetime.timedelta(days=math.floor(days))).isoformat()
    except (OverflowError, ValueError):
        return number(days)


def knowledge_sentence(kind: str) -> str:
    """Where a model's knowledge comes from; nothing of a kind that is not known.

    >>> knowledge_sentence("laplace"), knowledge_sentence("")
    ('Knowledge comes from a Gaussian over all weights (laplace).', '')
    """
    source = _SOURCES.get(kind)
    return f"Knowledge comes from {source}." if source else ""
