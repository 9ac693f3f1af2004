import pytest
import torch
from torch import nn

from counterpoint.data import Tensors


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def table():
    """200 rows of a noisy line in three inputs."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=generator)
    noise = 0.1 * torch.randn(200, 1, generator=generator)
    return {"x": x, "y": x.sum(1, keepdim=True) + noise}


@pytest.fixture
def source(table):
    return Tensors(table)


@pytest.fixture
def net():
    """Make the same small network, dropout and batch statistics included, every time."""

    def make():
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return nn.Sequential(
                nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)
            )

    return make


@pytest.fixture
def goals():
    def both(model, batch):
        output = model(batch["x"])
        return {
            "square": (output - batch["y"]).square().mean(),
            "absolute": (output - batch["y"]).abs().mean(),
        }

    return both


@pytest.fixture
def same():
    """Compare everything two models hold, bit for bit."""

    def compare(a, b):
        left, right = a.state_dict(), b.state_dict()
        return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)

    return compare
