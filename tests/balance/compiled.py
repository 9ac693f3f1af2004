"""Compiled models, in a process of its own: torch.compile cannot read hooked functions.

Prints one JSON object; started by test_compiled.py.
"""

import json

import torch

from balance_models import Spy, goals_of, gradient, jacobian, make
from counterpoint.balance import Balancer
from counterpoint.errors import InputError


class Apart(torch.nn.Module):
    """Trunk and heads compiled each for itself."""

    def __init__(self, model):
        super().__init__()
        self.trunk = torch.compile(model.trunk)
        self.heads = model.heads

    def forward(self, x):
        z = self.trunk(x)
        return {name: head(z) for name, head in self.heads.items()}


def main():
    found = {}
    for way in ("apart", "whole"):
        for gram in ("features", "parameters", "last", "auto", "sketch"):
            model, x = make("mlp")
            weights = [*model.parameters()]
            wanted = jacobian(goals_of(model, {"x": x}), weights)
            wanted = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64) @ wanted / 3
            compiled = Apart(model) if way == "apart" else torch.compile(model)
            balancer = Balancer(Spy(), gram=gram)
            try:
                for _ in range(2):
                    model.zero_grad()
                    balancer.step(goals_of, compiled, {"x": x})
                found[f"{way} {gram}"] = float((gradient(weights) - wanted).abs().max())
            except InputError as error:
                found[f"{way} {gram}"] = str(error)
    for way, at in (("inside", "trunk.0"), ("around", "trunk")):
        model, x = make("mlp")
        try:
            step = Balancer(Spy(), at=at).step(goals_of, Apart(model), {"x": x})
            found[way] = step.source
        except InputError as error:
            found[way] = str(error)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
