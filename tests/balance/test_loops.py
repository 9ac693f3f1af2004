"""The balancer in anybody's loop: what surrounds a step must not change what it is."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from balance_models import Heads, Spy, close, expected, goals_of, gradient, jacobian, make, numbers
from counterpoint.balance import Balancer, StepEnding
from counterpoint.errors import InputError

SOURCES = ["features", "parameters", "last", "auto"]


@pytest.mark.parametrize("gram", SOURCES)
def test_calls_add_up_as_backward_does(gram):
    model, x = make("mlp")
    total = 0.0
    balancer = Balancer(Spy(), gram=gram)
    for part in (x[:5], x[5:]):
        losses = goals_of(model, {"x": part})
        total = total + expected(losses, model)
        balancer.backward(losses, model)
    close(gradient([*model.parameters()]), total)


def test_later_parts_of_an_accumulated_step_use_the_weights_of_the_first():
    model, x = make("mlp")
    balancer = Balancer("magnitude")
    first = balancer.backward(goals_of(model, {"x": x[:5]}), model)
    second = balancer.backward(goals_of(model, {"x": x[5:]}), model, refresh=False)
    assert first.fresh
    assert not second.fresh
    assert second.weights.tolist() == first.weights.tolist()


def test_every_measures_now_and_then():
    model, x = make("mlp")
    spy = Spy()
    balancer = Balancer(spy, every=3)
    steps = [balancer.backward(goals_of(model, {"x": x}), model) for _ in range(7)]
    assert [step.fresh for step in steps] == [True, False, False] * 2 + [True]
    assert len(spy.seen) == 3
    assert steps[1].weights.tolist() == steps[0].weights.tolist()


@pytest.mark.parametrize("gram", SOURCES)
@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpoints(gram, reentrant):
    model, x = make("mlp")
    inner = model.trunk
    x.requires_grad_(reentrant)  # or a reentrant checkpoint gives no gradient at all
    wanted = expected(goals_of(model, {"x": x}), model)
    trunk = nn.Module()
    trunk.forward = lambda x: checkpoint(inner, x, use_reentrant=reentrant)
    trunk.inner = inner
    model.trunk = trunk
    losses = goals_of(model, {"x": x})
    if reentrant and gram in ("parameters", "last"):
        with pytest.raises(InputError, match="use_reentrant=False"):
            Balancer(Spy(), gram=gram).backward(losses, model)
        return
    Balancer(Spy(), gram=gram).backward(losses, model)
    close(gradient([*model.parameters()]), wanted)


@pytest.mark.parametrize("gram", SOURCES)
def test_frozen_and_unused_weights(gram):
    model, x = make("mlp")
    model.trunk[0].weight.requires_grad_(False)
    model.register_module("idle", nn.Linear(2, 2))
    losses = goals_of(model, {"x": x})
    step = Balancer(Spy(), gram=gram).backward(losses, model)
    assert model.trunk[0].weight.grad is None
    assert model.idle.weight.grad is None
    assert model.trunk[0].bias.grad is not None
    assert step.status is StepEnding.BALANCED


@pytest.mark.parametrize("gram", ["features", "parameters", "auto"])
def test_penalties_that_touch_weights_directly(gram):
    model, x = make("mlp")
    z = model.trunk(x)
    losses = {n: (head(z) - 1).square().mean() for n, head in model.heads.items()}
    losses["decay"] = sum(p.square().sum() for p in model.trunk.parameters())
    wanted = expected(losses, model)
    Balancer(Spy(1.0, 2.0, 3.0, 4.0), gram=gram).backward(losses, model, features=z)
    if gram == "parameters":
        close(gradient([*model.parameters()]), wanted)
    assert model.trunk[0].weight.grad is not None


def test_goals_may_be_absent_from_a_batch():
    model, x = make("mlp")
    balancer = Balancer("magnitude", gram="parameters")
    losses = goals_of(model, {"x": x})
    balancer.backward(losses, model)
    some = goals_of(model, {"x": x})
    del some["b"]
    step = balancer.backward(some, model)
    assert step.names == ("a", "c")
    assert step.weights.sum().item() == pytest.approx(2.0)
    again = balancer.backward(goals_of(model, {"x": x}), model)
    assert again.names == ("a", "b", "c")
    alone = balancer.backward({"b": goals_of(model, {"x": x})["b"]}, model)
    assert alone.weights.tolist() == [1.0]


def test_tied_weights_count_once():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5))
    trunk[2].weight = trunk[0].weight
    model = Heads(trunk, 5, 2).double()
    losses = goals_of(model, {"x": numbers(9, 5)})
    rows = jacobian(losses, [*trunk.parameters()])
    spy = Spy()
    wanted = expected(losses, model)
    Balancer(spy, gram="parameters").backward(losses, model)
    close(spy.seen[0].gram, rows @ rows.T)
    close(gradient([*model.parameters()]), wanted)


@pytest.mark.parametrize("rule", ["magnitude", "famo", "geometric-mean", "db-mtl", "dwa", "stch"])
def test_negative_losses(rule):
    model, x = make("mlp")
    balancer = Balancer(rule)
    for _ in range(3):
        losses = {name: loss - 1.0 for name, loss in goals_of(model, {"x": x}).items()}
        step = balancer.backward(losses, model)
        assert torch.isfinite(step.weights).all()


@pytest.mark.parametrize("gram", SOURCES)
def test_autocast(gram):
    torch.manual_seed(0)
    model = Heads(nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 6)), 6, 3)
    x = numbers(9, 5).float()
    wanted = expected(goals_of(model, {"x": x}), model)
    with torch.autocast("cpu", torch.bfloat16):
        losses = goals_of(model, {"x": x})
    step = Balancer(Spy(), gram=gram).backward(losses, model)
    found = gradient([*model.parameters()])
    assert (found - wanted).norm() < 0.03 * wanted.norm()
    assert torch.isfinite(step.cosines).all()


@pytest.mark.parametrize("gram", SOURCES)
@pytest.mark.parametrize("rule", ["upgrad", "magnitude"])
def test_weights_in_bfloat16(rule, gram):
    torch.manual_seed(0)
    model = Heads(nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 6)), 6, 3).bfloat16()
    losses = goals_of(model, {"x": numbers(9, 5).bfloat16()})
    step = Balancer(rule, gram=gram).backward(losses, model)
    assert all(weight.grad.dtype is torch.bfloat16 for weight in model.parameters())
    assert step.weights.dtype is torch.float64
    assert torch.isfinite(gradient([*model.parameters()])).all()


@pytest.mark.parametrize("gram", SOURCES)
def test_a_scaler_scales_gradients_and_not_the_record(gram):
    model, x = make("mlp")
    model.float()
    batch = {"x": x.float()}
    plain = Balancer("magnitude", gram=gram).backward(goals_of(model, batch), model)
    wanted = gradient([*model.parameters()])
    model.zero_grad()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    step = Balancer("magnitude", gram=gram).backward(goals_of(model, batch), model, scaler=scaler)
    close(step.norms, plain.norms, 1e-5)
    close(step.weights, plain.weights, 1e-5)
    assert step.score.item() == plain.score.item()
    scaler.unscale_(optimiser)
    close(gradient([*model.parameters()]), wanted, 1e-4)


@pytest.mark.parametrize(
    "rule", ["magnitude", "upgrad", "nash-mtl", "aligned-mtl", "cagrad", "mgda"]
)
@pytest.mark.parametrize("gram", ["features", "parameters"])
def test_an_overflow_skips_the_step_and_never_raises(rule, gram):
    model, x = make("mlp")
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    balancer = Balancer(rule, gram=gram)
    before = [p.detach().clone() for p in model.parameters()]
    state = balancer.state_dict()
    losses = goals_of(model, {"x": x})
    losses["b"] = losses["b"] * torch.inf
    step = balancer.backward(losses, model, scaler=scaler)
    assert step.status is StepEnding.OVERFLOWED
    scaler.step(optimiser)
    scaler.update()
    assert scaler.get_scale() == 512.0
    for weight, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(weight, old)
    remembered = {k: v for k, v in balancer.state_dict().items() if k.startswith("weigher.")}
    for name, value in remembered.items():
        assert not value.is_floating_point() or torch.isfinite(value).all(), name
    assert state.keys()
    optimiser.zero_grad()
    after = balancer.backward(goals_of(model, {"x": x}), model, scaler=scaler)
    assert after.status is StepEnding.BALANCED


@pytest.mark.parametrize("gram", SOURCES)
def test_somebody_elses_backward(gram):
    model, x = make("mlp")
    wanted = expected(goals_of(model, {"x": x}), model)
    seen = []

    def backward(loss):
        seen.append(loss.item())
        loss.backward()

    step = Balancer(Spy(), gram=gram).step(goals_of, model, {"x": x}, backward=backward)
    assert seen == [step.score.item()]
    close(gradient([*model.parameters()]), wanted)


def test_the_optimiser_reads_the_plain_score():
    model, x = make("mlp")
    optimiser = torch.optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe", max_iter=3)
    balancer = Balancer("sum")

    def closure():
        optimiser.zero_grad()
        return balancer.backward(goals_of(model, {"x": x}), model).score

    before = closure().item()
    optimiser.step(closure)
    assert closure().item() < before


def test_global_random_state_is_untouched():
    model, x = make("mlp")
    before = torch.get_rng_state()
    for rule in ("pcgrad", "alternate", "magnitude"):
        for gram in ("features", "sketch"):
            balancer = Balancer(rule, gram=gram)
            balancer.step(goals_of, model, {"x": x})
    assert torch.equal(torch.get_rng_state(), before)


def test_numpy_operations_in_the_graph():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.from_numpy(x.detach().numpy() ** 2)

        @staticmethod
        def backward(ctx, grad):
            return torch.from_numpy(2.0 * ctx.saved_tensors[0].detach().numpy() * grad.numpy())

    model, x = make("mlp")
    for gram in SOURCES:
        model.zero_grad()
        z = Square.apply(model.trunk(x))
        losses = {n: head(z).square().mean() for n, head in model.heads.items()}
        wanted = expected(losses, model)
        Balancer(Spy(), gram=gram).backward(losses, model)
        close(gradient([*model.parameters()]), wanted)


def test_double_backward_goals():
    """A physics-informed goal differentiates the network by its input."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    x = numbers(6, 1).requires_grad_()

    def losses():
        y = model(x)
        slope = torch.autograd.grad(y.sum(), x, create_graph=True)[0]
        return {"residual": (slope - y).square().mean(), "boundary": (y[0] - 1).square().sum()}

    wanted = expected(losses(), model)
    for gram in ("parameters", "last", "auto"):
        model.zero_grad()
        Balancer(Spy(), gram=gram).backward(losses(), model)
        close(gradient([*model.parameters()]), wanted)
    assert x.grad is not None


@pytest.mark.parametrize("policy", ["skip", "drop"])
def test_a_skipped_measurement_is_made_up_for(policy):
    model, x = make("mlp")
    balancer = Balancer("magnitude", every=10, nonfinite=policy)
    broken = goals_of(model, {"x": x})
    broken["b"] = broken["b"] * float("nan")
    balancer.backward(broken, model)
    step = balancer.backward(goals_of(model, {"x": x}), model)
    assert step.fresh
    assert (step.weights > 0).all()


def test_a_scaler_that_is_switched_off_is_none():
    model, x = make("mlp")
    losses = goals_of(model, {"x": x})
    losses["b"] = losses["b"] * float("nan")
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with pytest.raises(InputError, match="goal 'b': not finite"):
        Balancer().backward(losses, model, scaler=scaler)


@pytest.mark.parametrize("gram", SOURCES)
def test_shares_of_an_accumulated_step(gram):
    """Four equal parts are the whole batch, whatever the rule makes of the losses' sizes."""
    model, x = make("mlp")
    for rule in ("nash-mtl", "fairgrad", "db-mtl", "uncertainty", "stch", "magnitude"):
        model.zero_grad()
        Balancer(rule, gram=gram).backward(goals_of(model, {"x": x}), model)
        wanted = gradient([*model.parameters()])
        model.zero_grad()
        balancer = Balancer(rule, gram=gram)
        for part in range(4):
            balancer.backward(goals_of(model, {"x": x}), model, share=0.25, refresh=part == 0)
        close(gradient([*model.parameters()]), wanted, 1e-10)


def test_products_are_exact_inside_an_autocast():
    torch.manual_seed(0)
    model = Heads(nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 6)), 6, 3)
    x = numbers(9, 5).float()
    for gram in ("features", "parameters"):
        plain = Balancer("sum", gram=gram).backward(goals_of(model, {"x": x}), model)
        losses = goals_of(model, {"x": x})
        with torch.autocast("cpu", torch.bfloat16):
            inside = Balancer("sum", gram=gram).backward(losses, model)
        close(inside.norms, plain.norms, 1e-6)


def test_auto_chooses_again_when_the_goals_are_others():
    model, x = make("mlp")
    balancer = Balancer("magnitude")
    first = balancer.backward(goals_of(model, {"x": x}), model)
    assert first.source.startswith("features")
    losses = {**goals_of(model, {"x": x}), "decay": model.trunk[0].weight.square().sum()}
    second = balancer.backward(losses, model)
    assert second.source.startswith("parameters")


def test_a_sketch_that_did_not_look_takes_the_preferences():
    model, x = make("mlp")
    balancer = Balancer("magnitude", gram="sketch", every=5)
    balancer.step(goals_of, model, {"x": x})
    some = balancer.step(
        lambda m, b: {"a": goals_of(m, b)["a"], "c": goals_of(m, b)["c"]}, model, {"x": x}
    )
    assert some.weights.tolist() == [1.0, 1.0]
    assert balancer.step(goals_of, model, {"x": x}).fresh


def test_a_penalty_that_the_features_do_not_see_is_said():
    model, x = make("mlp")
    z = model.trunk(x)
    losses = {n: (head(z) - 1).square().mean() for n, head in model.heads.items()}
    losses["decay"] = model.trunk[0].weight.square().sum()
    step = Balancer("magnitude").backward(losses, model, features=z)
    assert step.source.endswith("not seen there: decay")


@pytest.mark.parametrize("rule", ["pcgrad", "nash-mtl", "mgda", "imtl-g", "config", "pamoo"])
def test_a_goal_at_rest_does_not_shorten_a_sum(rule):
    model, x = make("mlp", goals=2)
    one = Balancer(rule, gram="parameters").backward(goals_of(model, {"x": x}), model)
    wanted = gradient([*model.trunk.parameters()])
    model.zero_grad()
    losses = goals_of(model, {"x": x})
    losses["still"] = 0.0 * model.trunk[0].weight.sum()
    Balancer(rule, gram="parameters").backward(losses, model)
    assert one.weights.shape == (2,)
    close(gradient([*model.trunk.parameters()]), wanted, 1e-9)
