"""JSON that may be somebody else's: what every document, manifest and log is read by."""

import json
import re
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, cast

from counterpoint.errors import InputError

JSONValue: TypeAlias = Any
"""What `json` reads and writes: None, bool, int, float, str, list, dict with string keys."""

_DIGITS = 308  # a float64 holds no whole number of more, and a sum with one would overflow
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _Refused(ValueError):
    """A value that JSON has, or that Python's reader adds, and that no document of ours has."""


def to_json(value: JSONValue) -> bytes:
    """The text of a document: NaN is refused, since JSON has none."""
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def from_json(content: bytes, file: str | Path, what: str = "") -> JSONValue:
    """The value of a document, as strict as JSON is meant to be.

    Args:
        content: the text, UTF-8.
        file: where it is from, for the message.
        what: which part of the file it is, for the message.

    Raises:
        InputError: it is no JSON, is nested too deep, has a key twice, a number that is not finite
            or too long for float64, or half of a surrogate pair.

    >>> from_json(b'{"a": [1, 2.5, null]}', "a.json")
    {'a': [1, 2.5, None]}
    >>> from_json(b'{"a": 1, "a": 2}', "a.json")
    Traceback (most recent call last):
        ...
    counterpoint.errors.InputError: a.json: not readable as JSON: the key 'a' comes twice
    """
    name = f"the {what} is " if what else ""
    try:
        text = content.decode()
        value = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_constant,
            parse_float=_number,
            parse_int=_whole,
        )
        if _SURROGATE.search(text):
            _refuse_half_characters(value)
    except (ValueError, RecursionError) as error:  # recursion: "[[[[…" of a hostile file
        reason = "nested too deep" if isinstance(error, RecursionError) else f"{error!s:.120}"
        raise InputError(f"{file}: {name}not readable as JSON: {reason}") from error
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json keeps the last of two: what one program checks, another would not load
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"the key {twice!r:.80} comes twice")
    return found


def _constant(word: str) -> NoReturn:
    raise _Refused(f"{word} is no number of JSON")


def _number(text: str) -> float:
    value = float(text)
    if value - value != 0.0:  # infinite: Python's reader lets 1e999 pass
        raise _Refused(f"the number {text[:40]} is beyond float64")
    return value


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise _Refused(f"a number of {len(text):,} digits is beyond float64")
    return int(text)


def _refuse_half_characters(value: JSONValue) -> None:
    """A text with half of a surrogate pair can be neither shown nor written."""
    waiting: list[JSONValue] = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += [*cast("dict[str, Any]", part).items()]
        elif isinstance(part, list | tuple):
            waiting += [*cast("list[Any]", part)]
        elif isinstance(part, str) and not part.isascii():
            try:
                part.encode()
            except UnicodeEncodeError:
                raise _Refused(f"the text {part!r:.60} holds half of a character") from None
