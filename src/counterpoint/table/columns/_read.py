"""Read a CSV, TSV or Parquet file as a frame of texts or typed columns, nothing guessed yet."""

import codecs
import json
import stat
import sys
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from counterpoint.errors import InputError, nearest
from counterpoint.plain import StrPath
from counterpoint.table.columns._origin import Origin, note_origin
from counterpoint.table.columns._text import MISSING, TextFormat, parse_text

__all__ = ["MISSING", "read_table", "refuse_names"]

STANDARD_INPUT = "-"
"""The path that means standard input."""

_PARQUET = b"PAR1"
_GLANCE = 64
_OTHERS = {
    (b"pk\x03\x04", b"\xd0\xcf\x11\xe0"): "a spreadsheet or an archive",
    (b"bzh", b"\xfd7zxz", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf"): "an archive that is not gzip",
    (b"<!doctype", b"<html", b"<?xml", b"<table"): "a web page or XML",
    (b"{", b"[{", b"[[", b"[\n"): "JSON",
    (b"arrow1", b"sqlite format 3", b"\x89hdf"): "of another program's format",
}
"""How other formats begin, in small letters -> what they are."""


def read_table(
    path: StrPath,
    *,
    encoding: str = "utf-8",
    separator: str = "",
    missing: Sequence[str] = (),
    not_missing: Sequence[str] = (),
    decimal: str = "",
    thousands: str = "",
    header: bool = True,
    names: Sequence[str] = (),
) -> pd.DataFrame:
    """Read a table; rows keep the file's order and are numbered from 0.

    What stands above the header (a title, lines that begin with ``#``, Excel's ``sep=,``) is
    passed over. Numbers stay as they are written: the columns of a fit find out how to read them.

    Args:
        path: a text file of cells or a Parquet file, each also with gzip around a text; "-" for
            standard input.
        encoding: of a text file; one that begins with a byte order mark says itself.
        separator: between cells; empty: a tab for .tsv, else whichever of ``, ; tab |`` most
            lines have.
        missing: texts that mean "no value", beside `MISSING`.
        not_missing: texts of `MISSING` that are values.
        decimal: the sign before decimals, "." or ","; empty: found column by column.
        thousands: the sign between thousands, "space" or "none"; empty: found column by
            column.
        header: whether the first line has names.
        names: of the columns, instead of the file's.

    Returns:
        One column a column of the file: texts (missing ones are NA) from a text file, the
        file's own types from Parquet. ``frame.attrs`` remembers how the file was written.

    Raises:
        InputError: names the file, the row or column, the rule and what was found.
    """
    told = TextFormat(
        encoding, separator, frozenset(missing), frozenset(not_missing), header, tuple(names)
    )
    standard = str(path) == STANDARD_INPUT
    where = "standard input" if standard else str(path)
    path = Path(path)
    try:
        content, once = _content(path, standard=standard)
    except OSError as error:
        raise InputError(f"{where}: cannot be read: {error.strerror or error}") from error
    # by content: files are renamed, and standard input has no name
    if content[:4] == _PARQUET:
        frame, origin = _parquet(content, where), Origin()
    else:
        _refuse_others(content, where)
        table, origin = parse_text(content, where, told, tabbed=".tsv" in path.name.lower())
        frame = _frame(table, where)
    digest = sha256(content).hexdigest() if once else ""
    return note_origin(frame, replace(origin, decimal=decimal, thousands=thousands, digest=digest))


def _content(path: Path, *, standard: bool) -> tuple[bytes, bool]:
    """What a file holds, and whether it can be read but once."""
    if standard:
        return sys.stdin.buffer.read(), True
    if path.is_dir():
        raise InputError(f"{path}: is a folder; a CSV, TSV or Parquet file is expected")
    if not path.exists():
        beside = [entry.name for entry in path.parent.glob("*")] if path.parent.is_dir() else []
        raise InputError(f"{path}: no such file{nearest(path.name, beside, most=4)}")
    content = path.read_bytes()
    if not content:
        raise InputError(f"{path}: the file is empty")
    if content[:4] != _PARQUET and path.name.lower().endswith((".parquet", ".pq")):
        raise InputError(f"{path}: not readable as Parquet: it does not begin as one")
    return content, not stat.S_ISREG(path.stat().st_mode)


def _refuse_others(content: bytes, where: str) -> None:
    """Refuse what is neither text in lines nor Parquet, as what it is."""
    start = content[:_GLANCE].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    for starts, nature in _OTHERS.items():
        if start.startswith(starts):
            raise InputError(f"{where}: is {nature}; save its table as CSV")


def refuse_names(names: Iterable[Hashable], where: str) -> None:
    """Refuse columns that share a name."""
    for name, count in Counter(map(str, names)).items():
        if count > 1:
            raise InputError(f"{where}: column {name!r} stands {count} times; rename all but one")


def _frame(table: pa.Table, where: str) -> pd.DataFrame:
    refuse_names(table.column_names, where)
    if table.num_rows == 0:
        raise InputError(f"{where}: has a header but no rows")
    # the index that pandas writes into Parquet is a column like any other
    return table.to_pandas(ignore_metadata=True)


def _parquet(content: bytes, where: str) -> pd.DataFrame:
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{where}: not readable as Parquet: {error}") from error
    table = table.rename_columns(
        [unicodedata.normalize("NFC", name) for name in table.column_names]
    )
    refuse_names(table.column_names, where)
    frame = _frame(_spelt(table), where)
    for field in table.schema:
        frequency = _frequency(field)
        if frequency:
            frame[field.name] = _periods(frame[field.name], frequency)
    return frame


def _spelt(table: pa.Table) -> pa.Table:
    """The table with bytes as the texts that they are, where they are texts.

    Old writers of Parquet mark none, and the bytes of others stay what they are.
    """
    for place, field in enumerate(table.schema):
        if not (pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)):
            continue
        try:
            table = table.set_column(place, field.name, table.column(place).cast(pa.string()))
        except pa.ArrowException:
            continue
    return table


def _frequency(field: Any) -> str:
    """How long the periods of a column are that pandas wrote; empty: it has none."""
    metadata: dict[bytes, bytes] = field.metadata or {}
    if metadata.get(b"ARROW:extension:name") != b"pandas.period":
        return str(getattr(field.type, "freq", ""))
    return str(json.loads(metadata[b"ARROW:extension:metadata"])["freq"])


def _periods(cells: pd.Series, frequency: str) -> Any:
    """The first days of periods, of which Arrow keeps the numbers."""
    if isinstance(cells.dtype, pd.PeriodDtype):
        return cells.dt.to_timestamp()
    known = cells.notna()
    # the stubs of pandas do not know it
    index: Any = pd.PeriodIndex
    periods = index.from_ordinals(cells[known].astype("int64"), freq=frequency)
    return pd.Series(periods.to_timestamp(), index=cells.index[known]).reindex(cells.index)
