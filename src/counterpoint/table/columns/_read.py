"""Read a CSV, TSV or Parquet file as a frame of texts or typed columns, nothing guessed yet."""

import codecs
import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from counterpoint.errors import InputError, nearest
from counterpoint.plain import StrPath

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?", "#N/A", "<NA>")
"""Texts that mean "no value" in a CSV or TSV."""

COMMA = r"[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+"
"""A number with a decimal comma, with or without points between thousands."""

_LONGEST = 1_000_000


def read_table(
    path: StrPath,
    *,
    encoding: str = "utf-8",
    separator: str = "",
    missing: Sequence[str] = (),
    decimal: str = ".",
) -> pd.DataFrame:
    """Read a table; rows keep the file's order and are numbered from 0.

    Args:
        path: a file whose name ends in .csv, .tsv, .txt (each also with .gz) or .parquet.
        encoding: of a text file.
        separator: between cells; empty: a tab for .tsv, else whichever of ``, ; tab |`` the
            header has most of.
        missing: texts that mean "no value", beside `MISSING`.
        decimal: "." or ","; with a comma, cells such as 1.234,5 are read as 1234.5.

    Returns:
        One column a column of the file: texts (missing ones are NA) from a text file, the
        file's own types from Parquet.

    Raises:
        InputError: names the file, the row or column, the rule and what was found.
    """
    path = Path(path)
    try:
        table = _table(path, encoding, separator, missing)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    refuse_names(table.column_names, str(path))
    if table.num_rows == 0:
        raise InputError(f"{path}: has a header but no rows")
    # the index that pandas writes into Parquet is a column like any other
    frame = table.to_pandas(ignore_metadata=True)
    return _pointed(frame) if decimal == "," else frame


def _pointed(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers written with a decimal comma, written with a point."""
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.is_string_dtype(values.dtype):
            comma = values.str.fullmatch(COMMA).fillna(value=False).astype(bool)
            points = values.where(comma).str.replace(".", "", regex=False)
            frame[name] = values.where(~comma, points.str.replace(",", ".", regex=False))
    return frame


def _table(path: Path, encoding: str, separator: str, missing: Sequence[str]) -> pa.Table:
    _refuse_absent(path)
    if path.name.lower().endswith((".parquet", ".pq")):
        return _parquet(path)
    return _text(path, encoding, separator, {*MISSING, *missing})


def _refuse_absent(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; a CSV, TSV or Parquet file is expected")
    if not path.exists():
        beside = [entry.name for entry in path.parent.glob("*")] if path.parent.is_dir() else []
        raise InputError(f"{path}: no such file{nearest(path.name, beside, most=4)}")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")


def refuse_names(names: Iterable[Hashable], where: str) -> None:
    """Refuse columns that share a name."""
    for name, count in Counter(map(str, names)).items():
        if count > 1:
            raise InputError(f"{where}: column {name!r} stands {count} times; rename all but one")


def _parquet(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not readable as Parquet: {error}") from error
    refuse_names(table.column_names, str(path))
    for field in table.schema:
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            raise InputError(
                f"{path}: column {field.name!r} has type {field.type}; numbers, texts, booleans"
                " and dates can be used"
            )
    return table


def _text(path: Path, encoding: str, separator: str, missing: set[str]) -> pa.Table:
    content = _decoded(path, encoding).lstrip("\r\n")
    if not content.strip():
        raise InputError(f"{path}: the file is empty")
    separator = {"\\t": "\t"}.get(separator, separator)
    if len(separator) > 1 or not separator.isascii():
        raise InputError(f"separator: expected one ASCII sign, found {separator!r}")
    separator = separator or _separator(path, content[:100_000].split("\n", 1)[0])
    names = _header(path, content, separator)
    table = _parse(path, content, separator, names)
    for place in range(table.num_columns):
        table = _clean(path, table, place, missing)
    return table


def _decoded(path: Path, encoding: str) -> str:
    raw = path.read_bytes()
    if path.name.lower().endswith(".gz"):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: not readable as gzip: {error}") from error
    try:
        plain = codecs.lookup(encoding).name == "utf-8"
        text = raw.decode("utf-8-sig" if plain else encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}: line {line:,}: byte 0x{raw[error.start]:02x} is not {encoding}; say how the"
            " text is encoded, for example --encoding latin-1"
        ) from None
    except UnicodeError as error:
        raise InputError(f"{path}: is not {encoding}: {error}") from None
    except LookupError:
        raise InputError(
            f"unknown encoding {encoding!r}; for example utf-8, latin-1, utf-16"
        ) from None
    zero = text.find("\0")
    if zero >= 0:
        line = text.count("\n", 0, zero) + 1
        raise InputError(
            f"{path}: line {line:,}: holds a NUL byte, so it is not {encoding} text; is it"
            " another format, or --encoding utf-16?"
        )
    return text


def _separator(path: Path, header: str) -> str:
    if ".tsv" in path.name.lower():
        return "\t"
    return max(",;\t|", key=lambda sign: (header.count(sign), sign == ","))


def _header(path: Path, content: str, separator: str) -> list[str]:
    try:
        row = next(csv.reader(io.StringIO(content[:_LONGEST]), delimiter=separator))
    except (csv.Error, TypeError, StopIteration) as error:
        raise InputError(f"{path}: the header is not readable: {error}") from error
    names = [name.strip() or f"column_{place}" for place, name in enumerate(row, 1)]
    refuse_names(names, str(path))
    return names


def _parse(path: Path, content: str, separator: str, names: list[str]) -> pa.Table:
    ragged: list[pacsv.InvalidRow] = []

    def note(row: pacsv.InvalidRow) -> Literal["skip"]:
        ragged.append(row)
        return "skip"

    encoded = content.encode()
    try:
        table = pacsv.read_csv(
            io.BytesIO(encoded),
            # one thread and one block: the rows in an error message then have numbers
            read_options=pacsv.ReadOptions(
                column_names=names, skip_rows=0, use_threads=False, block_size=_block(encoded)
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        raise InputError(f"{path}: not readable as a table: {error}") from error
    if ragged:
        first = ragged[0]
        raise InputError(
            f"{path}: row {(first.number or 1) - 1:,} has {first.actual_columns} cells, the header"
            f" has {first.expected_columns}: {first.text[:60]!r}"
        )
    return table.slice(1)


def _block(encoded: bytes) -> int:
    return min(max(len(encoded) + 1, 2**20), 2**31 - 1)


def _clean(path: Path, table: pa.Table, place: int, missing: set[str]) -> pa.Table:
    name, column = table.column_names[place], table.column(place)
    length = pc.utf8_length(column)
    longest = pc.max(length).as_py() or 0
    if longest > _LONGEST:
        row = pc.index(length, longest).as_py() + 1
        raise InputError(
            f"{path}: row {row:,}, column {name!r}: a cell of {longest:,} characters;"
            f" at most {_LONGEST:,} are read"
        )
    text = pc.utf8_trim_whitespace(column)
    absent = pc.is_in(text, value_set=pa.array(sorted(missing)))
    return table.set_column(place, name, pc.if_else(absent, pa.scalar(None, pa.string()), text))
