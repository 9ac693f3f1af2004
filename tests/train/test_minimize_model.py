"""What `train.minimize` leaves of a model, and what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn

from counterpoint.data import Tensors
from counterpoint.errors import InputError
from counterpoint.seeding import seeded
from counterpoint.train import MinimizeEnding, NonFiniteError, Training, fit, minimize


def quiet(goals, model, batch=None, **options):
    return minimize(goals, model, batch, progress=False, **options)


def test_the_model_comes_back_as_it_was_but_for_its_weights(net, goals, table):
    model = net().train()
    model[3].eval()  # dropout would be noise
    model[0].bias.requires_grad_(False)
    goals(model, table)["square"].backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    kept = {
        name: (id(value), value.data_ptr(), value.dtype, value.requires_grad, value.grad)
        for name, value in model.named_parameters()
    }
    buffers = [(id(value), value.data_ptr(), value.dtype) for value in model.buffers()]
    kinds = set()

    def seen(moment):
        kinds.update(value.dtype for value in moment.model.parameters())
        assert moment.model[0].bias.grad is None
        assert set(moment.losses) == {"square", "absolute"}

    result = quiet(goals, model, table, iterations=20, callback=seen)
    assert kinds == {torch.float64}
    after = {
        name: (id(value), value.data_ptr(), value.dtype, value.requires_grad, value.grad)
        for name, value in model.named_parameters()
    }
    assert after.keys() == kept.keys()
    for name in kept:
        assert kept[name][:4] == after[name][:4]
        assert kept[name][4] is after[name][4]
    assert buffers == [(id(value), value.data_ptr(), value.dtype) for value in model.buffers()]
    assert model[0].training
    assert not model[3].training
    assert torch.equal(state, torch.get_rng_state())
    changed = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == {"0.weight", "1.weight", "1.bias", "4.weight", "4.bias"}
    now = {name: value.item() for name, value in goals(model, table).items()}
    assert now == pytest.approx(result.goals, rel=1e-4)
    assert result.score == pytest.approx(sum(now.values()) / 2, rel=1e-4)
    assert result.score < result.history[0].score
    torch.optim.SGD(model.parameters(), 0.1).step()


def test_the_score_is_the_one_of_fit(net, goals, table):
    model = net().eval()
    one = Training(epochs=1, batch_size=200, optimiser="sgd", rate=1e-30)
    model[1].train()
    model[3].p = 0.0
    train = fit(model, goals, Tensors(table), one, progress=False).history[0]["train"]["score"]
    model.train()
    result = quiet(goals, model, table, iterations=1)
    assert result.history[0].score == pytest.approx(train, rel=1e-6)
    scaled = quiet(goals, model, table, iterations=1, weights={"square": 3.0})
    first = scaled.goals
    assert scaled.score == pytest.approx((3 * first["square"] + first["absolute"]) / 2)


@pytest.mark.parametrize("how", ["interrupted", "broken", "stopped"])
def test_whatever_ends_it_the_best_weights_are_in_the_model(how, net, goals, table):
    model, scores = net().eval(), []
    errors = {"interrupted": KeyboardInterrupt, "broken": RuntimeError}

    def callback(moment):
        losses = goals(moment.model, {k: v.double() for k, v in table.items()})
        scores.append(sum(float(value.detach()) for value in losses.values()) / 2)
        if moment.step == 5 and how in errors:
            raise errors[how]
        return moment.step == 5

    # a rate so high that the last iterate is not the best
    options = {"method": "adam", "rate": 0.5, "callback": callback}
    if how == "stopped":
        assert quiet(goals, model, table, **options).status is MinimizeEnding.STOPPED
    else:
        with pytest.raises(errors[how]):
            quiet(goals, model, table, **options)
    assert len(scores) == 5
    assert all(value.dtype == torch.float32 for value in model.parameters())
    score = sum(float(value.detach()) for value in goals(model, table).values()) / 2
    start = sum(float(value.detach()) for value in goals(net().eval(), table).values()) / 2
    assert score == pytest.approx(min(*scores, start), rel=1e-5)


def test_only_the_parameters_chosen_move_and_tied_ones_together(table):
    with seeded(0):
        first, last = nn.Linear(3, 3, bias=False), nn.Linear(3, 1)
    model = nn.Sequential(first, nn.Linear(3, 3, bias=False), last)
    model[1].weight = first.weight
    held = first.weight.detach().clone()
    goals = lambda model, batch: {  # noqa: E731
        "fit": (model(batch["x"]) - batch["y"]).square().mean(),
        "decay": 1e-3 * first.weight.square().sum(),  # a goal that holds a parameter itself
    }
    result = quiet(goals, model, table, parameters="2.*")
    assert result.status is MinimizeEnding.CONVERGED
    assert torch.equal(first.weight, held)
    assert first.weight.requires_grad
    quiet(goals, model, table, parameters=["0.*"], iterations=5)
    assert not torch.equal(first.weight, held)
    assert model[1].weight is first.weight


class Attending(nn.Module):
    """Rows of a table that attend to one another."""

    def __init__(self, sparse):
        super().__init__()
        self.table = nn.Embedding(5, 4, sparse=sparse)
        self.last = nn.Linear(4, 1)

    def forward(self, x):
        rows = self.table(x)
        return self.last(nn.functional.scaled_dot_product_attention(rows, rows, rows)).mean(1)


def attend(method, sparse):
    x = torch.randint(5, (6, 3), generator=torch.Generator().manual_seed(0))
    goals = lambda model, batch: {"fit": (model(batch["x"]) - 1).square().mean()}  # noqa: E731
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Attending(sparse)
    return quiet(goals, model, {"x": x}, method=method, iterations=30).score


@pytest.mark.parametrize("method", ["newton-cg", "newton"])
def test_second_derivatives_go_through_attention(method):
    assert attend(method, sparse=False) < 1e-6


@pytest.mark.parametrize("method", ["l-bfgs", "newton-cg"])
def test_gradients_of_sparse_tables_are_gradients(method):
    assert attend(method, sparse=True) == pytest.approx(attend(method, sparse=False), abs=1e-12)


def test_second_derivatives_that_torch_lacks_are_refused():
    with pytest.raises(InputError, match="second derivatives .* 'l-bfgs'"):
        attend("newton", sparse=True)  # not many at once

    def goals(model, batch):
        letters = model.weight.log_softmax(1).unsqueeze(1)
        lengths = torch.tensor([4]), torch.tensor([2])
        return {"text": nn.functional.ctc_loss(letters, torch.tensor([[1, 2]]), *lengths)}

    with pytest.raises(InputError, match="second derivatives .* 'l-bfgs'"):
        quiet(goals, nn.Linear(3, 4), method="newton-cg")


def test_progress_is_told_and_silence_kept(capsys):
    model = nn.Linear(1, 1)
    goals = lambda model, batch: {"bowl": model.weight.square().sum()}  # noqa: E731
    minimize(goals, model, progress="a bowl")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("a bowl  epoch 1/500  train ")
    quiet(goals, nn.Linear(1, 1))
    assert capsys.readouterr().err == ""


def test_a_start_that_is_not_finite_names_the_goal():
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)

    def goals(model, batch):
        return {"good": model.weight.sum(), "bad": batch["scale"] * model.weight.sqrt().sum()}

    with pytest.raises(NonFiniteError, match="goal 'bad': its gradient is not finite"):
        quiet(goals, model, {"x": torch.zeros(1), "scale": torch.tensor(1.0)})
    with pytest.raises(NonFiniteError, match=r"goal 'bad': not finite \(nan\)"):
        quiet(goals, model, {"x": torch.zeros(1), "scale": torch.tensor(float("nan"))})
    assert not model.weight.any()


def test_weights_that_the_models_type_cannot_hold_are_not_gone_to():
    model = nn.Linear(1, 1, bias=False)

    def downhill(model, batch):
        return {"far": -model.weight.sum()}

    minimize(downhill, model, method="cg", iterations=40, progress=False)
    assert torch.isfinite(model.weight).all()
    assert model.weight.item() > 1e3


@pytest.mark.parametrize("answer", [True, np.True_, torch.tensor(True)])
def test_a_callback_stops_with_anything_that_is_true(answer):
    model = nn.Linear(3, 1)

    def goals(model, batch):
        return {"fit": sum((p - 1).square().sum() for p in model.parameters())}

    found = minimize(goals, model, method="adam", callback=lambda _: answer, progress=False)
    assert found.iterations == 1
