"""`counterpoint predict`: from a model folder and a table to a table of predictions."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.cli.say import note, show
from counterpoint.errors import InputError, nearest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["add", "run"]

_FORMATS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".json")


def add(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("table", type=Path, help="CSV (.gz), TSV or Parquet file")
    parser.add_argument("--interval", type=float, metavar="P", help="nominal coverage")
    parser.add_argument(
        "--out", type=Path, help=f"file to write, {' '.join(_FORMATS)}; without it: to print"
    )
    parser.add_argument("--encoding", default="utf-8", metavar="TEXT", help="of a text file")
    parser.add_argument("--separator", default="", metavar="TEXT", help="between its cells")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(told: Namespace) -> None:
    """Predict every row of a table, in its order.

    A number gets its mean, an interval and standard deviations (noise: what stays unsure;
    knowledge: what more rows would tell); a category gets its classes' probabilities.
    """
    if told.interval is not None and not 0.0 < told.interval < 1.0:
        raise InputError(f"--interval: expected a share between 0 and 1, found {told.interval:g}")
    if told.out is not None:
        _refuse(told.out, told.overwrite)
    from counterpoint.storage import write_file
    from counterpoint.table import TableModel, read_table, to_frame

    fitted = TableModel.load(told.model)
    frame = read_table(
        told.table,
        encoding=told.encoding,
        separator=told.separator,
        missing=fitted.recipe.data.missing,
        decimal=fitted.recipe.data.decimal,
    )
    for remark in fitted.remarks(frame):
        note(f"{told.table}: {remark}")
    level = fitted.recipe.posterior.interval if told.interval is None else told.interval
    found = to_frame(fitted.predict(frame, str(told.table)), level)
    printed = ".json" if told.json else ".csv"
    content = _render(found, printed if told.out is None else told.out.name)
    if told.out is None:
        show(content.decode().rstrip("\n"))
        return
    write_file(told.out, content)
    note(f"{len(found):,} predictions: {told.out}")


def _refuse(out: Path, overwrite: bool) -> None:
    if not out.name.lower().endswith(_FORMATS):
        found = out.suffix or out.name
        raise InputError(f"--out {out}: cannot write {found!r} files{nearest(found, _FORMATS)}")
    if out.exists() and not overwrite:
        raise InputError(f"{out}: exists already; choose another name, or pass --overwrite")
    if not out.parent.is_dir():
        raise InputError(f"{out}: there is no folder {str(out.parent)!r}")


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
    return gzip.compress(text, mtime=0) if suffix.endswith(".gz") else text
