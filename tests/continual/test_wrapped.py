"""What was consolidated on a model holds the same model when torch has wrapped it, and back."""

from copy import deepcopy

import pytest
import torch

from continual.tasks import LIKELIHOOD, MEMORIES, batches, learn, moved, net, task
from wrapped import WRAPPERS


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("name", MEMORIES)
def test_a_memory_is_of_the_model_inside(name, wrap):
    model, memory, again = net(), MEMORIES[name](), MEMORIES[name]()
    start = deepcopy(model.state_dict())
    learn(memory, model, task())
    model.load_state_dict(start)
    learn(again, wrap(model), task())
    moved(model)
    wanted = deepcopy(memory).penalty(model, task(), rows=30)
    for held in (memory, again):
        for now in (model, wrap(model)):
            torch.testing.assert_close(deepcopy(held).penalty(now, task(), rows=30), wanted)
        held.begin(wrap(model))
        held.consolidate(wrap(model), LIKELIHOOD, batches(task(1)))
        held.consolidate(model, LIKELIHOOD, batches(task(2)))
        assert held.tasks == 3
