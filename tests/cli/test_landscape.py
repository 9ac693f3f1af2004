"""`counterpoint landscape`, as a person meets it."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from counterpoint.cli import main
from counterpoint.recipe import Lab, LabWalk


@pytest.fixture
def asked(monkeypatch):
    """What the page was asked to begin with; drawing it takes long, and is tested where it is."""
    labs = []

    def lab_page(lab, **_):
        labs.append(lab)
        return SimpleNamespace(html="<!DOCTYPE html>", reached=(1.0, 0.1))

    monkeypatch.setattr("counterpoint.landscape.page.lab_page", lab_page)
    return labs


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["landscape", *map(str, arguments)])
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return call


def test_it_writes_one_file_and_says_where(run, asked, tmp_path) -> None:
    assert run() == (0, "landscape.html\n", "")
    assert (tmp_path / "landscape.html").read_text("utf-8") == "<!DOCTYPE html>"
    assert asked == [Lab()]


def test_options_change_the_preset(run, asked) -> None:
    options = [
        "--preset", "Obnoxious", "--layers", 5, "--seed", 3, "--step", 0.2, "--rule",
        "largest_gradient", "--against", "impartial", "--temper", 2,
    ]  # fmt: skip
    assert run(*options)[0] == 0
    first, second = LabWalk("largest-gradient", 0.2), LabWalk("impartial", 0.3)
    assert asked == [Lab(5, 6, 3, 2.0, 30.0, first, second)]


def test_json_says_what_was_begun_with_and_who_arrived(run, asked) -> None:
    status, out, err = run("--json", "--out", "lab.html")
    told = json.loads(out)
    assert (status, err) == (0, "")
    assert told["page"] == "lab.html"
    assert told["lab"]["layers"] == 16
    assert told["reached"] == [1.0, 0.1]


def test_a_file_that_is_there_is_kept_unless_told(run, asked, tmp_path) -> None:
    (tmp_path / "landscape.html").write_text("mine")
    status, _, err = run()
    assert status == 2
    assert "landscape.html: exists already" in err
    assert (tmp_path / "landscape.html").read_text("utf-8") == "mine"
    assert run("--overwrite")[0] == 0
    assert (tmp_path / "landscape.html").read_text("utf-8") == "<!DOCTYPE html>"


BAD = {
    "no layers": (["--layers", "0"], "layers: expected a whole number from 1 to 64, found 0"),
    "many layers": (["--layers", "65"], "layers: expected a whole number from 1 to 64, found 65"),
    "half a layer": (["--layers", "2.5"], "argument --layers: invalid int value: '2.5'"),
    "one cell": (["--cells", "1"], "cells: expected a whole number from 2 to 12, found 1"),
    "a seed below 0": (["--seed", "-1"], "seed: expected a whole number from 0 to 4.29497e+09"),
    "an unknown rule": (["--rule", "alternate"], "did you mean 'alternation'"),
    "beside it": (["--against", "impartal"], "did you mean 'impartial'"),
    "an unknown preset": (["--preset", "dessert"], "--preset: expected one of"),
    "its nearest": (["--preset", "dessert"], "did you mean 'desert'"),
    "an unknown optimiser": (["--optimiser", "adamw"], "did you mean 'adam'"),
    "no step": (["--step", "0"], "step: expected a number from 0.001 to 3, found 0.0"),
    "no number": (["--step", "nan"], "step: expected a number from 0.001 to 3, found nan"),
    "momentum of 1": (["--momentum", "1"], "momentum: expected a number from 0 to 0.99, found 1.0"),
    "no folder": (["--out", "there/lab.html"], "there is no folder 'there'"),
    "an unknown option": (["--layer", "3"], "did you mean '--layers'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_nothing_is_written(run, asked, tmp_path, name) -> None:
    arguments, message = BAD[name]
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not asked
    assert not list(tmp_path.iterdir())


def test_what_is_refused_is_refused_without_torch() -> None:
    program = (
        "import sys\nfrom counterpoint.cli import main\n"
        "try:\n    main(['landscape', '--layers', '0'])\n"
        "except SystemExit as end:\n    sys.exit(0 if end.code == 2 and 'torch' not in sys.modules"
        " else 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0
