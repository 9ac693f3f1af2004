"""``examples/luna.py`` at a small size: what it prints and draws that must be so."""

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "examples" / "luna.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("luna_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_papers_signs_part_the_slopes_and_the_first_ones_join_them(example):
    small = {"heads": 10, "width": 20, "diversity": 100.0, "steps": 100, "rate": 0.02}
    start = example.judged(example.network(10, 20, 1))
    found = {
        name: example.judged(example.trained(replace(setting, **small), 1))
        for name, setting in example.SIGNED.items()
    }
    assert found["as the paper has them"]["cos^2"] < start["cos^2"] - 0.1
    for name in ("as first implemented", "ours, both signs turned"):
        assert found[name]["cos^2"] > start["cos^2"] + 0.2
        assert found[name]["|w|^2"] > 2 * found["as the paper has them"]["|w|^2"]


def test_slopes_of_one_point_are_parallel_and_train_nothing(example):
    one = example.Setting(heads=5, width=10, steps=20)
    none = example.trained(replace(one, diversity=0.0), 0)
    for share, same in ((0.01, True), (0.05, False)):
        net = example.trained(replace(one, diversity=100.0, share=share), 0)
        pairs = zip(net.parameters(), none.parameters(), strict=True)
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in pairs) is same


def test_every_experiment_is_printed_and_drawn(example, capsys):
    lab = example.Lab(steps=2, seeds=(0,))
    grid = example.experiments(lab)
    assert len(grid) == len(example.PENALTIES)
    assert all(math.isfinite(value) for row in grid.values() for value in row.values())
    printed = capsys.readouterr().out
    said = ("as first implemented", "λ = 100", "central, step 0.1", "80%", " 935", "90 minutes")
    assert [word for word in said if word not in printed] == []
    svg = ElementTree.fromstring(example.drawing(lab, grid))
    namespace = "{http://www.w3.org/2000/svg}"
    assert len(svg.findall(f"{namespace}svg")) == 6
    assert svg.find(f"{namespace}style") is not None
