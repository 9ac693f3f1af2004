"""What a step reads from the device: nothing, where it says so."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from balance_models import goals_of, make
from counterpoint.balance import Balancer
from counterpoint.balance import _gram as gram


class Reads(TorchDispatchMode):
    """Counts the values that are brought to Python."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default:
            self.count += 1
        return function(*args, **(kwargs or {}))


@pytest.fixture
def accelerator(monkeypatch):
    """Take the way of a device on which reading means to wait."""
    monkeypatch.setattr(gram, "_may_look", lambda tensor: False)


@pytest.mark.usefixtures("accelerator")
@pytest.mark.parametrize("rule", ["magnitude", "sum", "gradnorm", "db-mtl", "uncertainty", "famo"])
def test_closed_forms_wait_for_nothing(rule):
    model, x = make("mlp")
    balancer = Balancer(rule, gram="features", nonfinite="pass")
    balancer.backward(goals_of(model, {"x": x}), model)
    losses = goals_of(model, {"x": x})
    with Reads() as reads:
        step = balancer.backward(losses, model)
    assert reads.count == 0
    with Reads() as reads:
        assert step.status.word == "balanced"
    assert reads.count > 0


@pytest.mark.usefixtures("accelerator")
def test_both_ways_of_measuring_agree():
    model, x = make("mlp")
    found = Balancer("sum", gram="parameters").backward(goals_of(model, {"x": x}), model)
    with pytest.MonkeyPatch.context() as patch:
        patch.undo()
        patch.setattr(gram, "_may_look", lambda tensor: True)
        other = Balancer("sum", gram="parameters").backward(goals_of(model, {"x": x}), model)
    torch.testing.assert_close(found.cosines, other.cosines)
    torch.testing.assert_close(found.norms, other.norms)
