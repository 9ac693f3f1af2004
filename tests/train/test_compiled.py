import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from counterpoint.data import Tensors
from counterpoint.train import Training, fit, groups


def _net():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()


@pytest.mark.parametrize(
    "options",
    [
        {"weight_decay": 0.1, "clip": 0.5},
        {"optimiser": "adam", "weight_decay": 0.1, "schedule": "cosine"},
        {"optimiser": "sgd", "weight_decay": 0.1},
        {"optimiser": "sgd", "momentum": 0.0, "schedule": "constant", "weight_decay": 0.0},
    ],
)
def test_the_whole_step_is_the_plain_step(table, goals, options):
    """A batch shorter than batch_size goes through the same function uncompiled."""
    source = Tensors({name: value.double() for name, value in table.items()})
    models = [_net(), _net()]
    for model, compiled in zip(models, (False, True), strict=True):
        split = groups(model, {"2.*": 1e-3}, freeze="0.bias")
        training = Training(epochs=5, batch_size=1000, rate=1e-2, compile=compiled, **options)
        fit(model, goals, source, training, groups=split, progress=False)
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-9)


def test_its_moments_are_checkpointed(table, tmp_path, same):
    source = Tensors({name: value.double() for name, value in table.items()})

    class Crash(Exception):
        pass

    class AtThree:
        def step_end(self, moment):
            if moment.step == 3:
                raise Crash
            return False

        def epoch_end(self, _):
            return False

    def goals(model, batch):
        return {"fit": (model(batch["x"]) - batch["y"]).square().mean()}

    training = Training(epochs=5, batch_size=1000, rate=1e-2, compile=True, checkpoint_steps=1)
    straight, crashed, resumed = _net(), _net(), _net()
    fit(straight, goals, source, training, progress=False)
    options = {"folder": tmp_path / "run", "progress": False}
    with pytest.raises(Crash):
        fit(crashed, goals, source, training, callbacks=[AtThree()], **options)
    fit(resumed, goals, source, training, **options)
    assert same(straight, resumed)


@pytest.mark.slow
def test_compiled_for_real():
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("compiling.py"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for optimiser in ("adamw", "adam", "sgd", "plain sgd"):
        assert found[optimiser] < 1e-6
    assert found["resumes"]
    assert found["many"] == 12
    assert "cannot be compiled here" in found["refusal"]
    assert "set compile = false" in found["refusal"]
