"""JSON of somebody else's: an object whose keys come once each, and nothing else."""

import json
from pathlib import Path
from typing import Any

from counterpoint.errors import InputError


def strict_object(content: bytes, file: Path, what: str) -> dict[str, Any]:
    """The object in a text.

    Args:
        content: the text, UTF-8.
        file: for the message.
        what: what the text is, for the message.

    Raises:
        InputError: it is no JSON, no object, or has a key twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # json keeps the last of two: what one program checks, another would not load
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{file}: the {what} has the key {twice!r:.80} twice")
        return found

    try:
        value = json.loads(content.decode(), object_pairs_hook=once)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: the {what} is not readable as JSON: {error!s:.80}") from error
    if not isinstance(value, dict):
        raise InputError(f"{file}: expected an object as {what}, found {type(value).__name__}")
    return value
