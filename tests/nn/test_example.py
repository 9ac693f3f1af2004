"""``examples/black_box.py``: the formula is found, and read as it is wired."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from counterpoint.nn import NAU, NMU

SCRIPT = Path(__file__).parents[2] / "examples" / "black_box.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("black_box_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def wired(sums, products):
    model = nn.Sequential(NAU(3, len(sums)), NMU(len(sums), 1))
    model[0].weight.data, model[1].weight.data = torch.tensor(sums), torch.tensor([products])
    return model


@pytest.mark.parametrize(
    ("sums", "products", "text"),
    [
        ([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [1.0, 1.0], "(a + b) * c"),
        ([[0.0, 0.0, -1.0], [-1.0, -1.0, 0.0]], [1.0, 1.0], "-c * (-a - b)"),
        ([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]], [1.0, 0.0], "a - c"),
        ([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [1.0, 1.0], "a * 0"),
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0.0, 0.0], "1"),
    ],
)
def test_a_formula_says_what_the_wiring_computes(example, sums, products, text):
    model = wired(sums, products)
    assert example.read(model) == text
    x = torch.tensor([[2.0, 3.0, 5.0], [-1.0, 4.0, 0.5]])
    told = [eval(text, {}, dict(zip("abc", row, strict=True))) for row in x.tolist()]
    assert model(x)[:, 0].tolist() == told


@pytest.mark.slow
def test_the_box_is_opened(example, tmp_path, capsys):
    formula, errors = example.run(tmp_path / "figure.svg")
    assert formula in ("(a + b) * c", "c * (a + b)")
    assert errors["units, inputs 100 times as large"] < 1e-6
    assert errors["perceptron, inputs 100 times as large"] > 0.1
    assert "y = " in capsys.readouterr().out
