"""What the user gave cannot be used, and how things end: the words for both.

Every refusal of bad input is an `InputError` whose message is one line: the name, the rule, what
was found, and the nearest valid thing. The command prints that line and exits with status 2.
What ends in a way that is no error (a search at its limit, a run that was interrupted) says so by
a member of an `Ending`.

>>> nearest("pirce", ["price", "days"])
"; did you mean 'price'?"
"""

import inspect
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from enum import Enum
from typing import TypeVar

__all__ = ["Ending", "InputError", "nearest", "one_of", "warn"]

_BETWEEN = {__name__.partition(".")[0], "torch", "contextlib", "jaxtyping"}
"""Packages whose lines say nothing of what their caller did: ours, and what wraps our functions."""

_MOST = 8
"""Names that a message lists."""

_Member = TypeVar("_Member", bound=Enum)


class InputError(ValueError):
    """Input that cannot be used; the message is one line that says what to change."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class Ending(Enum):
    """How something ended: a member a way, whose value is its sentence for a person.

    Files hold the word, which stays when a sentence is put better.

    >>> class Search(Ending):
    ...     FOUND = "the maximum was found"
    ...     AT_LIMIT = "the search ended at its limit"
    >>> Search.AT_LIMIT.word, Search.AT_LIMIT.sentence
    ('at limit', 'the search ended at its limit')
    >>> Search.of("at limit") is Search.AT_LIMIT
    True
    """

    @property
    def sentence(self) -> str:
        """What happened, for a person."""
        return str(self.value)

    @property
    def word(self) -> str:
        """The member's name in small letters, for files and tables."""
        return self.name.lower().replace("_", " ")

    @classmethod
    def of(cls: type[_Member], word: str) -> _Member:
        """The member of a word.

        Raises:
            InputError: no member has it (names the nearest).
        """
        members = {member.name.lower().replace("_", " "): member for member in cls}
        if word not in members:
            raise InputError(f"{cls.__name__}: no ending is {word!r}{nearest(word, members)}")
        return members[word]


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called into this package, however deep inside the reason is found.

    Args:
        message: what is so, and what to do about it.
        category: of the warning.
    """
    # counted, not told: a number written by hand is wrong as soon as a call is added between
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level + 1)


def one_of(what: str, value: object, known: Iterable[str]) -> str:
    """The known name that is meant, in whatever case, and with ``_`` for ``-``.

    Args:
        what: what the name is of, for the message.
        value: the name as somebody wrote it.
        known: the valid names, in the order in which they are to be listed.

    Returns:
        The name as `known` spells it.

    Raises:
        InputError: it is none of them, or no text; names the nearest.

    >>> one_of("rule", "PCGrad", ["sum", "pcgrad"])  # as its paper writes it
    'pcgrad'
    >>> one_of("structure", "diagnal", ["diagonal", "dense"])
    Traceback (most recent call last):
        ...
    counterpoint.errors.InputError: structure: expected one of diagonal, dense, found 'diagnal';
    did you mean 'diagonal'?
    """
    names = {_folded(name): name for name in known}
    # None is not the name "none", nor True the name "true"
    wanted = _folded(value) if isinstance(value, str) else None
    if wanted in names:
        return names[wanted]
    close = get_close_matches(wanted or "", names, n=1, cutoff=0.6)
    hint = f"; did you mean {names[close[0]]!r}?" if close else ""
    # twenty names and the one that is meant would hide it
    short = close and len(names) > _MOST
    listed = f"{len(names)} names" if short else ", ".join(n or "''" for n in names.values())
    raise InputError(f"{what}: expected one of {listed}, found {value!r}{hint}")


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def nearest(found: str, known: Iterable[str], *, most: int = _MOST) -> str:
    """End an error message with the valid name closest to the one found.

    Args:
        found: the name that is not valid.
        known: the valid names.
        most: how many valid names to list when none is close.

    Returns:
        ``"; did you mean 'x'?"``, or ``"; known: a, b, c"`` when nothing is close.

    >>> nearest("zebra", ["price", "days"])
    '; known: days, price'
    >>> nearest("PRICE", ["price", "days"])
    "; did you mean 'price'?"
    """
    names = sorted(known)
    folded = {name.casefold(): name for name in reversed(names)}
    close = get_close_matches(found, names, n=1, cutoff=0.6)
    close = close or [folded[c] for c in get_close_matches(found.casefold(), folded, n=1)]
    if close:
        return f"; did you mean {close[0]!r}?"
    if not names:
        return ""
    more = f", … ({len(names) - most} more)" if len(names) > most else ""
    return f"; known: {', '.join(names[:most])}{more}"
