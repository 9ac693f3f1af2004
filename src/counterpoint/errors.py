"""What the user gave cannot be used, and how things end: the words for both.

Every refusal of bad input is an `InputError` whose message is one line: the name, the rule, what
was found, and the nearest valid thing. The command prints that line and exits with status 2.
What ends in a way that is no error (a search at its limit, a run that was interrupted) says so by
a member of an `Ending`.

>>> nearest("pirce", ["price", "days"])
"; did you mean 'price'?"
"""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import Enum
from typing import TypeVar

__all__ = ["Ending", "InputError", "nearest"]

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


def nearest(found: str, known: Iterable[str], *, most: int = 8) -> str:
    """End an error message with the valid name closest to the one found.

    Args:
        found: the name that is not valid.
        known: the valid names.
        most: how many valid names to list when none is close.

    Returns:
        ``"; did you mean 'x'?"``, or ``"; known: a, b, c"`` when nothing is close.

    >>> nearest("zebra", ["price", "days"])
    '; known: days, price'
    """
    names = sorted(known)
    close = get_close_matches(found, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    if not names:
        return ""
    more = f", … ({len(names) - most} more)" if len(names) > most else ""
    return f"; known: {', '.join(names[:most])}{more}"
