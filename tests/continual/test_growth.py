"""Heads that grow: the old part is remembered, the new part is free."""

import pytest
import torch
from torch import nn

from continual.tasks import LIKELIHOOD, batches, learn, moved, net, task, taught
from counterpoint.continual import DER, EWC, SI, Functional, LwF
from counterpoint.errors import InputError


def widened(model, outputs=5):
    """The same net with more outputs, the old ones first."""
    head = nn.Linear(model[2].in_features, outputs).double()
    with torch.no_grad():
        old = model[2].weight.shape[0]
        head.weight[:old], head.bias[:old] = model[2].weight, model[2].bias
    return nn.Sequential(model[0], model[1], head)


GROWING = ["ewc", "ewc-kronecker", "online-dense", "online-merged", "mas"]


@pytest.mark.parametrize("name", GROWING)
def test_new_outputs_are_free_and_old_ones_are_not(name):
    memory, model = taught(name, grown=True)
    moved(model)
    before = memory.penalty(model, rows=9)
    wide = widened(model)
    torch.testing.assert_close(memory.penalty(wide, rows=9), before)
    memory.add_gradients(wide, rows=9)
    assert wide[2].weight.grad[:3].abs().max() > 0
    assert wide[2].weight.grad[3:].abs().max() == 0
    with torch.no_grad():
        wide[2].weight[3:] += 1
    torch.testing.assert_close(memory.penalty(wide, rows=9), before)


@pytest.mark.parametrize("options", [{}, {"structure": "kronecker"}, {"structure": "dense"}])
def test_a_task_more_holds_all_outputs_and_the_old_energy(options):
    memory, alone, model = EWC(grown=True, **options), EWC(**options), net()
    memory.consolidate(model, LIKELIHOOD, batches(task()))
    wide, found = moved(widened(model)), batches(task(2, classes=5))
    old = memory.penalty(wide, rows=1)
    memory.consolidate(wide, LIKELIHOOD, found)
    alone.consolidate(wide, LIKELIHOOD, found)
    torch.testing.assert_close(memory.penalty(wide, rows=1), old)
    with torch.no_grad():
        wide[2].weight[3:] += 1
    assert memory.penalty(wide, rows=1) > old
    torch.testing.assert_close(memory.penalty(wide, rows=1), old + alone.penalty(wide, rows=1))
    again = EWC(grown=True, **options)
    again.load_state_dict(memory.state_dict())
    assert torch.equal(again.penalty(wide, rows=1), memory.penalty(wide, rows=1))


def test_new_layers_are_free():
    memory, model = taught("ewc", grown=True)
    more = nn.Sequential(*model, nn.Tanh(), nn.Linear(3, 3).double())
    assert torch.equal(memory.penalty(more, rows=1), memory.penalty(model, rows=1))
    memory.consolidate(more, LIKELIHOOD, batches(task(3)))
    assert "4.weight" in memory.gaussian.mean


def test_shrinking_and_other_shapes_are_refused():
    memory, _ = taught("ewc", grown=True)
    with pytest.raises(InputError, match=r"'2.weight' has shape \(3, 4\) in it, found \(2, 4\)"):
        memory.penalty(net(outputs=2), rows=1)


def test_a_grown_layer_is_named_where_growing_is_not_allowed():
    memory, model = taught("ewc")
    with pytest.raises(InputError, match="grown=True keeps the old part and frees the new"):
        memory.penalty(widened(model), rows=1)


def test_intelligence_goes_on_with_more_outputs():
    memory, model = SI(grown=True), net()
    learn(memory, model, task(0))
    wide = widened(model)
    learn(memory, wide, task(1, classes=5))
    assert memory.gaussian.mean["2.weight"].shape == (5, 4)


@pytest.mark.parametrize("make", [LwF, DER, Functional])
def test_outputs_that_came_later_are_not_compared(make):
    memory, model, found = make(), net(), task()
    memory.consolidate(model, LIKELIHOOD, batches(found))
    wide = widened(model)
    if make is DER:
        object.__setattr__(memory, "beta", 0.0)
    now = memory.penalty(wide, found, rows=30)
    assert now.abs() < 1e-12
    with torch.no_grad():
        wide[2].bias[3:] += 1
    assert memory.penalty(wide, found, rows=30).abs() < 1e-12
    memory.consolidate(wide, LIKELIHOOD, batches(task(1, classes=5)))
    with torch.no_grad():
        wide[2].bias[3:] += 1
    assert memory.penalty(wide, found, rows=30) > 1e-3


def test_a_core_set_of_grown_outputs_has_the_information_of_the_old_ones():
    memory, model = Functional(labels="exact", batch=200), net()
    for number, outputs in enumerate((3, 5)):
        wide = widened(model, outputs)
        memory.consolidate(wide, LIKELIHOOD, batches(task(number, classes=outputs)))
    moved(wide)
    assert torch.isfinite(memory.penalty(wide, rows=1))


def test_ewc_needs_no_room_for_what_is_gone():
    memory, model = EWC(parameters="0.*"), net()
    memory.consolidate(model, LIKELIHOOD, batches(task()))
    memory.penalty(widened(model), rows=1)  # the head is not its affair
