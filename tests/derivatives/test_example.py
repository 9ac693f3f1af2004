"""``examples/kinks.py`` at a small size: what it prints that must be so."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "kinks.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("kinks_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_exact_gradients_miss_kinks_and_a_step_sees_them(example, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(example, "STEPS", (0.1, 0.01))
    found = example.run(tmp_path / "figure.svg", count=4000, batches=2)
    relu, tanh = found["ReLU"], found["tanh"]
    # between kinks nothing depends on a bias
    assert relu["exact"].biases == 0
    assert relu["step 0.1"].biases > 0.1
    assert relu["exact"].noise < relu["step 0.1"].noise < relu["step 0.01"].noise
    assert tanh["exact"].error < 0.01
    assert tanh["exact"].biases > 0
    assert tanh["step 0.01"].error < tanh["step 0.1"].error / 5  # of order 1
    printed = capsys.readouterr().out
    assert "ReLU" in printed
    assert "step 0.01" in printed
    assert (tmp_path / "figure.svg").read_text("utf-8").startswith("<svg xmlns=")
