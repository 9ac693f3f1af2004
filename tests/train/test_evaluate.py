import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from counterpoint.data import Tensors
from counterpoint.errors import InputError
from counterpoint.train import evaluate


def _mean(model, batch):
    return {"a": batch["x"].mean(), "b": batch["x"].square().mean()}


@given(st.integers(1, 30), st.integers(1, 35))
def test_the_batch_size_does_not_change_the_result(rows, size):
    x = torch.randn(rows, dtype=torch.float64, generator=torch.Generator().manual_seed(rows))
    found = evaluate(nn.Identity(), _mean, Tensors({"x": x}), batch_size=size)
    a, b = x.mean().item(), x.square().mean().item()
    assert found == pytest.approx({"score": (a + b) / 2, "a": a, "b": b}, rel=1e-12, abs=1e-15)


def test_dropout_is_off_and_modes_gradients_and_randomness_are_as_before(net, goals, source):
    model = net()
    model[3].eval()
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    found = evaluate(model, goals, source)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(state, torch.get_rng_state())
    assert all(value.grad is None for value in model.parameters())
    loss = goals(model.eval(), source.whole)["square"].item()
    assert found["square"] == pytest.approx(loss, rel=1e-6)


def test_goals_that_draw_leave_the_random_state_alone_and_draw_the_same():
    source = Tensors({"x": torch.ones(10)})
    state = torch.get_rng_state()
    first, second = (
        evaluate(nn.Identity(), lambda *_: {"a": torch.rand(())}, source) for _ in range(2)
    )
    assert first == second
    assert torch.equal(state, torch.get_rng_state())


def test_goals_that_are_none_are_refused():
    with pytest.raises(InputError, match="goal 'a': expected a scalar"):
        evaluate(nn.Identity(), lambda _, batch: {"a": batch["x"]}, Tensors({"x": torch.ones(3)}))
    with pytest.raises(InputError, match="goal 'score': this name is the mean"):
        evaluate(nn.Identity(), lambda *_: {"score": torch.ones(())}, Tensors({"x": torch.ones(3)}))


def test_goals_that_come_and_go_are_refused():
    def goals(model, batch):
        return dict.fromkeys("ab"[: len(batch["x"])], batch["x"].mean())

    with pytest.raises(InputError, match="in every batch, found"):
        evaluate(nn.Identity(), goals, Tensors({"x": torch.ones(3)}), batch_size=2)
