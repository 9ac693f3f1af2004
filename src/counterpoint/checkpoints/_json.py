"""JSON of somebody else's: an object whose keys come once each, and nothing else."""

from pathlib import Path
from typing import Any

from counterpoint.errors import InputError
from counterpoint.storage import from_json


def strict_object(content: bytes, file: Path, what: str) -> dict[str, Any]:
    """The object in a text.

    Args:
        content: the text, UTF-8.
        file: for the message.
        what: what the text is, for the message.

    Raises:
        InputError: it is no JSON, no object, or has a key twice.
    """
    value = from_json(content, file, what)
    if not isinstance(value, dict):
        raise InputError(f"{file}: expected an object as {what}, found {type(value).__name__}")
    return value
