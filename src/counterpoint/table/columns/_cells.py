"""One cell that holds a number: its digits, and what is written around them.

A cell such as ``-€ 1.250,00 /mo`` is taken apart into sign, unit before, digits, exponent, unit
after, and whether the number is a limit (``<0.05``, ``90+``). Which sign among the digits separates
decimals is not known from one cell: `counterpoint.table.columns._notation` settles it for all.
"""

import re
import unicodedata
from dataclasses import dataclass

PLACEHOLDERS = frozenset(
    {
        "-", "--", "---", ".", "..", "...", "*", "?", "??", "/", "#", "x", "na", "n.a.", "n.a",
        "n/a", "n.v.", "nan", "nat", "null", "none", "nil", "void", "missing", "miss", "unknown",
        "unk", "undefined", "unspecified", "not available", "not applicable", "not recorded",
        "not known", "not measured", "not reported", "not given", "not stated", "no data",
        "nodata", "no value", "no answer", "no response", "withheld", "suppressed", "refused",
        "blank", "empty", "tbd", "tba", "tbc", "pending", "(missing)", "(blank)", "(null)",
        "(none)", "(empty)", "<na>", "\\n", "#n/a", "#n/a n/a", "#value!", "#div/0!", "#ref!",
        "#name?", "#null!", "#num!", "k.a.", "k. a.", "keine angabe", "unbekannt", "fehlt",
        "inconnu", "s/d", "sin datos", "n.d.", "n/d",
    }
)  # fmt: skip
"""Words that stand for no value wherever most cells are numbers or dates; in small letters."""

# typesetters' minus signs, and powers that Unicode's folding would turn into digits of the number
_MINUS = dict.fromkeys(map(ord, "−‐‑‒–—﹣－"), "-") | {ord("²"): "^2", ord("³"): "^3"}

# letters behind a number are tried before units, so that "5 plus" is a limit and not a unit
_UPPER = r"\+|plus|or more|or over|or above|and over|and above|or less|and under"
_BOUND = (
    r"<=|>=|=<|=>|[<>≤≥~≈]|(?:ca\.?|circa|approx\.?|approximately|about|around|under|over|below|above|"
    r"less than|more than|at least|at most|up to)(?=[\s\d.$€£])"
)
# the digits are taken with every sign among them: which is which, only the whole column tells
_CELL = re.compile(
    rf"""(?P<open>\()?\s*
    (?P<bound>{_BOUND})?\s*
    (?P<sign>[+-])?\s*
    (?P<before>[^\d\s<>=()+\-.,'’"~_:;/][^\d<>=()+\-,:;/]{{0,9}}?)??\s*
    (?P<inner>[+-])?\s*
    (?P<core>[.,]?\d(?:[.,'’_\s]?\d)*)
    (?P<exponent>[eE][+-]?\d{{1,3}})?
    (?P<even>[.,]-*)?\s*
    (?P<after>[^\d\s<>=()+\-.,'’"_:;][^\d<>=()+:;]{{0,19}}?(?:\^\d)?)??\s*
    (?P<upper>{_UPPER})?(?P<behind>-)?\s*(?P<close>\))?""",
    re.VERBOSE | re.IGNORECASE,
)

# how spreadsheets say that digits are a text: '24 and ="24"
_AS_TEXT = re.compile(r"^(?:'|=\")(?P<cell>[+-]?[.,]?\d[^'\"]*)['\"]?$")
_HEX = re.compile("0[xX][0-9a-fA-F]{1,15}")
_TIMES = {
    1e3: ("k", "tsd", "thousand"),
    1e6: ("m", "mn", "mln", "mio", "million", "millions"),
    1e9: ("b", "bn", "mrd", "billion", "billions"),
    1e12: ("t", "tn", "trillion", "trillions"),
}
_FACTORS = {word: factor for factor, words in _TIMES.items() for word in words}
_LONGEST_FIRST = "|".join(sorted(_FACTORS, key=len, reverse=True))
_FACTOR = re.compile(rf"({_LONGEST_FIRST})\b\.?\s*", re.IGNORECASE)
_CURRENCIES = (
    "usd eur gbp jpy cny rmb inr aud cad nzd chf sek nok dkk isk pln czk huf ron bgn rub uah try"
    " ils zar brl mxn ars clp cop pen krw twd hkd sgd thb myr idr php vnd aed sar egp ngn kes rs"
    " kr zł kč ft fr lei лв руб р us$ r$ a$ c$ nz$ hk$ s$ euro euros dollar dollars pounds"
)
_CODES = frozenset(_CURRENCIES.split())
_DATE_WORDS = (
    "am pm a.m. p.m. jan feb mar apr may jun jul aug sep sept oct nov dec january february march"
    " april june july august september october november december"
)
_NO_UNIT = frozenset(_DATE_WORDS.split())
_ORDINAL = frozenset({"st", "nd", "rd", "th"})


@dataclass(frozen=True)
class WrittenNumber:
    """A number as it is written.

    Attributes:
        core: the digits with the signs among them.
        exponent: such as "e-3"; may be empty.
        negative: whether it is below zero.
        factor: a thousand for "k", and so on.
        before, after: the unit on either side, as written.
        limit: whether the number bounds the value.
        bracketed: whether brackets or a sign behind it make it negative.
    """

    core: str
    exponent: str
    negative: bool
    factor: float
    before: str
    after: str
    limit: bool
    bracketed: bool

    @property
    def dressed(self) -> int:
        """How much is written besides the digits."""
        return len(self.before) + len(self.after) + 2 * self.limit + 2 * self.bracketed


def plain(text: str) -> str:
    """A text with one sign for minus, one for a space and one for each digit.

    >>> plain("−1\N{NO-BREAK SPACE}250")
    '-1 250'
    """
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFKC", text.translate(_MINUS)).translate(_MINUS).strip()


def read_cell(text: str) -> WrittenNumber | None:
    """Take a cell apart; None where it holds no number, or more than one.

    >>> cell = read_cell("-€ 1.250,50")
    >>> cell.negative, cell.before, cell.core
    (True, '€', '1.250,50')
    >>> read_cell("$1.2m").factor, read_cell("1.2 m").after, read_cell("90+").limit
    (1000000.0, 'm', True)
    >>> read_cell("41k-51k"), read_cell("01/02/2020"), read_cell("8:15")
    (None, None, None)
    """
    text = _AS_TEXT.sub(r"\g<cell>", plain(text))
    if _HEX.fullmatch(text):
        return WrittenNumber(str(int(text, 16)), "", False, 1.0, "", "", False, False)
    found = _CELL.fullmatch(text)
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    # two signs, as in -(5), say nothing that is sure
    signs = [found["sign"], found["inner"], found["open"], found["behind"]]
    if sum(map(bool, signs)) > 1:
        return None
    # 01 Jan and 8 pm are no January and no p.m. of something
    before, after = (found["before"] or "").strip(), (found["after"] or "").strip()
    if _fold(after) in _NO_UNIT or _fold(before) in _NO_UNIT:
        return None
    money = is_money(before)
    factor, after = _split_factor(after, money=money)
    return WrittenNumber(
        core=re.sub(r"\s", " ", found["core"]),
        exponent=found["exponent"] or "",
        negative="-" in (found["sign"], found["inner"]) or bool(found["open"] or found["behind"]),
        factor=factor,
        before=before,
        after=after,
        limit=bool(found["bound"] or found["upper"]),
        bracketed=bool(found["open"] or found["behind"]),
    )


def _split_factor(after: str, *, money: bool) -> tuple[float, str]:
    """Thousands, millions and so on behind a number, and the unit without them."""
    found = _FACTOR.match(after)
    rest = after[found.end() :] if found else ""
    if found is None or (rest and not is_money(rest)):
        return 1.0, after
    word = found[1]
    # 5 m, 5 t and 5 b are metres, tons and bits unless the number is money or the letter is great
    short = len(word) == 1 and word.islower() and word != "k"
    if short and not (money or rest):
        return 1.0, after
    return _FACTORS[word.lower()], rest


def is_money(unit: str) -> bool:
    """Whether a unit is a currency's sign or code.

    >>> is_money("€"), is_money("USD"), is_money("CA$"), is_money("kg")
    (True, True, True, False)
    """
    # Unicode's class of currency signs, so that none has to be listed; three letters as in CA$
    signs = any(unicodedata.category(letter) == "Sc" for letter in unit)
    return (signs and len(unit) <= 4) or _fold(unit) in _CODES


def unit_of(unit: str) -> str:
    """A unit whatever its case, and whether there is one of it or several.

    >>> unit_of("Years") == unit_of("year"), unit_of("kg") == unit_of("g")
    (True, False)
    """
    folded = _fold(unit)
    # 1st, 2nd and 3rd are of one unit
    if folded in _ORDINAL:
        return "th"
    return folded.removesuffix("s") if len(folded) > 2 else folded


def _fold(unit: str) -> str:
    return unit.casefold().strip().removesuffix(".")
