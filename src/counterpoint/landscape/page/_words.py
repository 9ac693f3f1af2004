"""Numbers and ways to walk in words."""

from counterpoint.landscape.page._stories import RULE_TITLES
from counterpoint.recipe import LabWalk

_COUNTS = ("no", "one", "two", "three", "four", "five", "six")


def percent(share: float, digits: int = 0) -> str:
    r"""A share of 1.

    >>> percent(0.083, 1)
    '8.3\xa0%'
    """
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def count(number: int, what: str) -> str:
    """A number of things, small ones as a word.

    >>> count(2, "field"), count(1, "field")
    ('two fields', 'one field')
    """
    words = _COUNTS[number] if number < len(_COUNTS) else str(number)
    return f"{words} {what}{'s' * (number != 1)}"


def title_of(walk: LabWalk) -> str:
    """A way to walk.

    >>> title_of(LabWalk("mean", 0.3, 0.9))
    'the sum, step 0.3, momentum 0.9'
    """
    parts = [RULE_TITLES[walk.rule], f"step {walk.step:g}"]
    if walk.optimiser != "sgd":
        parts.append(walk.optimiser)
    elif walk.momentum:
        parts.append(f"momentum {walk.momentum:g}")
    return ", ".join(parts)
