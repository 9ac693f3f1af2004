"""`counterpoint predict`: from a model folder and a table to a table of predictions."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.cli._files import (
    TABLE,
    add_text_format,
    name_of,
    read_rows,
    refuse_file,
    told_format,
)
from counterpoint.cli._say import note, show
from counterpoint.errors import InputError, nearest

if TYPE_CHECKING:
    import pandas as pd

_FORMATS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".json")


def add(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("table", type=Path, help=TABLE)
    parser.add_argument("--interval", type=float, metavar="P", help="nominal coverage")
    parser.add_argument(
        "--shifted", action="store_true",
        help="intervals for rows that lie elsewhere than the fit's: of a model with rows aside",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, help=f"file to write, {' '.join(_FORMATS)}; without it: to print"
    )
    add_text_format(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: Namespace) -> None:
    """Predict every row of a table, in its order.

    A number gets its mean, an interval and standard deviations (noise: what stays unsure;
    knowledge: what more rows would tell); a category gets its classes' probabilities.
    """
    level = arguments.interval
    if level is not None and not 0.0 < level < 1.0:
        raise InputError(f"--interval: expected a share between 0 and 1, found {level:g}")
    if arguments.out is not None:
        # before the model is read and the rows are predicted: not after minutes of work
        _refuse(arguments.out, arguments.table, overwrite=arguments.overwrite)
    from counterpoint.storage import write_file
    from counterpoint.table import TableModel, to_frame
    from counterpoint.table.merge import load_tables

    fitted = load_tables(arguments.model)
    frame = read_rows(arguments.table, fitted.recipe.data, told_format(arguments))
    where = name_of(arguments.table) if str(arguments.table) == "-" else str(arguments.table)
    table = fitted.read(frame, where)
    for remark in fitted.remarks(table):
        note(f"{where}: {remark}")
    if arguments.shifted:
        if not isinstance(fitted, TableModel):
            raise InputError(f"{arguments.model}: a mixture of sites has no rows aside to weigh")
        fitted = fitted.shifted(table)
    level = fitted.recipe.posterior.interval if level is None else level
    rows = to_frame(fitted.predict(table), level)
    printed = ".json" if arguments.json else ".csv"
    content = _render(rows, printed if arguments.out is None else arguments.out.name)
    if arguments.out is None:
        show(content.decode().rstrip("\n"))
        return
    write_file(arguments.out, content)
    note(f"{len(rows):,} predictions: {arguments.out}")


def _refuse(out: Path, table: Path, *, overwrite: bool) -> None:
    if not out.name.lower().endswith(_FORMATS):
        found = out.suffix or out.name
        raise InputError(f"--out {out}: cannot write {found!r} files{nearest(found, _FORMATS)}")
    refuse_file(out, overwrite=overwrite, source=table)


def _render(frame: "pd.DataFrame", name: str) -> bytes:
    import gzip
    import io

    suffix = name.lower()
    if suffix.endswith(".parquet"):
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    if suffix.endswith(".json"):
        return (frame.to_json(orient="records", indent=1, double_precision=15) + "\n").encode()
    separator = "\t" if suffix.endswith((".tsv", ".tsv.gz")) else ","
    text = frame.to_csv(index=False, sep=separator).encode()
    # without the time, so that the same predictions are the same file
    return gzip.compress(text, mtime=0) if suffix.endswith(".gz") else text
