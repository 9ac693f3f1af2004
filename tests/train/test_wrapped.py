"""A model that torch has wrapped trains as the model inside, under its own names."""

import pytest
import torch
from torch import nn

from counterpoint.train import Training, fit, groups, minimize
from wrapped import WRAPPERS


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_groups_checkpoints_and_the_best_weights_have_the_models_own_names(
    wrap, net, goals, source, same, tmp_path
):
    training = Training(epochs=2, batch_size=50, patience=1)
    models = [net(), net()]
    for model, one in zip(models, (models[0], wrap(models[1])), strict=True):
        split = groups(one, {"4.*": 1e-2}, freeze="0")
        assert split.frozen == ("0.weight", "0.bias")
        fit(one, goals, source, training, validation=source, groups=split, progress=False)
        assert all(value.requires_grad for value in model.parameters())
    same(*models)


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_run_is_taken_up_with_and_without_the_wrapper(wrap, net, goals, source, same, tmp_path):
    training = Training(epochs=1, batch_size=50)
    first, second = net(), net()
    fit(wrap(first), goals, source, training, folder=tmp_path / "run", progress=False)
    fit(second, goals, source, training, folder=tmp_path / "run", progress=False)
    same(first, second)


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_full_batch_methods_take_parts_by_the_models_own_names(wrap):
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None]

    def square(model, batch):
        return {"fit": (model(batch["x"]) - batch["x"]).square().mean()}

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1)).double()
    before = model[0].weight.detach().clone()
    found = minimize(square, wrap(model), {"x": x}, parameters="1", progress=False)
    assert torch.equal(model[0].weight, before)
    assert found.score < 1e-8
