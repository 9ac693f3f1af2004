"""Which sign separates decimals and which thousands, from all the numbers of a column."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_GROUPS = " '’_"
_LIKELY = 50
_APART = 20.0


@dataclass(frozen=True)
class Signs:
    """What is known of a table's numbers before any is read.

    Attributes:
        decimal: "." or ",", where the user said so.
        thousands: the sign between thousands, "space" or "none", where the user said so.
        separator: between the cells of the text file.
    """

    decimal: str = ""
    thousands: str = ""
    separator: str = ""

    @property
    def told(self) -> bool:
        """Whether the user said anything."""
        return bool(self.decimal or self.thousands)

    def allow(self, pair: tuple[str, str]) -> bool:
        """Whether the user's words leave a pair of signs possible."""
        decimal, thousands = pair
        # what stands between thousands cannot stand before decimals
        told = {"none": "", "space": " "}.get(self.thousands, self.thousands)
        grouped = not self.thousands or thousands in ("", told)
        return grouped and decimal != told and (not self.decimal or decimal == self.decimal)


@dataclass(frozen=True)
class Found:
    """A pair of signs, and the other one that the cells would allow.

    Attributes:
        pair: decimal and thousands; none: no pair fits all cells.
        other: a second pair that does, and that was thought less likely.
        open: whether the two are as likely.
    """

    pair: tuple[str, str] | None
    other: tuple[str, str] | None = None
    open: bool = False


def find_signs(cores: Sequence[str], signs: Signs, earlier: tuple[str, str] | None) -> Found:
    """The signs of decimals and of thousands.

    Args:
        cores: distinct digits with the signs among them.
        signs: what is known of the table.
        earlier: those of an earlier table of the column.

    >>> find_signs(["1.234,5", "12"], Signs(), None).pair
    (',', '.')
    >>> find_signs(["967", "1.448"], Signs(), None).pair
    (',', '.')
    >>> find_signs(["2.5", "1.448"], Signs(), None).pair
    ('.', '')
    >>> find_signs(["20,628", "19,339"], Signs(), None).open
    True
    >>> find_signs(["20,628", "19,339"], Signs(separator=","), None)
    Found(pair=('.', ','), other=(',', ''), open=False)
    """
    pairs = [pair for pair in _candidates(cores) if signs.allow(pair)]
    fits = [pair for pair in pairs if all(fits_pair(core, pair) for core in cores)]
    if len(fits) < 2:
        # points that are no thousands separate decimals, whatever the rest of the file does
        plain = [] if fits or any("," in core for core in cores) else [(".", "")]
        fits += [pair for pair in plain if all(fits_pair(core, pair) for core in cores)]
        return Found(fits[0] if fits else None)
    if earlier in fits:
        # a later table need not show again how its column is written
        return Found(earlier)
    return _likelier(cores, fits, signs)


def _likelier(cores: Sequence[str], fits: list[tuple[str, str]], signs: Signs) -> Found:
    """Of two pairs that fit: all cells with a sign have exactly three digits behind it."""
    decimal, grouped = sorted(fits, key=lambda pair: bool(pair[1]))
    if decimal[1]:  # 1,250 beside 1.250
        return Found(decimal, grouped, open=True)
    sign = grouped[1]
    if _apart(cores, sign):
        return Found(grouped, decimal)
    if sign == ".":
        return Found(decimal)
    # who writes decimal commas does not put commas between cells
    return Found(grouped, decimal, open=signs.separator != ",")


def _candidates(cores: Sequence[str]) -> list[tuple[str, str]]:
    used = {sign for core in cores for sign in core if not sign.isdigit()}
    # these never separate decimals anywhere, so what stands beside them does
    groups, marks = used & set(_GROUPS), used & {".", ","}
    if len(groups) > 1:
        return []
    if groups:
        return [(mark, groups.pop()) for mark in marks or {"."}] if len(marks) < 2 else []
    if marks == {"."}:
        return [(".", ""), (",", ".")]
    if marks == {","}:
        return [(",", ""), (".", ",")]
    return [(".", ","), (",", ".")] if marks else [(".", "")]


def fits_pair(core: str, pair: tuple[str, str]) -> bool:
    """Whether digits can be written with these signs; thousands also as in 1,00,000."""
    decimal, thousands = map(re.escape, pair)
    whole = r"\d*"
    if thousands:
        # no number of thousands begins with a zero: 0,126 is a decimal comma
        whole = rf"(?:[1-9]\d{{0,2}}(?:{thousands}\d{{2,3}})*{thousands}\d{{3}}|\d*)"
    return re.fullmatch(rf"{whole}(?:{decimal}\d+)?", core) is not None


def value_of(core: str, pair: tuple[str, str]) -> str:
    """The digits as Python reads them.

    >>> value_of("1.234,5", (",", "."))
    '1234.5'
    """
    decimal, thousands = pair
    return (core.replace(thousands, "") if thousands else core).replace(decimal, ".")


def _apart(cores: Sequence[str], sign: str) -> bool:
    """Whether numbers without the sign go on where those with it, as thousands, begin.

    So they do in 45, 967, 1.448; as decimals they would be far apart, or all have three places but
    where they have none.
    """
    grouped = [core for core in cores if sign in core]
    whole = [int(core) for core in cores if core.isdecimal()]
    if not whole or not grouped or max(whole) > 999:
        return False
    # decimals with exactly three places throughout, beside numbers without any, are unlikely:
    # writers drop zeros at the end in a tenth of the cells, or write them in all
    as_decimals = median(float(core.replace(sign, ".")) for core in grouped)
    return median(whole) > _APART * as_decimals or len(grouped) >= _LIKELY
