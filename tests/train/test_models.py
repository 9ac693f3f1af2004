"""Models side by side are trained as each would be alone."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from counterpoint.data import Tensors
from counterpoint.errors import InputError
from counterpoint.nn import pack, unpack
from counterpoint.train import FitEnding, Training, fit

SETTINGS = Training(epochs=12, batch_size=8, rate=0.05, weight_decay=0.1)


def made():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)) for _ in range(3)]


def rows(seed, count=24):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 2, generator=draw)
    # each model has a target of its own, by another function
    y = torch.stack([x[:, 0], x.prod(1), torch.randn(count, generator=draw)], 1)
    return Tensors({"x": x, "y": y})


def losses(output, target):
    error = output[..., 0] - target
    return {"square": error.square().mean(-1), "size": error.abs().mean(-1)}


def together(model, batch):
    found = losses(model(batch["x"].expand(3, -1, -1)), batch["y"].T)
    return {f"{name} {m}": found[name][m] for m in range(3) for name in found}


def alone(place):
    return lambda model, batch: losses(model(batch["x"]), batch["y"][:, place])


# 0.3 is below some of their gradients' norms and above others
@pytest.mark.parametrize(("optimiser", "clip"), [("adamw", 0.0), ("sgd", 0.0), ("sgd", 0.3)])
def test_each_ends_as_it_would_alone(optimiser, clip):
    settings = replace(SETTINGS, optimiser=optimiser, clip=clip)
    nets, others = made(), made()
    packed = pack(nets)
    course = fit(packed, together, rows(1), settings, validation=rows(2), models=3, progress=False)
    unpack(packed, nets)
    for place, (net, other) in enumerate(zip(nets, others, strict=True)):
        own = fit(other, alone(place), rows(1), settings, validation=rows(2), progress=False)
        assert course.best_epochs[place] == own.best_epoch
        for one, two in zip(net.parameters(), other.parameters(), strict=True):
            assert torch.allclose(one, two, rtol=1e-4, atol=1e-5)
    assert len(set(course.best_epochs)) > 1  # or nothing was seen of whose epoch it is


def test_patience_waits_for_the_last_of_them():
    settings = Training(epochs=200, batch_size=8, rate=0.05, patience=3, schedule="constant")
    course = fit(
        pack(made()), together, rows(1), settings, validation=rows(2), models=3, progress=False
    )
    assert course.status is FitEnding.EARLY
    assert len(course.history) == max(course.best_epochs) + 3 == course.best_epoch + 3


def test_a_run_that_failed_goes_on_to_the_same_bits(tmp_path):
    whole, cut = pack(made()), pack(made())
    expected = fit(whole, together, rows(1), SETTINGS, validation=rows(2), models=3, progress=False)
    calls = iter(range(20))

    def failing(model, batch):
        if model.training and next(calls, None) is None:
            raise RuntimeError("the power is gone")
        return together(model, batch)

    often = Training(epochs=12, batch_size=8, rate=0.05, weight_decay=0.1, checkpoint_steps=1)
    told = {"validation": rows(2), "models": 3, "folder": tmp_path, "progress": False}
    with pytest.raises(RuntimeError, match="the power"):
        fit(cut, failing, rows(1), often, **told)
    again = pack(made())
    found = fit(again, together, rows(1), often, **told)
    assert found.best_epochs == expected.best_epochs
    assert any("going on at epoch" in note for note in found.notes)
    for one, two in zip(again.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(("name", "told"), [("balance", "impartial"), ("compile", True)])
def test_what_looks_at_all_weights_at_once_is_refused(name, told):
    settings = Training(epochs=1, batch_size=8, **{name: told})
    with pytest.raises(InputError, match=rf"training\.{name}: works for one model at a time"):
        fit(pack(made()), together, rows(1), settings, models=3, progress=False)
