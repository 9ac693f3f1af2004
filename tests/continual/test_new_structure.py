"""A structure that only its own file knows survives a memory of weights whose model grows."""

import pytest
import torch
from torch import nn

from continual.tasks import LIKELIHOOD, batches, moved, net, task
from counterpoint.continual import EWC
from counterpoint.gaussian import Gaussian, Sum
from counterpoint.gaussian import _state as state
from gaussian.rowwise import RowWise


class RowWiseEWC(EWC):
    """Elastic weight consolidation that keeps a precision a row."""

    def _hold(self, old, task, **options):
        rows = RowWise.of(task.precision.diagonal())
        super()._hold(old, Gaussian(task.mean, rows, task.counts), **options)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The one line that it needs in ``state.py``."""
    monkeypatch.setitem(state._KINDS, "row-wise", RowWise.read)


def widened(model, outputs):
    head = nn.Linear(model[2].in_features, outputs).double()
    with torch.no_grad():
        old = model[2].weight.shape[0]
        head.weight[:old], head.bias[:old] = model[2].weight, model[2].bias
    return nn.Sequential(model[0], model[1], head)


def test_a_new_structure_lives_through_tasks_growth_and_a_folder(tmp_path):
    memory, model = RowWiseEWC(grown=True), net()
    memory.consolidate(model, LIKELIHOOD, batches(task()))
    assert isinstance(memory.gaussian.precision, RowWise)
    moved(model)
    first = memory.penalty(model, rows=9)
    wide = moved(widened(model, 5))
    before = memory.penalty(wide, rows=9)
    memory.add_gradients(wide, rows=9)
    assert wide[2].weight.grad[3:].abs().max() == 0 < wide[2].weight.grad[:3].abs().max()
    memory.consolidate(wide, LIKELIHOOD, batches(task(2, classes=5)))
    torch.testing.assert_close(memory.penalty(wide, rows=9), before)
    with torch.no_grad():
        wide[2].weight[3:] += 1
    assert memory.penalty(wide, rows=9) > before > first * 0
    memory.save(tmp_path / "memory")
    again = RowWiseEWC(grown=True)
    again.load(tmp_path / "memory")
    assert torch.equal(again.penalty(wide, rows=9), memory.penalty(wide, rows=9))


def test_two_of_a_new_structure_are_a_sum_and_back():
    one, two = (RowWise.of({"w": torch.full((2, 3), v)}) for v in (1.0, 2.0))
    both = one + two
    torch.testing.assert_close(both.dense(), 3 * torch.eye(6))
    again = state.precision_from(both.spec(), both.tensors())
    assert isinstance(again, Sum)
    torch.testing.assert_close(again.solve({"w": torch.ones(2, 3)})["w"], torch.full((2, 3), 1 / 3))
