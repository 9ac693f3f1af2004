"""What reaches a terminal, and what a machine without memory says."""

import io
import sys

import pytest

from counterpoint.cli import _app, main
from counterpoint.cli._say import visible

HOSTILE = "\x1b]0;owned\x07price\x9b2J"


def test_control_characters_are_seen_not_obeyed():
    assert visible("a\tb\nc é") == "a\tb\nc é"
    assert visible(HOSTILE) == r"\x1b]0;owned\x07price\x9b2J"


def test_a_column_s_name_reaches_the_terminal_escaped(tmp_path, capsys):
    rows = "".join(f"{i},{2 * i}\n" for i in range(40))
    (tmp_path / "t.csv").write_text(f"a,{HOSTILE}\n{rows}", encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        main(["fit", str(tmp_path / "t.csv"), "--target", "pric", "--out", str(tmp_path / "m")])
    said = capsys.readouterr()
    assert end.value.code == 2
    assert "\x1b" not in said.out + said.err
    assert "\x9b" not in said.out + said.err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory: tried to allocate 8000 bytes."),
    ],
)
def test_memory_that_is_not_there_is_one_line(error, monkeypatch, capsys):
    def fail(_):
        raise error

    monkeypatch.setattr(_app, "_run", fail)
    with pytest.raises(SystemExit) as end:
        main(["fit"])
    line = capsys.readouterr().err
    assert end.value.code == 2
    assert line.startswith("counterpoint: out of memory")
    assert line.count("\n") == 1
    assert ("8,000 bytes" in line) == isinstance(error, RuntimeError)


def test_another_error_of_torch_is_not_called_one_of_memory(monkeypatch):
    def fail(_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(_app, "_run", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        main(["fit"])


def test_output_that_is_not_utf8_does_not_fail(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(_app, "_run", lambda _: print("R²", flush=True))
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 0
    assert raw.getvalue() == b"R\\xb2\n"
