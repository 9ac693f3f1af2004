"""Reading tables, and refusing what cannot be read in one line."""

import gzip

import pandas as pd
import pytest

from counterpoint.errors import InputError
from counterpoint.table import read_table

PLAIN = "a,b\n1,x\n2,\n"


def put(folder, name, content):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", PLAIN),
        ("t.csv", "\ufeff" + PLAIN),
        ("t.csv", PLAIN.replace("\n", "\r\n")),
        ("t.csv", "\n\n" + PLAIN),
        ("t.csv", "a , b\n 1 , x \n2, ?\n"),
        ("t.csv", 'a,b\n"1","x"\n2,NA\n'),
        ("t.csv", PLAIN.replace(",", ";")),
        ("t.tsv", PLAIN.replace(",", "\t")),
        ("t.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)),
        ("t.tsv.gz", gzip.compress(PLAIN.replace(",", "\t").encode(), mtime=0)),
    ],
)
def test_every_text_format_gives_the_same_cells(tmp_path, name, content):
    frame = read_table(put(tmp_path, name, content))
    assert list(frame.columns) == ["a", "b"]
    assert frame["a"].tolist() == ["1", "2"]
    assert frame["b"].iloc[0] == "x"
    assert frame["b"].isna().tolist() == [False, True]


def test_parquet_keeps_its_types(tmp_path):
    frame = pd.DataFrame({"a": [1.5, 2.0], "b": ["x", None], "c": [True, False]})
    frame["d"] = pd.to_datetime(["2024-01-01", None])
    frame.to_parquet(tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    assert found["a"].tolist() == [1.5, 2.0]
    assert found["c"].dtype == bool
    assert pd.api.types.is_datetime64_any_dtype(found["d"].dtype)


def test_latin_1_is_refused_with_a_way_out_and_read_when_given(tmp_path):
    file = put(tmp_path, "t.csv", "town,n\nMünchen,1\n".encode("latin-1"))
    with pytest.raises(InputError, match="line 2: byte 0xfc is not utf-8.*--encoding latin-1"):
        read_table(file)
    assert read_table(file, encoding="latin-1")["town"][0] == "München"


def test_quoted_newlines_and_separators_stay_in_the_cell(tmp_path):
    frame = read_table(put(tmp_path, "t.csv", 'a,b\n"1, 2\n3",x\n'))
    assert frame["a"].tolist() == ["1, 2\n3"]


def test_a_word_may_be_told_to_mean_missing(tmp_path):
    frame = read_table(put(tmp_path, "t.csv", "a\n1\n-999\n"), missing=("-999",))
    assert frame["a"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "the file is empty"),
        ("t.csv", "\n \n", "the file is empty"),
        ("t.csv", "a,b\n", "has a header but no rows"),
        ("t.csv", "a,b,a\n1,2,3\n", "column 'a' stands 2 times"),
        ("t.csv", "a,b\n1,2\n3,4,5\n", r"row 2 has 3 cells, the header has 2: '3,4,5'"),
        ("t.csv", "a,b\n1,2\n3\n", "row 2 has 1 cells, the header has 2"),
        ("t.csv", b"a,b\n1,\x002\n", "line 2: holds a NUL byte"),
        ("t.csv", "a,b\n1," + "x" * 10_000_000 + "\n", r"row 1, column 'b': a cell of 10,000,000"),
        ("t.csv.gz", b"not gzip", "not readable as gzip"),
        ("t.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)[:-6], "not readable as gzip"),
        ("t.parquet", b"PAR1 nonsense PAR1", "not readable as Parquet"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, message):
    file = put(tmp_path, name, content)
    with pytest.raises(InputError, match=message) as caught:
        read_table(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_nearest(tmp_path):
    put(tmp_path, "houses.csv", PLAIN)
    with pytest.raises(InputError, match="no such file; did you mean 'houses.csv'"):
        read_table(tmp_path / "house.csv")


def test_a_folder_and_an_unknown_encoding(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(InputError, match="unknown encoding 'utf-99'"):
        read_table(put(tmp_path, "t.csv", PLAIN), encoding="utf-99")


def test_nested_parquet_columns_are_refused(tmp_path):
    pd.DataFrame({"a": [[1, 2], [3]]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="column 'a' has type list"):
        read_table(tmp_path / "t.parquet")


def test_a_header_without_a_name_gets_one(tmp_path):
    assert list(read_table(put(tmp_path, "t.csv", ",b\n0,1\n")).columns) == ["column_1", "b"]
