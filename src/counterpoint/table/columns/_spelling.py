"""Levels that are written in several ways: which are one, and which only look alike."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

_WORDS = (
    ("true t yes y on", "false f no n off"),
    ("ja j", "nein nee nej n"),
    ("oui o", "non n"),
    ("si sí s sì", "no n"),
    ("sim s", "não nao n"),
    ("tak t", "nie n"),
    ("да", "нет"),
)
_PAIRS = tuple((frozenset(yes.split()), frozenset(no.split())) for yes, no in _WORDS)
_LETTERS = (frozenset("tf"), frozenset("yn"), frozenset("jn"))
_DIGITS = frozenset("10")

_WHOLE = re.compile(r"([+-]?(?:0|[1-9]\d*))\.0+")


def level_of(text: str) -> str:
    """A level as it is known: a whole number without decimals, whatever file it comes from.

    >>> level_of("1.0"), level_of("01.0"), level_of("1.5")
    ('1', '01.0', '1.5')
    """
    found = _WHOLE.fullmatch(text)
    return found[1] if found else text


def truth(text: str) -> bool | None:
    """What a word says, in whatever case; None where it is no word for true or false."""
    word = text.casefold().strip()
    if word in _DIGITS:
        return word == "1"
    said = [
        said
        for pair in _PAIRS
        for said, words in zip((True, False), pair, strict=True)
        if word in words
    ]
    return said[0] if said else None


def is_truth(words: Iterable[str]) -> bool:
    """Whether words are those for true and false, however they are spelt.

    >>> is_truth(["Yes", "no", "N"]), is_truth(["m", "f"]), is_truth(["F", "N"]), is_truth(["f"])
    (True, False, False, True)
    """
    folded = {word.casefold().strip() for word in words}
    # 1 and 0 are words for true and false only beside such words
    said = folded - _DIGITS
    if all(len(word) == 1 for word in said):
        # letters alone may be anything: only those that belong together are taken for words
        return bool(said) and any(said <= letters for letters in _LETTERS)
    return any(said <= yes | no for yes, no in _PAIRS)


def folded(level: str) -> str:
    """A level without what eyes pass over: case, spaces, and how letters are encoded."""
    return " ".join(unicodedata.normalize("NFKC", level).casefold().split())


def twins(counts: Mapping[str, int]) -> list[list[str]]:
    """Levels that differ in case or space alone, the commonest first.

    >>> twins({"north": 5, "North": 2, "south": 4, "north ": 9})
    [['north ', 'north', 'North']]
    """
    lots = dict[str, list[str]]()
    for level in sorted(counts, key=lambda level: -counts[level]):
        lots.setdefault(folded(level), []).append(level)
    return [lot for lot in lots.values() if len(lot) > 1]
