"""Reading tables, and refusing what cannot be read in one line."""

import gzip
import io
import os
import sys
import threading
from types import SimpleNamespace

import pandas as pd
import pytest

from counterpoint.errors import InputError
from counterpoint.table import read_table
from counterpoint.table.columns import origin_of

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
        ("t.csv", gzip.compress(PLAIN.encode(), mtime=0)),
        ("t.csv.gz", PLAIN),
        ("t.dat", PLAIN),
        ("t.csv", PLAIN.encode("utf-16")),
        ("t.csv", b"\xff\xfe" + PLAIN.encode("utf-16-le")),
        ("t.csv", PLAIN.replace("\n", "\r")),
        ("t.csv", "sep=;\n" + PLAIN.replace(",", ";")),
        ("t.csv", '"sep=,"\r\n' + PLAIN.replace("\n", "\r\n")),
        ("t.csv", "Sales report 2024\n\n" + PLAIN),
        ("t.csv", "Sales report 2024,\n,\n" + PLAIN),
        ("t.csv", "Sales, by town, 2024\n" + PLAIN),
        ("t.csv", "# exported, by hand, today\n# by tool\n" + PLAIN),
        ("t.csv", '"a", "b"\n"1", "x"\n"2", ""\n'),
        ("t.csv", "a,b\n1,x,\n2,,\n"),
        ("t.txt", "a b\n1 x\n2 NA\n"),
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
    advice = "line 2: byte 0xfc is not utf-8.*--encoding cp1252, which reads 'München'"
    with pytest.raises(InputError, match=advice):
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
        ("t.csv.gz", b"\x1f\x8b nonsense", "not readable as gzip"),
        ("t.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)[:-6], "not readable as gzip"),
        ("t.parquet", b"PAR1 nonsense PAR1", "not readable as Parquet"),
        ("t.parquet", b"a,b", "not readable as Parquet: it does not begin as one"),
        ("t.csv", b"PK\x03\x04 sheet", "is a spreadsheet or an archive; save its table as CSV"),
        ("t.csv", b"BZh91AY&SY", "is an archive that is not gzip"),
        (
            "t.csv",
            "\n <!DOCTYPE html>\n<p>a,b</p>\n",
            "is a web page or XML; save its",
        ),
        ("t.csv", '[{"a": 1, "b": 2}]', "is JSON; save its table as CSV"),
        ("t.csv", "a,b\n1,2,3\n4,5,6\n", "row 1 has 3 cells, the header has 2"),
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


def test_the_advice_on_an_encoding_reads_the_file(tmp_path):
    file = put(tmp_path, "t.csv", "town,price\nKöln,5 €\n".encode("cp1252"))
    with pytest.raises(InputError, match="--encoding cp1252"):
        read_table(file)
    assert read_table(file, encoding="cp1252")["price"][0] == "5 €"
    # five bytes have no sign in Windows' encoding
    with pytest.raises(InputError, match="--encoding latin-1"):
        read_table(put(tmp_path, "u.csv", b"a,b\n\x81,1\n"))


def test_parquet_bytes_that_are_texts_are_read_as_texts(tmp_path):
    frame = pd.DataFrame({"a": [b"ab", "ü".encode(), None], "b": [b"\xff", b"a", b"b"]})
    frame.to_parquet(tmp_path / "t.parquet")
    read = read_table(tmp_path / "t.parquet")
    assert read["a"].tolist()[:2] == ["ab", "ü"]
    assert read["b"][0] == b"\xff"


def test_a_header_without_a_name_gets_one(tmp_path):
    assert list(read_table(put(tmp_path, "t.csv", ",b\n0,1\n")).columns) == ["column_1", "b"]


def test_a_file_without_a_header_gets_names(tmp_path):
    file = put(tmp_path, "t.csv", "0.126,east\n-0.132,west\n")
    assert list(read_table(file, header=False).columns) == ["column_1", "column_2"]
    frame = read_table(file, header=False, names=["x", "region"])
    assert frame["region"].tolist() == ["east", "west"]
    with pytest.raises(InputError, match="has 2 columns, but --names gives 3"):
        read_table(file, header=False, names=["x", "region", "y"])
    assert "look like values: '0.126', 'east'; --no-header" in origin_of(read_table(file)).said[0]


def test_names_may_be_given_instead_of_the_file_s(tmp_path):
    assert list(read_table(put(tmp_path, "t.csv", PLAIN), names=["x", "y"]).columns) == ["x", "y"]


def test_names_and_levels_have_one_form_of_unicode(tmp_path):
    file = put(tmp_path, "t.csv", "gro\u0308\u00dfe,b\nKo\u0308ln,1\n")
    frame = read_table(file)
    assert list(frame.columns) == ["gr\u00f6\u00dfe", "b"]
    assert frame.iloc[0, 0] == "K\u00f6ln"


def test_what_is_passed_over_above_the_header_is_said(tmp_path):
    frame = read_table(put(tmp_path, "t.csv", "# exported today\n" + PLAIN))
    (said,) = origin_of(frame).said
    assert said == "1 line above the header passed over, such as '# exported today'"


@pytest.mark.parametrize("content", ["#a,b\n1,x\n2,NA\n", "a,b\n#1,x\n2,NA\n", "2023,2024\n1,2\n"])
def test_a_header_or_a_row_may_begin_like_a_comment(tmp_path, content):
    frame = read_table(put(tmp_path, "t.csv", content))
    assert frame.shape[1] == 2
    assert list(frame.columns) == content.split("\n")[0].split(",")


def test_words_for_nothing_are_counted_and_may_be_values(tmp_path):
    file = put(tmp_path, "t.csv", "a,b\nNone,1\nNA,\nx,2\nNone,3\n")
    frame = read_table(file)
    assert origin_of(frame).missing == {"a": {"None": 2, "NA": 1}}
    assert origin_of(frame[frame["a"].isna()]).missing["a"] == {"None": 2, "NA": 1}
    kept = read_table(file, not_missing=["None"])
    assert kept["a"].fillna("-").tolist() == ["None", "-", "x", "None"]


def test_what_a_frame_remembers_survives_a_file(tmp_path):
    frame = read_table(put(tmp_path, "t.csv", PLAIN))
    frame.to_parquet(tmp_path / "t.parquet")
    assert origin_of(pd.read_parquet(tmp_path / "t.parquet")).separator == ","
    assert origin_of(pd.DataFrame()).separator == ""


def test_a_pipe_is_read_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(PLAIN,))
    writer.start()
    frame = read_table(pipe)
    writer.join()
    assert frame["a"].tolist() == ["1", "2"]
    assert len(origin_of(frame).digest) == 64


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(PLAIN.encode())))
    assert read_table("-")["a"].tolist() == ["1", "2"]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    with pytest.raises(InputError, match="standard input: the file is empty"):
        read_table("-")


def test_parquet_keeps_times_lengths_and_periods(tmp_path):
    frame = pd.DataFrame(
        {
            "clock": [pd.Timestamp("2020-01-01 08:15").time(), None],
            "length": pd.to_timedelta(["90min", None]),
            "quarter": pd.PeriodIndex(["2020Q2", None], freq="Q"),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    assert str(found["clock"][0]) == "08:15:00"
    assert found["length"][0] == pd.Timedelta("90min")
    assert found["quarter"].tolist() == [pd.Timestamp("2020-04-01"), pd.NaT]
