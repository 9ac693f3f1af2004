"""Batches from Parquet files that do not fit in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from counterpoint.data._batch import Batch
from counterpoint.data._unpack import as_batch
from counterpoint.errors import InputError, nearest
from counterpoint.plain import StrPath
from counterpoint.seeding import derive, generator

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_Columns: TypeAlias = Mapping[str, Tensor]
_Group = tuple[int, int, int]  # file, row group, rows


class ParquetStream:
    """Parquet files read a pool of row groups at a time.

    With a seed the row groups are shuffled, gathered into pools of at least `buffer` rows, and the
    rows of each pool are shuffled: memory holds one pool, and rows that lie far apart in the file
    meet in a batch. The whole order follows from the files' metadata and the seed, so starting in
    the middle reads only the pools that are still to come.

    Args:
        path: a file, a folder (its ``*.parquet`` in the order of their names), or several files.
        encode: makes named tensors from a record batch, one row for each row; see `as_batch`.
        columns: the columns to read; None: all.
        buffer: least rows in a pool; a single row group that is larger is a pool of its own.

    Attributes:
        rows: rows of all files together.

    Raises:
        InputError: a file is missing, not Parquet or has no rows, or a column does not exist.
    """

    def __init__(
        self,
        path: StrPath | Sequence[StrPath],
        encode: "Callable[[pa.RecordBatch], _Columns]",
        *,
        columns: Sequence[str] | None = None,
        buffer: int = 100_000,
    ) -> None:
        self._files = _files(path)
        self._encode = encode
        self._columns = None if columns is None else list(columns)
        self._buffer = buffer
        self._groups = [group for place in range(len(self._files)) for group in self._list(place)]
        self.rows = sum(rows for _, _, rows in self._groups)
        if self.rows == 0:
            raise InputError(f"{self._files[0]}: expected at least one row, found none")

    def known_rows(self) -> int:
        """How many rows one pass gives."""
        return self.rows

    def steps(self, size: int) -> int:
        """How many batches one pass gives."""
        return -(-self.rows // size)

    def batches(self, size: int, *, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        """One pass over all rows; see `Loader`."""
        skip = start * size
        rest: _Columns | None = None
        for place, pool in enumerate(self._pools(seed)):
            rows = sum(count for _, _, count in pool)
            if skip >= rows:
                skip -= rows
                continue
            fresh = self._read(pool, None if seed is None else derive(seed, 1, place))
            fresh = {name: value[skip:] for name, value in fresh.items()}
            skip = 0
            held = fresh if rest is None else _join([rest, fresh])
            whole = _rows_of(held) // size * size
            # read and checked once a pool; its batches are parts of it
            pool_read = as_batch(held)
            for low in range(0, whole, size):
                yield pool_read.take(slice(low, low + size))
            rest = {name: value[whole:] for name, value in held.items()}
        if rest is not None and _rows_of(rest):
            yield as_batch(rest)

    def _list(self, place: int) -> list[_Group]:
        with _open(self._files[place]) as file:
            if self._columns is not None:
                _check_columns(self._files[place], self._columns, file.schema_arrow.names)
            counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        return [(place, index, rows) for index, rows in enumerate(counts) if rows]

    def _pools(self, seed: int | None) -> Iterator[list[_Group]]:
        groups = self._groups
        if seed is not None:
            order = torch.randperm(len(groups), generator=generator(seed, 0)).tolist()
            groups = [groups[place] for place in order]
        pool: list[_Group] = []
        for group in groups:
            pool.append(group)
            if sum(rows for _, _, rows in pool) >= self._buffer:
                yield pool
                pool = []
        if pool:
            yield pool

    def _read(self, pool: Sequence[_Group], seed: int | None) -> _Columns:
        parts = [part for group in pool for part in self._part(group)]
        held = _join(parts)
        if seed is None:
            return held
        order = torch.randperm(_rows_of(held), generator=generator(seed))
        return {name: value.index_select(0, order) for name, value in held.items()}

    def _part(self, group: _Group) -> Iterator[_Columns]:
        place, index, _ = group
        with _open(self._files[place]) as file:
            table = file.read_row_group(index, columns=self._columns)
        for record in table.combine_chunks().to_batches():
            encoded = self._encode(record)
            if any(value.shape[:1] != (record.num_rows,) for value in encoded.values()):
                raise InputError(
                    f"encode: expected {record.num_rows} rows in every tensor, found"
                    f" { {name: tuple(value.shape) for name, value in encoded.items()} }"
                )
            yield encoded


def _files(path: StrPath | Sequence[StrPath]) -> list[Path]:
    # a text is a sequence, too
    if isinstance(path, Sequence) and not isinstance(path, str):
        files = [Path(one) for one in path]
    else:
        path = Path(path)
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no Parquet files inside")
    return files


def _open(path: Path) -> "pq.ParquetFile":
    # imported here: whoever has tensors does not wait for it
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not readable as Parquet: {error}") from error


def _check_columns(path: Path, wanted: Sequence[str], found: Sequence[str]) -> None:
    for name in wanted:
        if name not in found:
            raise InputError(f"{path}: no column {name!r}{nearest(name, found)}")


def _join(parts: Sequence[_Columns]) -> _Columns:
    if len(parts) == 1:
        return parts[0]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _rows_of(columns: _Columns) -> int:
    return next(iter(columns.values())).shape[0]
