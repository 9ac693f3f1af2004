"""Small tasks, nets and memories that the tests of this room share."""

from copy import deepcopy
from functools import cache

import torch
from torch import nn

from counterpoint.continual import DER, EWC, MAS, SI, Functional, LwF, OnlineEWC, Replay
from counterpoint.goals import Categorical
from counterpoint.seeding import generator, seeded

LIKELIHOOD = Categorical()

MEMORIES = {
    "ewc": EWC,
    "ewc-kronecker": lambda **options: EWC(structure="kronecker", **options),
    "online-dense": lambda **options: OnlineEWC(
        keep=0.5, structure="dense", labels="jac", **options
    ),
    "online-merged": lambda **options: OnlineEWC(
        keep=0.5, centre="product", structure="kronecker-merged", **options
    ),
    "si": SI,
    "mas": MAS,
    "lwf": LwF,
    "replay": lambda **options: Replay(capacity=20, batch=8, **options),
    "der": lambda **options: DER(capacity=20, balanced=True, **options),
    "functional": lambda **options: Functional(
        capacity=20, labels="exact", core="memorable", **options
    ),
}

ANCHORED = [name for name in MEMORIES if name.startswith(("ewc", "online", "si", "mas"))]


def net(seed=0, outputs=3, hidden=4):
    with seeded(seed):
        return nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, outputs)).double()


def task(seed=0, rows=30, classes=3):
    draw = generator(seed, 7)
    x = torch.randn(rows, 2, generator=draw, dtype=torch.float64)
    return x, torch.arange(rows) % classes


def batches(found, size=10):
    parts = zip(*(part.split(size) for part in found), strict=True)
    return [dict(zip(("x", "y", "weight"), part, strict=False)) for part in parts]


def moved(model, seed=1, by=0.3):
    """The model, its weights somewhere else."""
    draw = generator(seed, 8)
    with torch.no_grad():
        for weight in model.parameters():
            weight += by * torch.randn(weight.shape, generator=draw, dtype=weight.dtype)
    return model


def learn(memory, model, found, steps=3):
    """A few steps by hand, as every loop would make them; then the task is consolidated."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    memory.begin(model)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = LIKELIHOOD.nll(model(found[0]), found[1])
        if memory.tasks:
            loss = loss + memory.penalty(model, found, rows=len(found[0]))
        loss.backward()
        optimiser.step()
        memory.observe(model)
    memory.consolidate(model, LIKELIHOOD, batches(found))


def taught(name, tasks=2, **options):
    """A memory of two tasks, and the model after them: a copy of ones that were taught once."""
    return deepcopy(_taught(name, tasks, tuple(options.items())))


@cache
def _taught(name, tasks, options):
    memory, model = MEMORIES[name](**dict(options)), net()
    for number in range(tasks):
        learn(memory, model, task(number))
    return memory, model
