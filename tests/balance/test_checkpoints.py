"""Parts of a model that are run again in every backward pass."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from balance_models import Heads, Spy, close, goals_of, gradient, numbers
from counterpoint.balance import Balancer


class Checkpointed(nn.Module):
    """A part that is run again in every backward pass."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return checkpoint(self.inner, x, use_reentrant=False)


AGAIN = {
    "dropout": lambda: nn.Sequential(nn.Linear(5, 6), nn.Dropout(0.5), nn.Tanh()),
    "statistics": lambda: nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Tanh()),
    "both": lambda: nn.Sequential(
        nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 6)
    ),
}


@pytest.mark.parametrize("gram", ["features", "parameters", "last", "auto", "sketch"])
@pytest.mark.parametrize("kind", AGAIN)
@pytest.mark.parametrize("above", [False, True])
def test_a_checkpoint_runs_its_part_again_as_often_as_one_backward_pass(gram, kind, above):
    """Masks are those of the forward pass, and running statistics move as plainly they would."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Heads(Checkpointed(AGAIN[kind]()), 6).double()
        if above:
            model.heads["b"] = nn.Sequential(
                Checkpointed(nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.3))), nn.Linear(6, 2)
            ).double()
        other, x = copy.deepcopy(model), numbers(9, 5)
        stream = torch.get_rng_state()
        found = goals_of(other, {"x": x})
        (sum((k + 1) * loss for k, loss in enumerate(found.values())) / len(found)).backward()
        for _ in range(2):
            torch.set_rng_state(stream)
            before = [buffer.clone() for buffer in model.buffers()]
            Balancer(Spy(), gram=gram).step(goals_of, model, {"x": x})
            close(gradient([*model.parameters()]), gradient([*other.parameters()]))
            moved = [buffer.clone() for buffer in model.buffers()]
            for one, two in zip(moved, other.buffers(), strict=True):
                torch.testing.assert_close(one, two)
            # the same step once more: a plan that was made before does as the first did
            model.zero_grad()
            for buffer, value in zip(model.buffers(), before, strict=True):
                buffer.data.copy_(value)
