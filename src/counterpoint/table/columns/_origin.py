"""What a frame remembers of the file that it was read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from counterpoint.errors import InputError
from counterpoint.plain import from_plain, to_plain

_KEY = "counterpoint"


@dataclass(frozen=True)
class Origin:
    """How a file was written, and what of it is no longer in the frame.

    Attributes:
        separator: between the cells of a text file.
        decimal, thousands: the signs that the reader was told; empty: none.
        digest: SHA-256 of what cannot be read twice, such as a pipe.
        said: how the file was read where that is not plain, sentences.
        missing: of each column, texts that were taken as missing -> how often.
    """

    separator: str = ""
    decimal: str = ""
    thousands: str = ""
    digest: str = ""
    said: tuple[str, ...] = ()
    missing: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])


def note_origin(frame: pd.DataFrame, origin: Origin) -> pd.DataFrame:
    """The frame, which from now on remembers; pandas keeps it through selections of rows."""
    # plain values: pandas writes what a frame remembers into Parquet as JSON
    frame.attrs[_KEY] = to_plain(origin)
    return frame


def origin_of(frame: pd.DataFrame) -> Origin:
    """What a frame remembers; of one that was made otherwise, nothing."""
    found = frame.attrs.get(_KEY)
    if not isinstance(found, Mapping):
        return Origin()
    try:
        return from_plain(Origin, found, "origin")
    except InputError:
        return Origin()
