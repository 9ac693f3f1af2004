"""The files that verbs read and write besides model folders."""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from counterpoint.recipe import Data

TABLE = "CSV (.gz), TSV or Parquet file; - for standard input"

_SIGNS = {
    "encoding": "of a text file (utf-8)",
    "separator": "sign between the cells of a text file",
    "decimal": "sign before decimals: . or , (found column by column)",
    "thousands": "sign between thousands: , . ' _ space, or none (found column by column)",
}
_WORDS = {
    "missing": "a word that means no value; may be repeated",
    "not-missing": "a word such as None that is a value here; may be repeated",
}
_FORMAT = (
    "encoding",
    "separator",
    "decimal",
    "thousands",
    "missing",
    "not_missing",
    "header",
    "names",
)


def add_text_format(parser: ArgumentParser) -> None:
    """Declare how a text file is written; what is not said is as in the fit, or found out."""
    for name, text in _SIGNS.items():
        parser.add_argument(f"--{name}", metavar="TEXT", help=text)
    for name, text in _WORDS.items():
        parser.add_argument(f"--{name}", action="append", metavar="WORD", help=text)
    parser.add_argument(
        "--header", action=BooleanOptionalAction, help="whether the first line has names (yes)"
    )
    parser.add_argument(
        "--names", metavar="A,B,C", type=_listed, help="of all columns, instead of the file's"
    )


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def told_format(arguments: Namespace) -> dict[str, Any]:
    """What the arguments say of the file, by the keys of a recipe's section data."""
    said = {name: getattr(arguments, name) for name in _FORMAT}
    return {name: value for name, value in said.items() if value is not None}


def read_rows(table: Path, data: "Data", told: dict[str, Any] | None = None) -> "pd.DataFrame":
    """A table as a recipe says, and what is told now instead.

    Args:
        table: the file.
        data: of the recipe.
        told: see `told_format`.
    """
    from counterpoint.recipe import build
    from counterpoint.table import read_table

    kept = {name: getattr(data, name) for name in _FORMAT}
    # a later file need not be encoded as the first was
    fresh = {} if told is None else {"encoding": "utf-8", "separator": ""}
    section = build({"data": {**kept, **fresh, **(told or {})}}).data
    return read_table(table, **{name: getattr(section, name) for name in _FORMAT})


def name_of(table: Path) -> str:
    """What a table is called in messages and reports."""
    return "standard input" if str(table) == "-" else table.name


def where_of(table: Path) -> str:
    """Where a row of a table is, for messages: its file as it was typed."""
    return name_of(table) if str(table) == "-" else str(table)


def fingerprint(table: Path, frame: "pd.DataFrame") -> str:
    """The hash of a table's file; of what can be read but once, that of what was read."""
    from counterpoint.storage import digest_file
    from counterpoint.table.columns import origin_of

    # a pipe is empty once it has been read
    return origin_of(frame).digest or digest_file(table)


def refuse_file(file: Path, *, overwrite: bool, source: Path | None = None) -> None:
    """Refuse to write a file where one is, into a folder that is not there, or over what is read.

    Raises:
        InputError: names it.
    """
    # whoever says --overwrite means an earlier result, and not the only copy of the rows
    if source is not None and file.exists() and source.exists() and file.samefile(source):
        raise InputError(f"--out {file}: is the table that is read; choose another name")
    if file.exists() and not overwrite:
        raise InputError(f"{file}: exists already; choose another name, or pass --overwrite")
    if not file.parent.is_dir():
        raise InputError(f"{file}: there is no folder {str(file.parent)!r}")
