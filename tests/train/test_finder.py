import xml.etree.ElementTree as ET

import pytest
import torch
from torch import nn

from counterpoint.data import Tensors
from counterpoint.errors import InputError
from counterpoint.train import Training, find_rate, groups


def test_everything_is_as_it_was(net, goals, source):
    model = net()
    goals(model, source.whole)["square"].backward()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [value.grad for value in model.parameters()]
    kept = [value.clone() for value in gradients]
    state = torch.get_rng_state()
    curve = find_rate(model, goals, source, Training(batch_size=20))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(
        value.grad is grad for value, grad in zip(model.parameters(), gradients, strict=True)
    )
    assert all(torch.equal(a, b) for a, b in zip(gradients, kept, strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert not model[1].training
    assert model.training
    assert set(curve.goals) == {"square", "absolute"}
    for score, *each in zip(curve.losses, *curve.goals.values(), strict=True):
        assert score == pytest.approx(sum(each) / 2)


@pytest.mark.parametrize("curvature", [0.1, 1.0, 10.0])
def test_the_suggestion_is_stable_and_not_timid_on_a_quadratic(curvature):
    """Plain descent on c/2 w^2 is stable below the rate 2 / c."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)

    def goals(model, batch):
        return {"bowl": curvature / 2 * model.weight.square().sum()}

    training = Training(batch_size=1, optimiser="sgd", momentum=0.0)
    curve = find_rate(
        model, goals, Tensors({"x": torch.ones(4)}), training, low=1e-5, high=1e3, steps=120
    )
    assert 0.01 / curvature < curve.suggestion < 2 / curvature
    assert curve.rates[-1] < 1e3  # it burst before the end


def test_a_loss_that_never_falls_suggests_the_lowest_rate():
    model = nn.Linear(1, 1, bias=False)

    def goals(model, batch):
        return {"flat": 0.0 * model.weight.sum() + 1.0}

    curve = find_rate(model, goals, Tensors({"x": torch.ones(4)}), low=1e-4)
    assert curve.suggestion == 1e-4


def test_frozen_parameters_stay_frozen(net, goals, source):
    model = net()
    find_rate(model, goals, source, groups=groups(model, freeze="0.*"))
    assert all(value.requires_grad for value in model.parameters())


def test_the_figure_is_one_svg(net, goals, source, tmp_path):
    curve = find_rate(net(), goals, source)
    curve.draw(tmp_path / "rate.svg")
    root = ET.parse(tmp_path / "rate.svg").getroot()
    tags = [child.tag.rpartition("}")[2] for child in root]
    assert tags.count("polyline") == 1
    assert tags.count("circle") == len(curve.rates)


def test_bad_ranges_and_hopeless_losses_are_refused(net, goals, source):
    with pytest.raises(InputError, match="0 < low < high"):
        find_rate(net(), goals, source, low=1.0, high=0.1)
    with pytest.raises(InputError, match="at least 10 steps"):
        find_rate(net(), goals, source, steps=3)
    bad = Tensors({"x": torch.full((8, 3), float("nan")), "y": torch.zeros(8, 1)})
    with pytest.raises(InputError, match="not finite at the first step"):
        find_rate(net(), goals, bad)
