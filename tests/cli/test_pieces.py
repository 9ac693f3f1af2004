"""Predictions are written as they come, and are one file."""

import gzip

import pandas as pd
import pytest

from counterpoint.cli._predict import _write
from counterpoint.errors import InputError
from counterpoint.storage import written_whole

FRAME = pd.DataFrame({"y": [0.1, 1 / 3, 2e-9, 4.0, 5.5], "kind": ["a", "b, c", "d", 'e"', None]})


def frames(rows):
    return (FRAME[low : low + rows].reset_index(drop=True) for low in range(0, len(FRAME), rows))


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.tsv", "p.tsv.gz", "p.json", "p.parquet"])
def test_pieces_are_one_file(name, tmp_path):
    paths = [tmp_path / f"{rows}-{name}" for rows in (2, 5)]
    for rows, path in zip((2, 5), paths, strict=True):
        with path.open("wb") as file:
            assert _write(frames(rows), name, file) == 5
    if name.endswith("parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(paths[0]), FRAME)
    elif name.endswith(".gz"):
        texts = [gzip.decompress(path.read_bytes()) for path in paths]
        assert texts[0] == texts[1]
    else:
        assert paths[0].read_bytes() == paths[1].read_bytes()


def half(path, error):
    with written_whole(path) as file:
        file.write(b"half")
        raise error


def test_a_file_that_was_not_ended_is_not_there(tmp_path):
    (tmp_path / "p.csv").write_text("before")
    with pytest.raises(ZeroDivisionError):
        half(tmp_path / "p.csv", ZeroDivisionError())
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.csv"]
    assert (tmp_path / "p.csv").read_text() == "before"


def test_a_full_disk_is_said_in_one_line(tmp_path):
    with pytest.raises(InputError, match="could not be written"):
        half(tmp_path / "p.csv", OSError(28, "No space left on device"))
    assert list(tmp_path.iterdir()) == []
