"""Compiled steps, in a process of its own: torch.compile cannot read hooked functions.

Prints one JSON object; started by test_compiled.py.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

from counterpoint.data import Tensors
from counterpoint.errors import InputError
from counterpoint.train import Training, fit, groups


class Crash(Exception):
    pass


class CrashAt:
    def __init__(self, step):
        self._step = step

    def step_end(self, moment):
        if moment.step == self._step:
            raise Crash
        return False

    def epoch_end(self, _):
        return False


def goals(model, batch):
    output = model(batch["x"])
    return {"fit": (output - batch["y"]).square().mean(), "size": output.abs().mean()}


def net(dropout=0.0, dtype=torch.float64):
    torch.manual_seed(1)
    layers = nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1)
    return nn.Sequential(*layers).to(dtype)


def source(dtype=torch.float64):
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    return Tensors({"x": x, "y": x.sum(1, keepdim=True)})


def gap(**options):
    """Largest difference of a weight between the compiled run and the plain one."""
    models = []
    for compiled in (False, True):
        model = net()
        split = groups(model, {"3.*": 1e-3}, freeze="0.bias")
        training = Training(epochs=3, batch_size=16, compile=compiled, rate=1e-2, **options)
        fit(model, goals, source(), training, groups=split, progress=False)
        models.append(model)
    pairs = zip(models[0].parameters(), models[1].parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def resumes():
    """Whether a compiled run with dropout that crashed ends in the bits of a straight one."""
    training = Training(epochs=2, batch_size=16, compile=True, checkpoint_steps=2)
    with tempfile.TemporaryDirectory() as home:
        models = [net(0.2), net(0.2)]
        fit(models[0], goals, source(), training, folder=Path(home, "a"), progress=False)
        options = {"folder": Path(home, "b"), "progress": False}
        try:
            fit(models[1], goals, source(), training, callbacks=[CrashAt(5)], **options)
        except Crash:
            models[1] = net(0.2)
            fit(models[1], goals, source(), training, **options)
    pairs = zip(models[0].parameters(), models[1].parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def many(count):
    """Whether many fits of one process, each with another rate, all compile."""
    for place in range(count):
        training = Training(epochs=1, batch_size=50, rate=1e-3 * (place + 1), compile=True)
        fit(net(), goals, source(), training, progress=False)
    return count


def refusal():
    def branching(model, batch):
        loss = model(batch["x"]).square().mean()
        return {"fit": loss * 2 if loss.item() > 0.5 else loss}

    try:
        training = Training(batch_size=50, compile=True)
        fit(net(), branching, source(), training, progress=False)
    except InputError as error:
        return str(error)
    return ""


def main():
    torch.set_num_threads(1)
    found = {
        "adamw": gap(weight_decay=0.1, clip=0.5),
        "adam": gap(optimiser="adam", weight_decay=0.1, schedule="cosine"),
        "sgd": gap(optimiser="sgd", weight_decay=0.1),
        "plain sgd": gap(optimiser="sgd", momentum=0.0, schedule="constant", weight_decay=0.0),
        "resumes": resumes(),
        "many": many(12),
        "refusal": refusal(),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
