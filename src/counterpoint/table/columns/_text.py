"""The cells of a text file: bytes to text, text to cells, words for nothing to nothing."""

import codecs
import gzip
import io
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from counterpoint.errors import InputError
from counterpoint.table.columns._lines import TableText, find_layout, looks_like_values, names_of
from counterpoint.table.columns._origin import Origin

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?", "#N/A", "<NA>")
"""Texts that mean "no value" in a CSV or TSV."""

# UTF-32 first: its mark begins with that of UTF-16
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_GZIP = b"\x1f\x8b"
_LONGEST = 1_000_000
_UNPACKED = 2**30
"""Bytes that a gzip file may unpack to whatever its size,"""
_RATIO = 100
"""and how many times its own size it may: deflate makes a thousand of one, tables ten."""
_WORD = re.compile(r"[^\s,;|\"]{1,20}")
_WORD_END = re.compile(r"[^\s,;|\"]{1,20}$")


@dataclass(frozen=True)
class TextFormat:
    """What is told of a text file; see `read_table`."""

    encoding: str = "utf-8"
    separator: str = ""
    missing: frozenset[str] = frozenset()
    not_missing: frozenset[str] = frozenset()
    header: bool = True
    names: tuple[str, ...] = ()


def parse_text(
    content: bytes, where: str, told: TextFormat, *, tabbed: bool
) -> tuple[pa.Table, Origin]:
    """The cells of a text file, and what is no longer in them.

    Args:
        content: of the file.
        where: its name, for messages.
        told: what is known of it.
        tabbed: whether its name says that tabs are between the cells.
    """
    text = _decoded(content, where, told.encoding)
    if not text.strip():
        raise InputError(f"{where}: the file is empty")
    layout = find_layout(text, where, told.separator, tabbed=tabbed, header=told.header)
    names = _names(layout, where, told)
    table = _cells(layout, where, names, first=not told.header)
    words = {*MISSING, *told.missing} - told.not_missing
    absent = dict[str, dict[str, int]]()
    for place in range(table.num_columns):
        table, found = _clean(where, table, place, words)
        if found:
            absent[table.column_names[place]] = found
    said = layout.said
    if told.header and not told.names and looks_like_values(table.column_names):
        listed = ", ".join(map(repr, table.column_names[:3]))
        said += (f"the names of columns look like values: {listed}; --no-header if they are",)
    return table, Origin(layout.separator, said=said, missing=absent)


def _decoded(raw: bytes, where: str, encoding: str) -> str:
    if raw.startswith(_GZIP):
        raw = _unpacked(raw, where)
    marked = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "")
    try:
        plain = codecs.lookup(encoding).name == "utf-8"
        text = raw.decode(marked if plain and marked else encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{where}: line {line:,}: byte 0x{raw[error.start]:02x} is not {encoding}; say how the"
            f" text is encoded, for example --encoding {_likely(raw, error.start)}"
        ) from None
    except UnicodeError as error:
        raise InputError(f"{where}: is not {encoding}: {error}") from None
    except LookupError:
        raise InputError(
            f"unknown encoding {encoding!r}; for example utf-8, latin-1, utf-16"
        ) from None
    zero = text.find("\0")
    if zero >= 0:
        line = text.count("\n", 0, zero) + 1
        raise InputError(
            f"{where}: line {line:,}: holds a NUL byte, so it is not {encoding} text; is it"
            " another format, or --encoding utf-16?"
        )
    return text


def _unpacked(raw: bytes, where: str) -> bytes:
    """What a gzip file holds, unless that is out of all proportion to it."""
    most = max(_UNPACKED, _RATIO * len(raw))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            content = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{where}: not readable as gzip: {error}") from error
    if len(content) > most:
        raise InputError(
            f"{where}: {len(raw):,} bytes of gzip unpack to more than {most:,}, as few tables do;"
            " if it is one, unpack it first (gunzip)"
        )
    return content


def _likely(raw: bytes, place: int) -> str:
    """An encoding that may be meant, and what it makes of the place."""
    # Windows' has all letters of latin-1, and signs where that has controls, but for five bytes
    try:
        name, text = "cp1252", raw.decode("cp1252")
    except UnicodeDecodeError:
        name, text = "latin-1", raw.decode("latin-1")
    # one byte is one letter, so that places are the same
    before, after = _WORD_END.search(text[:place]), _WORD.match(text[place:])
    word = (before[0] if before else "") + (after[0] if after else "")
    return f"{name}, which reads {word[:40]!r}"


def _names(layout: TableText, where: str, told: TextFormat) -> list[str]:
    """Names of all cells of a line."""
    header = layout.header
    names = names_of(header if told.header else ["" for _ in header])
    if told.names:
        if len(told.names) != len(header):
            raise InputError(
                f"{where}: has {len(header)} columns, but --names gives {len(told.names)}"
            )
        names = names_of(told.names)
    for name, count in Counter(names).items():
        if count > 1:
            # a first row of values often has one twice, before anybody looks for a target in it
            values = told.header and looks_like_values(names)
            cure = "do the names stand in the first row? --no-header" if values else ""
            raise InputError(
                f"{where}: column {name!r} stands {count} times; {cure or 'rename all but one'}"
            )
    return names


def _cells(layout: TableText, where: str, names: list[str], *, first: bool) -> pa.Table:
    """The table under its names; its first line is a row, or else the header."""
    ragged: list[pacsv.InvalidRow] = []

    def note(row: pacsv.InvalidRow) -> Literal["skip"]:
        ragged.append(row)
        return "skip"

    body, read = layout.body, names
    if layout.ended:
        # a separator at the end of every line but the header is one cell more, which holds nothing
        header, _, rest = body.partition("\n")
        body, read = f"{header.rstrip()}{layout.separator}\n{rest}", [*names, ""]
    encoded = body.encode()
    try:
        table = pacsv.read_csv(
            io.BytesIO(encoded),
            # one thread and one block: the rows in an error message then have numbers
            read_options=pacsv.ReadOptions(
                column_names=read, skip_rows=0, use_threads=False, block_size=_block(encoded)
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=layout.separator, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(read, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        raise InputError(f"{where}: not readable as a table: {error}") from error
    if ragged:
        row = ragged[0]
        raise InputError(
            f"{where}: row {(row.number or 1) - (not first):,} has {row.actual_columns} cells, the"
            f" header has {row.expected_columns}: {row.text[:60]!r}"
        )
    return table.slice(0 if first else 1).select(range(len(names)))


def _block(encoded: bytes) -> int:
    return min(max(len(encoded) + 1, 2**20), 2**31 - 1)


def _clean(
    where: str, table: pa.Table, place: int, missing: set[str]
) -> tuple[pa.Table, dict[str, int]]:
    """A column without words for nothing, and how often each stood there."""
    name, column = table.column_names[place], table.column(place)
    length = pc.utf8_length(column)
    longest = pc.max(length).as_py() or 0
    if longest > _LONGEST:
        row = pc.index(length, longest).as_py() + 1
        raise InputError(
            f"{where}: row {row:,}, column {name!r}: a cell of {longest:,} characters;"
            f" at most {_LONGEST:,} are read"
        )
    # é as one letter or as two are one word to whoever wrote them
    trimmed = pc.utf8_trim_whitespace(column)
    text: Any = pc.call_function("utf8_normalize", [trimmed], pc.Utf8NormalizeOptions("NFC"))
    absent = pc.is_in(text, value_set=pa.array(sorted(missing)))
    words = pc.value_counts(pc.filter(text, absent)).to_pylist()
    clean = pc.if_else(absent, pa.scalar(None, pa.string()), text)
    return table.set_column(place, name, clean), {
        word["values"]: word["counts"] for word in words if word["values"]
    }
