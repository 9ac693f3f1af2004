"""Small text files that ask for large memory, or that escape the readers of TOML and of gzip."""

import gzip

import pytest

from counterpoint.errors import InputError
from counterpoint.recipe import build, load
from counterpoint.table import read_table
from counterpoint.table.columns import _text

LONG = "1" + "0" * 5000


def test_a_gzip_bomb_is_refused_before_it_fills_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(_text, "_UNPACKED", 100_000)
    bomb = tmp_path / "rows.csv.gz"
    bomb.write_bytes(gzip.compress(b"a,b\n" + b"0,0\n" * 1_000_000, mtime=0))
    size = bomb.stat().st_size
    assert 100 * size < 4_000_000
    with pytest.raises(InputError, match=f"{size:,} bytes of gzip unpack to more than .*gunzip"):
        read_table(bomb)


def test_a_table_that_packs_well_is_read(tmp_path):
    file = tmp_path / "rows.csv.gz"
    file.write_bytes(gzip.compress(b"a,b\n" + b"0,0\n" * 50_000))
    assert len(read_table(file)) == 50_000


def test_two_members_of_gzip_are_one_text(tmp_path):
    file = tmp_path / "rows.csv.gz"
    file.write_bytes(gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n"))
    assert len(read_table(file)) == 2


def test_a_gzip_file_cut_short_is_named(tmp_path):
    file = tmp_path / "rows.csv.gz"
    file.write_bytes(gzip.compress(b"a,b\n" + bytes(range(48, 58)) * 5000)[:-20])
    with pytest.raises(InputError, match="rows.csv.gz: not readable as gzip"):
        read_table(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"[training]\nepochs = {LONG}", "not readable as TOML"),
        (f"[training]\nepochs = {LONG[:400]}", "expected a whole number, found one of 1,326 bits"),
        (f"[training]\nrate = {LONG[:400]}", "expected a number, found one of 1,326 bits"),
        ("[data]\ntarget = " + "[" * 20_000, "not readable as TOML: nested too deep"),
        ("[data]\nnames = [" + "1," * 50_000 + "]", "expected a list of texts, found"),
    ],
)
def test_a_recipe_that_no_one_wrote_is_one_line(tmp_path, text, said):
    file = tmp_path / "fit.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        load(file)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", [LONG, LONG[:400], "[" * 20_000, "{a=" * 20_000])
def test_an_override_that_no_one_wrote_is_refused(text):
    with pytest.raises(InputError, match=r"training\.epochs: expected a whole number"):
        build({}, overrides={"training.epochs": text})
