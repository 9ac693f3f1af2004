"""The files that verbs read and write besides model folders."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from counterpoint.recipe import Recipe


def add_text_format(parser: ArgumentParser) -> None:
    """Declare how a text file of new rows is written; the model knows the rest."""
    parser.add_argument("--encoding", default="utf-8", metavar="TEXT", help="of a text file")
    parser.add_argument("--separator", default="", metavar="TEXT", help="between its cells")


def read_rows(arguments: Namespace, recipe: "Recipe") -> "pd.DataFrame":
    """A table of new rows: words for gaps and the decimal sign are those of the fit."""
    from counterpoint.table import read_table

    return read_table(
        arguments.table,
        encoding=arguments.encoding,
        separator=arguments.separator,
        missing=recipe.data.missing,
        decimal=recipe.data.decimal,
    )


def refuse_file(file: Path, *, overwrite: bool) -> None:
    """Refuse to write a file where one is, or into a folder that is not there.

    Raises:
        InputError: names it.
    """
    if file.exists() and not overwrite:
        raise InputError(f"{file}: exists already; choose another name, or pass --overwrite")
    if not file.parent.is_dir():
        raise InputError(f"{file}: there is no folder {str(file.parent)!r}")
