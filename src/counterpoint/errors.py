"""What the user gave cannot be used: the one exception type, and the nearest right thing.

Every refusal of bad input is an `InputError` whose message is one line: the name, the rule, what
was found, and the nearest valid thing. The command prints that line and exits with status 2.

>>> nearest("pirce", ["price", "days"])
"; did you mean 'price'?"
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["InputError", "nearest"]


class InputError(ValueError):
    """Input that cannot be used; the message is one line that says what to change."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


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
