"""`check_gradients`: right, wrong, and bent."""

import pytest
import torch
from torch import nn

from counterpoint.derivatives import Agreement, check_gradients, gradients
from counterpoint.errors import InputError
from counterpoint.goals import Normal
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
    assert found.verdicts["right"].agreement is Agreement.RIGHT
    verdict = found.verdicts["wrong"]
    assert (verdict.agreement, verdict.place) == (Agreement.WRONG, (1,))
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
    assert found.verdicts["weight"].agreement is Agreement.KINK
    assert found.verdicts["weight"].place == (1,)
    assert found.sentence.startswith("1 of 1 tensor: weight: the function bends")
    assert "(at weight[1]: gradient" in found.sentence


def test_a_wrong_gradient_at_a_kink_is_wrong():
    weight = tensor(0.0)
    function = lambda: (3 * weight - 2 * weight.detach()).relu().sum()  # noqa: E731
    assert (
        check_gradients(function, {"weight": weight}).verdicts["weight"].agreement is Agreement.KINK
    )
    steep = lambda: ((5 * weight - 4 * weight.detach()) + 1e-7).relu().sum()  # noqa: E731
    assert not check_gradients(steep, {"weight": weight}).ok


def test_what_is_strongly_curved_is_not_called_a_kink():
    weight = tensor(1e-3)
    function = lambda: (2 * weight.detach() - weight).reciprocal().sum()  # noqa: E731
    found = check_gradients(function, {"weight": weight})
    assert found.verdicts["weight"].agreement is Agreement.WRONG


def test_what_has_no_graph_is_wrong_and_what_is_not_read_is_right():
    weight = tensor(2.0)
    assert not check_gradients(lambda: weight.detach().square().sum(), {"weight": weight}).ok
    assert check_gradients(lambda: torch.ones((), dtype=torch.float64), {"weight": weight}).ok


def test_a_noisy_function_is_refused():
    weight, source = tensor(2.0), generator(0)
    with pytest.raises(InputError, match="function: must give the same each time, found values"):
        check_gradients(lambda: weight.sum() * torch.rand((), generator=source), {"weight": weight})


class Scaled(torch.autograd.Function):
    """A linear map, and a gradient that is another one."""

    @staticmethod
    def forward(ctx, x, factors, claimed):
        ctx.claimed = claimed
        return x * factors

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.claimed, None, None


def scaled(x, factors, claimed):
    return Scaled.apply(x, *(torch.tensor(f, dtype=torch.float64) for f in (factors, claimed)))


def found_for(weight, function):
    return check_gradients(lambda: function(weight), {"weight": weight}).verdicts["weight"]


def test_errors_of_several_outputs_do_not_cancel():
    """One output's gradient is too large, the other's too small by as much; the sum is right."""
    weight, signs = tensor(1.0, 1.0), torch.tensor([1.0, -1.0]).double()
    verdict = found_for(weight, lambda w: w.sum() + (w - w.detach()).sum() * signs)
    assert verdict.agreement is Agreement.WRONG
    assert verdict.output in (0, 1)
    assert f"output {verdict.output}: gradient" in verdict.sentence("weight")


def test_a_small_output_is_not_hidden_by_a_large_one():
    pair = lambda claimed: lambda w: scaled(w, [1e9, 1.0], [1e9, claimed])  # noqa: E731
    assert found_for(tensor(0.5, 0.5), pair(1.0)).agreement is Agreement.RIGHT
    wrong = found_for(tensor(0.5, 0.5), pair(1.1))
    assert (wrong.agreement, wrong.place, wrong.output) == (Agreement.WRONG, (1,), 1)


@pytest.mark.parametrize("size", [1e-12, 1e-7, 1.0, 1e9])
def test_a_gradient_is_judged_on_its_own_scale(size):
    for claimed, finding in ((1, Agreement.RIGHT), (-1, Agreement.WRONG), (1.01, Agreement.WRONG)):
        found = found_for(tensor(2.0), lambda w, c=claimed: scaled(w, [size], [c * size]))
        assert found.agreement is finding


@pytest.mark.parametrize("at", [0.0, 1e-9, 1e3, 1e11])
def test_the_step_is_not_lost_beside_a_large_entry(at):
    assert found_for(tensor(at), torch.sum).agreement is Agreement.RIGHT
    assert found_for(tensor(at), lambda w: 2 * w - w.detach()).agreement is Agreement.WRONG


def test_what_rounding_hides_is_neither_right_nor_wrong():
    weight = tensor(3.0)
    found = check_gradients(lambda: (weight - 3.001) ** 2 + 1e9, {"weight": weight})
    assert found.verdicts["weight"].agreement is Agreement.UNTOLD
    assert found.ok
    assert "differences cannot tell" in found.sentence
    assert found_for(weight, lambda w: (w - 3.001) ** 2 + 1e2).agreement is Agreement.RIGHT
    assert found_for(weight, lambda w: (w.detach() * 2 - w - 2.5) ** 2 + 1e2).agreement is (
        Agreement.WRONG
    )
    hidden = lambda w: (w + 1e9) - 1e9  # noqa: E731 - values whose rounding does not show in them
    assert found_for(weight, hidden).agreement is not Agreement.WRONG


@pytest.mark.parametrize("power", [2, 3, 4])
def test_a_flat_place_is_right(power):
    for at in (0.0, 1e-9, 1.0):
        assert found_for(tensor(at, 1.0), lambda w: w.pow(power)).agreement is Agreement.RIGHT
    assert found_for(tensor(1.7), lambda w: (w - 1.7) ** power + 1).agreement in (
        Agreement.RIGHT,
        Agreement.UNTOLD,
    )


def test_gradients_that_are_not_finite():
    hidden = lambda w: torch.where(w > 0, w.sqrt(), 0 * w)  # noqa: E731 - 0 times infinity
    assert found_for(tensor(-1.0), hidden).agreement is Agreement.WRONG
    assert found_for(tensor(0.0), torch.sqrt).agreement is Agreement.UNTOLD
    assert found_for(tensor(1e-6), torch.log).agreement is not Agreement.WRONG


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda w: 3.0, "function: must give a tensor, found float"),
        (lambda w: {"fit": w.sum()}, "function: must give a tensor, found dict; choose one goal"),
        (lambda w: w.float(), "function: must give float64 values .* found 1 of torch.float32"),
        (lambda w: w[:0], "function: must give float64 values .* found 0 of torch.float64"),
        (lambda w: w * torch.nan, "function: must give finite values .* found nan in 1 of 1"),
    ],
)
def test_what_cannot_be_checked_is_refused(function, words):
    with pytest.raises(InputError, match=words):
        found_for(tensor(2.0), function)


def test_weights_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="parameters: 'weight' must be finite, found inf in 1 of"):
        found_for(tensor(1.0, torch.inf), lambda w: w[0])


def test_a_function_that_takes_gradients_itself_is_checked_under_no_grad():
    slope = lambda w: torch.autograd.grad(w.pow(3).sum(), w, create_graph=True)[0]  # noqa: E731
    with torch.no_grad():
        assert found_for(tensor(2.0), slope).agreement is Agreement.RIGHT


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
    found = check_gradients(lambda: Normal().nll(model(x), y), dict(model.named_parameters()))
    assert found.ok
