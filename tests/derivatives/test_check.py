"""`check_gradients`: right, wrong, and bent."""

import pytest
import torch
from torch import nn

from counterpoint.derivatives import Finding, check_gradients, gradients
from counterpoint.errors import InputError
from counterpoint.goals import Gaussian
from counterpoint.seeding import generator
from derivatives.nets import net, points


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


class Halved(torch.autograd.Function):
    """A square whose gradient is half of what it should be, in its last entry alone."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        slope = 2 * x
        slope[-1] /= 2
        return grad * slope


def test_a_goal_made_of_input_gradients_is_right():
    model, x = net(2, 2, width=3), points(2, 2)
    found = check_gradients(
        lambda: gradients(model, x).pow(4).mean(), dict(model.named_parameters())
    )
    assert found.ok
    assert set(found.verdicts) == {name for name, _ in model.named_parameters()}
    assert found.sentence == "the gradient of 6 tensors is right"


def test_a_wrong_entry_is_found_and_named():
    right, wrong = tensor(1.0, 2.0), tensor(3.0, 4.0)
    before = wrong.detach().clone()
    found = check_gradients(
        lambda: right.square().sum() + Halved.apply(wrong).sum(), {"right": right, "wrong": wrong}
    )
    assert not found.ok
    assert found.verdicts["right"].finding is Finding.RIGHT
    verdict = found.verdicts["wrong"]
    assert (verdict.finding, verdict.place) == (Finding.WRONG, (1,))
    assert verdict.gradient == pytest.approx(4)
    assert verdict.difference == pytest.approx(8)
    assert verdict.error == pytest.approx(4)
    assert found.sentence == (
        "1 of 2 tensors: wrong: the gradient is not that of the differences "
        "(at wrong[1]: gradient 4, difference 8)"
    )
    assert torch.equal(wrong, before)


@pytest.mark.parametrize("shift", [0.0, 3e-7, -3e-7])
def test_a_kink_is_no_error(shift):
    weight = tensor(1.0, shift)
    found = check_gradients(lambda: torch.relu(weight).sum(), {"weight": weight})
    assert found.ok
    assert found.verdicts["weight"].finding is Finding.KINK
    assert found.verdicts["weight"].place == (1,)
    assert found.sentence.startswith("1 of 1 tensor: weight: the function bends")
    assert "(at weight[1]: gradient" in found.sentence


def test_a_wrong_gradient_at_a_kink_is_wrong():
    weight = tensor(0.0)
    function = lambda: (3 * weight - 2 * weight.detach()).relu().sum()  # noqa: E731
    assert check_gradients(function, {"weight": weight}).verdicts["weight"].finding is Finding.KINK
    steep = lambda: ((5 * weight - 4 * weight.detach()) + 1e-7).relu().sum()  # noqa: E731
    assert not check_gradients(steep, {"weight": weight}).ok


def test_what_is_strongly_curved_is_not_called_a_kink():
    weight = tensor(1e-3)
    function = lambda: (2 * weight.detach() - weight).reciprocal().sum()  # noqa: E731
    found = check_gradients(function, {"weight": weight})
    assert found.verdicts["weight"].finding is Finding.WRONG


def test_what_has_no_graph_is_wrong_and_what_is_not_read_is_right():
    weight = tensor(2.0)
    assert not check_gradients(lambda: weight.detach().square().sum(), {"weight": weight}).ok
    assert check_gradients(lambda: torch.ones((), dtype=torch.float64), {"weight": weight}).ok


def test_a_noisy_function_is_refused():
    weight, source = tensor(2.0), generator(0)
    with pytest.raises(InputError, match="function: must give the same each time"):
        check_gradients(lambda: weight.sum() * torch.rand(1, generator=source), {"weight": weight})


def test_the_weights_come_back_when_the_function_fails():
    weight, calls = tensor(2.0), list[int]()

    def failing():
        calls.append(1)
        if len(calls) > 4:
            raise RuntimeError("enough")
        return weight.square().sum()

    with pytest.raises(RuntimeError, match="enough"):
        check_gradients(failing, {"weight": weight})
    assert weight.item() == 2.0


def test_goals_of_the_house_are_right():
    model, x = nn.Linear(3, 1).double(), points()
    y = x.sum(1, keepdim=True)
    found = check_gradients(lambda: Gaussian().nll(model(x), y), dict(model.named_parameters()))
    assert found.ok
