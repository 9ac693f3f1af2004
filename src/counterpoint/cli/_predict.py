"""`counterpoint predict`: from a model folder and a table to a table of predictions."""

import gzip
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from io import BufferedWriter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint.cli import _ratings
from counterpoint.cli._files import (
    TABLE,
    add_text_format,
    read_rows,
    refuse_file,
    told_format,
    where_of,
)
from counterpoint.cli._say import note, show
from counterpoint.errors import InputError, nearest
from counterpoint.findings import RATINGS_KIND

if TYPE_CHECKING:
    import pandas as pd

    from counterpoint.table import Prediction

_FORMATS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".json")


def add(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("table", type=Path, help=TABLE)
    parser.add_argument("--interval", type=float, metavar="P", help="nominal coverage")
    parser.add_argument(
        "--top", type=int, metavar="N",
        help="of a model of ratings and a table of users: how many to recommend to each (10)",
    )  # fmt: skip
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
    knowledge: what more rows would tell); a category gets its classes' probabilities. A model of
    ratings and a table of users alone give what to recommend to each.
    """
    level = arguments.interval
    if arguments.top is not None and arguments.top < 1:
        raise InputError(f"--top: expected a whole number of at least 1, found {arguments.top}")
    if level is not None and not 0.0 < level < 1.0:
        raise InputError(f"--interval: expected a share between 0 and 1, found {level:g}")
    if arguments.out is not None:
        # before the model is read and the rows are predicted: not after minutes of work
        _refuse(arguments.out, arguments.table, overwrite=arguments.overwrite)
    from counterpoint.storage import folder_kind, written_whole

    ratings = folder_kind(arguments.model) == RATINGS_KIND
    frames = iter([_ratings.predicted(arguments)]) if ratings else _predicted(arguments)
    if arguments.out is None:
        for text in _texts(frames, ".json" if arguments.json else ".csv"):
            show(text.rstrip("\n"))
        return
    # as the pieces come: what is held in memory is one of them
    with written_whole(arguments.out) as file:
        rows = _write(frames, arguments.out.name.lower(), file)
    note(f"{rows:,} predictions: {arguments.out}")


def _predicted(arguments: Namespace) -> "Iterator[pd.DataFrame]":
    from counterpoint.table import TableModel, to_frame
    from counterpoint.table.merge import load_tables

    if arguments.top is not None:
        raise InputError(f"--top: {arguments.model} is no model of ratings, and recommends nothing")
    fitted = load_tables(arguments.model)
    frame = read_rows(arguments.table, fitted.recipe.data, told_format(arguments))
    where = where_of(arguments.table)
    table = fitted.read(frame, where)
    del frame  # texts of all cells, which are many bytes
    for remark in fitted.remarks(table):
        note(f"{where}: {remark}")
    if arguments.shifted:
        if not isinstance(fitted, TableModel):
            raise InputError(f"{arguments.model}: a mixture of sites has no rows aside to weigh")
        fitted = fitted.shifted(table)
    told = arguments.interval
    level = fitted.recipe.posterior.interval if told is None else told
    return (to_frame(piece, level) for piece in _pieces(fitted, table))


def _pieces(fitted: Any, table: Any) -> "Iterator[Mapping[str, Prediction]]":
    # a model takes the table that it read, a mixture of sites those of all
    return fitted.predict_pieces(table)


def _refuse(out: Path, table: Path, *, overwrite: bool) -> None:
    if not out.name.lower().endswith(_FORMATS):
        found = out.suffix or out.name
        raise InputError(f"--out {out}: cannot write {found!r} files{nearest(found, _FORMATS)}")
    refuse_file(out, overwrite=overwrite, source=table)


def _write(frames: "Iterator[pd.DataFrame]", name: str, file: BufferedWriter) -> int:
    """Write frames as one file by the end of its name; the number of their rows."""
    counted = list[int]()

    def counting() -> "Iterator[pd.DataFrame]":
        for frame in frames:
            counted.append(len(frame))
            yield frame

    if name.endswith(".parquet"):
        _write_parquet(counting(), file)
    elif name.endswith(".gz"):
        # without name and time, so that the same predictions are the same file
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            packed.writelines(text.encode() for text in _texts(counting(), name[:-3]))
    else:
        file.writelines(text.encode() for text in _texts(counting(), name))
    return sum(counted)


def _write_parquet(frames: "Iterator[pd.DataFrame]", file: BufferedWriter) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = (pa.Table.from_pandas(frame, preserve_index=False) for frame in frames)
    first = next(tables)
    with pq.ParquetWriter(file, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table.cast(first.schema))


def _texts(frames: "Iterator[pd.DataFrame]", name: str) -> Iterator[str]:
    """Frames as pieces of one text by the end of its name."""
    if not name.endswith(".json"):
        separator = "\t" if name.endswith(".tsv") else ","
        for place, frame in enumerate(frames):
            yield frame.to_csv(index=False, sep=separator, header=place == 0)
        return
    for place, frame in enumerate(frames):
        records = frame.to_json(orient="records", indent=1, double_precision=15)
        yield ("[\n" if place == 0 else ",\n") + records[1:-1].strip("\n")
    yield "\n]\n"
