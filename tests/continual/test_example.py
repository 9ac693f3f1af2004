"""``examples/remember.py`` at a small size: what it prints that must be so."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "remember.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("remember_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.slow
def test_the_example_says_what_must_be_so(example, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(example, "data", lambda: ("digits", *example.small()))
    kept = {"EWC, exact, 1e5", "replay of 40 rows"}
    monkeypatch.setattr(
        example,
        "memories",
        lambda made=example.memories: {n: one for n, one in made().items() if n in kept},
    )
    table = example.run(tmp_path / "figure.svg", example.Size(100, 20, 3e-3, (0,)))
    two, one, four, masked = (
        {name: (first, second, (first + second) / 2) for name, (first, second) in found.items()}
        for found in table.values()
    )
    for found in (two, one, four, masked):
        assert found["joint"][2] > 0.85
        assert list(found)[:2] == ["joint", "none"]
    # little to cure with two heads; nothing left of 0/1 where all outputs compete
    assert two["none"][2] > 0.85
    for name in ("none", "EWC, exact, 1e5"):
        assert four[name][0] < 0.1
    assert four["replay of 40 rows"][0] > 0.5
    printed = capsys.readouterr().out
    assert "class-incremental with all outputs competing" in printed
    assert printed.count("replay of 40 rows") == 4
    drawn = (tmp_path / "figure.svg").read_text("utf-8")
    assert drawn.startswith("<svg xmlns=")
    assert drawn.count("<svg ") == 9
