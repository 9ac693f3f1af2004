"""Memories of models of tokens: what one corpus taught is held while another is learnt."""

import pytest
import torch

from counterpoint.continual import DER, EWC, MAS, Functional, LwF, OnlineEWC, Replay
from counterpoint.curvature import fisher
from counterpoint.goals import Categorical
from curvature.positions import CausalBlock, seeded_model, tokens

IGNORING = Categorical(ignore_index=-100)
MEMORIES = {
    "EWC": EWC,
    "Kronecker EWC": lambda: EWC(structure="kronecker"),
    "online EWC": OnlineEWC,
    "MAS": MAS,
    "LwF": LwF,
    "replay": lambda: Replay(capacity=4),
    "DER": lambda: DER(capacity=4),
    "functional": lambda: Functional(capacity=4),
}


@pytest.mark.parametrize("make", MEMORIES.values(), ids=MEMORIES)
def test_what_was_learnt_of_tokens_pulls_back(make):
    memory, model, (x, y) = make(), seeded_model(CausalBlock), tokens()
    memory.consolidate(model, IGNORING, [(x, y)])
    with torch.no_grad():
        model.head.bias += torch.arange(5) / 2
    penalty = memory.penalty(model, (x, y), rows=len(x))
    assert penalty > 0
    penalty.backward()
    assert model.head.bias.grad.abs().sum() > 0


def test_the_penalty_of_adapters_is_the_quadratic_of_their_fisher_information():
    model, (x, y) = seeded_model(lambda: CausalBlock(rank=2)), tokens()
    memory = EWC(parameters=["down", "up"])
    information = fisher(model, IGNORING, [(x, y)]).diagonal()
    memory.consolidate(model, IGNORING, [(x, y)])
    before = {name: getattr(model, name).detach().clone() for name in ("down", "up")}
    with torch.no_grad():
        model.down += 0.1
        model.up -= 0.2
    moved = {name: getattr(model, name) - value for name, value in before.items()}
    wanted = sum((information[name] * moved[name].square()).sum() for name in moved)
    torch.testing.assert_close(memory.penalty(model, rows=len(x)), wanted / (2 * len(x)))
