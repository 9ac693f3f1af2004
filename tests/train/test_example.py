"""``examples/optimisers.py`` at a small size: what it prints that must be so."""

import importlib.util
import math
import re
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "optimisers.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("optimisers_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_example_says_what_must_be_so(example, tmp_path, capsys, monkeypatch):
    steps = {"newton": 400, "l-bfgs": 2000, "adam": 2000}
    monkeypatch.setattr(example, "STEPS", steps)
    monkeypatch.setattr(example, "FEW", ("l-bfgs", "adam"))
    monkeypatch.setattr(example, "cubic", lambda seed, make=example.cubic: make(seed, rows=20))
    example.run(tmp_path / "figure.svg", width=5, heads=3, effort=0.01)
    printed = capsys.readouterr().out
    # a bowl: Newton needs one iteration, a quasi-Newton method of one coordinate two
    assert re.search(r"newton +1 \(\d\) +1 \(\d\)", printed)
    assert re.search(r"l-bfgs +2 \(\d\) +2 \(\d\)", printed)
    tables = printed.split(" weights\n")[1:]
    assert len(tables) == 4
    for table in tables:
        rows = {cells[0]: cells for cells in map(str.split, table.splitlines()) if cells}
        methods = steps.keys() & rows.keys()
        assert {"l-bfgs", "adam"} <= methods
        for method in methods:
            numbers = [float(cell.replace(",", "")) for cell in rows[method][1:11]]
            assert all(map(math.isfinite, numbers))
            assert numbers[0] <= steps[method] / 100
            # nothing predicts new rows better than the true curve, but for luck
            assert numbers[8] < -2.2
        # the same iterations, and curvature
        assert float(rows["l-bfgs"][6]) < float(rows["adam"][6])
    drawn = (tmp_path / "figure.svg").read_text("utf-8")
    assert drawn.startswith("<svg xmlns=")
    assert drawn.count("<svg ") == 9  # each figure is an svg in its place
