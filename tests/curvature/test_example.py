"""``examples/curvature.py`` at a small size: what it prints that is a theorem."""

import importlib.util
import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "curvature.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("curvature_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_says_what_must_be_so(example, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(example, "HIDDEN", 4)
    example.run(tmp_path / "figure.svg", seeds=1, rows=60, steps=10)
    printed = capsys.readouterr().out
    relu, tanh = printed.split("\ntanh: ")
    # a piecewise linear net has no curvature of its own along one weight
    assert number(relu, "relative distance of the diagonals") < 1e-10
    assert number(relu, "share of diag H below 0") == 0
    assert number(tanh, "relative distance of the diagonals") > 1e-3
    for part in (relu, tanh):
        structures = {
            name: part.split(f"G kept by {name}")[1].split("\n  G")[0]
            for name in ("diagonal", "kronecker", "block")
        }
        # Hadamard's and Fischer's inequalities, and that conditioning never widens
        apart = {n: number(text, "log det minus true (nats)") for n, text in structures.items()}
        assert apart["diagonal"] >= apart["block"] >= 0
        assert number(structures["diagonal"], "true variance over its own: median") >= 1
        assert number(structures["block"], "true variance over its own: median") >= 1
    drawn = (tmp_path / "figure.svg").read_text("utf-8")
    assert drawn.startswith("<svg xmlns=")
    assert drawn.count("<svg ") == 5


def number(text, name):
    found = re.search(rf"{re.escape(name)} +(-?[\d.,e+-]+) ", text)
    return float(found[1].replace(",", ""))
