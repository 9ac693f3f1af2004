"""Goals that share the steps of a run through a balancer."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from counterpoint.balance import Alarm, BalancedStep, Balancer, Failure
from counterpoint.balance.rules import RULES
from counterpoint.data import Tensors, as_batch
from counterpoint.errors import InputError
from counterpoint.seeding import derive, seeded
from counterpoint.train import NonFiniteError, Training, find_rate, fit, groups
from counterpoint.train._balance_log import BalanceRecorder, choose_recorder
from counterpoint.train._optimiser import Optimiser
from counterpoint.train._schedule import Phase
from counterpoint.train._step import EagerStep
from train.crash import Crash, CrashAt

TRAINING = Training(
    epochs=3,
    batch_size=30,
    rate=2e-2,
    clip=1.0,
    log_every=2,
    checkpoint_steps=3,
    balance="impartial",
)
NAMES = ("square", "absolute")


@pytest.fixture
def unlike():
    """Two goals in units that are unlike."""

    def goals(model, batch):
        output = model(batch["x"])
        return {
            "square": 1000.0 * (output - batch["y"]).square().mean(),
            "absolute": (output - batch["y"]).abs().mean(),
        }

    return goals


@pytest.fixture
def run(net, unlike, source):
    def start(folder=None, training=TRAINING, **options):
        model = net()
        result = fit(
            model, unlike, source, training,
            validation=source, folder=folder, progress=False, **options,
        )  # fmt: skip
        return model, result

    return start


def quiet(rule="impartial", **options):
    return Balancer(rule, on_alarm=lambda alarm: None, nonfinite="pass", **options)


def equal(a, b):
    """Two records, bit for bit."""
    tensors = ("losses", "weights", "control", "cosines")
    for name in tensors:
        exact = {"rtol": 0, "atol": 0, "equal_nan": True}
        torch.testing.assert_close(getattr(a, name), getattr(b, name), **exact)
    rest = [name for name in vars(a) if name not in tensors]
    return [getattr(a, name) for name in rest] == [getattr(b, name) for name in rest]


def lines(folder):
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in found]


def test_a_balanced_run_is_the_loop_written_by_hand_bit_for_bit(net, unlike, table, same):
    ours, theirs = net(), net()
    settings = {"epochs": 2, "batch_size": 32, "rate": 1e-2, "schedule": "constant", "seed": 5}
    training = Training(weight_decay=0.0, **settings)
    fit(ours, unlike, Tensors(table), training, balancer=quiet(), progress=False)
    balancer = quiet()
    optimiser = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.0, fused=True)
    with seeded(5):
        for epoch in range(2):
            for batch in Tensors(table).batches(32, seed=derive(5, 1, epoch)):
                optimiser.zero_grad()
                balancer.step(unlike, theirs, batch)
                optimiser.step()
    assert same(ours, theirs)


def test_balance_matters_and_the_name_does_what_the_balancer_does(run, same):
    named, first = run()
    plain, second = run(training=replace(TRAINING, balance="sum"))
    assert not same(named, plain)
    assert second.balance is None
    assert first.balance.rule == "impartial"
    assert first.history[-1]["train"]["score"] > 0
    given, _ = run(
        training=replace(TRAINING, balance="sum"),
        balancer=quiet(seed=derive(TRAINING.seed, 3)),
    )
    assert same(named, given)


def test_the_plain_sum_through_a_balancer_is_the_plain_step(run):
    plain, _ = run(training=replace(TRAINING, balance="sum"))
    given, result = run(training=replace(TRAINING, balance="sum"), balancer=quiet("sum"))
    for ours, theirs in zip(plain.parameters(), given.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert result.balance.weights.unique().tolist() == [1.0]


@pytest.mark.parametrize("gram", ["auto", "parameters", "sketch"])
@pytest.mark.parametrize(
    "crash", [8, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 4, 7, 20))]
)
def test_a_crashed_run_goes_on_to_the_same_bits(run, same, tmp_path, gram, crash):
    training = replace(TRAINING, balance="sum", accumulate=2)
    straight, expected = run(tmp_path / "straight", training, balancer=quiet(gram=gram, every=2))
    with pytest.raises(Crash):
        run(
            tmp_path / "run",
            training,
            balancer=quiet(gram=gram, every=2),
            callbacks=[CrashAt(crash)],
        )
    resumed, result = run(tmp_path / "run", training, balancer=quiet(gram=gram, every=2))
    assert same(straight, resumed)
    assert lines(tmp_path / "run") == lines(tmp_path / "straight")
    assert equal(result.balance, expected.balance)


def test_a_finished_run_still_tells_its_balance(run, tmp_path):
    _, first = run(tmp_path / "run")
    _, again = run(tmp_path / "run")
    assert equal(first.balance, again.balance)


def test_another_rule_is_another_run(run, tmp_path):
    run(tmp_path / "run")
    with pytest.raises(InputError, match=r'training\.balance = "impartial", asked for "sum"'):
        run(tmp_path / "run", replace(TRAINING, balance="sum"))


def test_the_record_is_of_the_steps_and_the_log_has_weights_and_control(run, tmp_path):
    _, result = run(tmp_path / "run")
    balance = result.balance
    assert balance.names == NAMES
    assert balance.steps == tuple(range(1, 22))
    assert balance.losses.shape == balance.weights.shape == balance.control.shape == (21, 2)
    assert balance.cosines.shape == (21, 2, 2)
    assert balance.source.startswith("features")
    torch.testing.assert_close(balance.weights.sum(1), torch.full((21,), 2.0).double())
    torch.testing.assert_close(balance.control[0], torch.tensor([0.5, 0.5]).double())
    kept = [line for line in lines(tmp_path / "run") if line["event"] == "balance"]
    assert [line["step"] for line in kept] == [2, 4, 6, 7, 9, 11, 13, 14, 16, 18, 20, 21]
    assert kept[-1]["weights"] == dict(zip(NAMES, balance.weights[-1].tolist(), strict=True))
    assert kept[-1]["control"] == dict(zip(NAMES, balance.control[-1].tolist(), strict=True))
    assert all(line["alarms"] == [] for line in kept)


def test_a_rule_that_reads_losses_only_has_no_control(run, tmp_path):
    _, result = run(tmp_path / "run", replace(TRAINING, balance="uncertainty"))
    assert result.balance.control.isnan().all()
    kept = [line for line in lines(tmp_path / "run") if line["event"] == "balance"]
    assert kept[-1]["control"] == {"square": None, "absolute": None}


@pytest.mark.slow
def test_the_record_of_a_long_run_is_thinned(net, unlike, source):
    training = Training(epochs=30, batch_size=20, balance="impartial")
    result = fit(net(), unlike, source, training, progress=False)
    assert result.step == 300
    assert result.balance.steps == tuple(range(1, 301, 2))


def test_one_goal_alone_is_not_disturbed(net, table, same):
    def alone(model, batch):
        return {"square": (model(batch["x"]) - batch["y"]).square().mean()}

    models = [net(), net()]
    for model, rule in zip(models, ("sum", "impartial"), strict=True):
        training = Training(epochs=2, batch_size=32, balance=rule)
        fit(model, alone, Tensors(table), training, progress=False)
    for ours, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("parts", [1, 3])
def test_all_parts_of_a_step_have_the_weights_of_the_first(net, unlike, table, parts):
    """One step of plain descent: its gradient is the sum of weighted gradients of the whole."""
    model, before = net().eval(), net().eval()
    for each in (model, before):
        each[1] = nn.Identity()  # no statistics of a batch
        each[3] = nn.Identity()
    training = Training(
        epochs=1, batch_size=200, optimiser="sgd", momentum=0.0, rate=1e-3, schedule="constant",
        weight_decay=0.0, accumulate=parts,
    )  # fmt: skip
    result = fit(model, unlike, Tensors(table), training, balancer=quiet(), progress=False)
    weights = result.balance.weights[0].float()
    losses = unlike(before, table)
    (weights * torch.stack([*losses.values()])).mean().backward()
    for new, old in zip(model.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(new, old - 1e-3 * old.grad, rtol=1e-4, atol=1e-6)
    whole = torch.stack([loss.detach() for loss in losses.values()]).double()
    torch.testing.assert_close(result.balance.losses[0], whole, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", sorted(set(RULES) - {"sum"}))
def test_equal_parts_are_the_whole_step(net, unlike, table, name):
    """Whatever a rule makes of the size of a loss, a part is no smaller than the whole."""
    rows = {key: value[:30].repeat(4, *[1] * (value.ndim - 1)) for key, value in table.items()}
    rows = {key: v.double() if v.is_floating_point() else v for key, v in rows.items()}
    models = [net().eval().double() for _ in range(2)]
    for model, parts in zip(models, (1, 4), strict=True):
        model[1] = model[3] = nn.Identity()
        training = Training(
            epochs=1, batch_size=120, optimiser="sgd", momentum=0.0, rate=1e-3,
            schedule="constant", accumulate=parts,
        )  # fmt: skip
        # norms at features shrink with the root of the rows, those at weights do not
        balancer = Balancer(name, gram="parameters", monitor=False)
        fit(model, unlike, Ordered(rows), training, balancer=balancer, progress=False)
    for one, four in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, four, rtol=1e-6, atol=1e-9)


class Ordered(Tensors):
    """The rows in their order, so that the parts of a batch are alike."""

    def batches(self, size, *, seed=None, start=0):
        return super().batches(size, seed=None, start=start)


QUICK = ("alternate", "dwa", "impartial", "upgrad")  # all resume in tests/balance/test_state.py


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in sorted(set(RULES) - {"sum"})
    ],
)
def test_every_rule_trains_and_resumes(run, same, tmp_path, name):
    training = replace(TRAINING, balance=name, epochs=2)
    straight, result = run(tmp_path / "straight", training)
    assert result.history[-1]["train"]["score"] < result.history[0]["train"]["score"]
    with pytest.raises(Crash):
        run(tmp_path / "run", training, callbacks=[CrashAt(8)])
    resumed, again = run(tmp_path / "run", training)
    assert same(straight, resumed)
    assert equal(result.balance, again.balance)


def test_bfloat16(run):
    _, result = run(training=replace(TRAINING, precision="bfloat16"))
    assert result.balance.weights.isfinite().all()


def test_a_goal_that_is_not_finite_is_named(net, source):
    def bad(model, batch):
        output = model(batch["x"])
        return {"fine": output.square().mean(), "bad": (output - 1e30).square().mean()}

    with pytest.raises(NonFiniteError, match="goal 'bad': not finite"):
        fit(net(), bad, source, TRAINING, progress=False)


def test_alarms_are_noted_logged_and_recorded():
    said = []
    recorder = BalanceRecorder(quiet(), "impartial", 2, said.append)
    alarm = Alarm(Failure.STANDOFF, NAMES, 2, {"harmony": 0.001}, {"square": 1.0})
    step = BalancedStep(
        names=NAMES,
        losses=torch.ones(2).double(),
        score=torch.ones(()),
        weights=torch.ones(2).double(),
        norms=torch.ones(2).double(),
        cosines=torch.eye(2).double(),
    )
    for alarms in ((), (alarm,), (), (replace(alarm, step=4, over=True),)):
        recorder.add(replace(step, alarms=alarms), [torch.ones(()), torch.zeros(())])
    assert said == [
        f"{alarm.sentence}; {alarm.remedy}",
        "step 4: standoff of square, absolute is over",
    ]
    assert recorder.line()["alarms"] == [alarm.sentence, said[1]]
    assert recorder.line()["alarms"] == []
    record = recorder.record()
    assert record.steps == (1, 3)
    assert record.losses.tolist() == [[1.0, 0.0]] * 2
    assert [(at, found.over) for at, found in record.alarms] == [(2, False), (4, True)]
    other = BalanceRecorder(quiet(), "impartial", 2, said.append)
    # the balancer itself has made no step here
    state = {k: v for k, v in recorder.state().items() if k.startswith("record.")}
    other.restore({**state, **{f"balancer.{k}": v for k, v in _started().items()}})
    assert equal(replace(other.record(), source=""), record)
    assert other.line() == recorder.line()


def _started():
    balancer = quiet()
    model = nn.Linear(1, 1)
    output = model(torch.ones(2, 1))
    losses = {"square": output.square().mean(), "absolute": output.abs().mean()}
    balancer.backward(losses, model)
    return balancer.state_dict()


def test_the_rate_finder_takes_the_balancer_too(net, unlike, source):
    curves = [
        find_rate(net(), unlike, source, Training(batch_size=30, balance=rule), steps=20)
        for rule in ("sum", "impartial")
    ]
    assert curves[0].losses[0] == pytest.approx(curves[1].losses[0])
    assert curves[0].losses != curves[1].losses


def test_a_balancer_of_ones_own_is_named_by_its_rule(run):
    _, result = run(training=replace(TRAINING, balance="sum"), balancer=quiet("impartial"))
    assert result.balance.rule == "Magnitude"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Training(balance="impartal"),
         r"training\.balance: expected one of .*, found 'impartal'; did you mean 'impartial'\?"),
        (lambda: Training(balance="impartial", compile=True),
         r"training\.compile: works with balance = 'sum' only"),
    ],
)  # fmt: skip
def test_settings_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_two_balancers_and_a_compiled_one_are_refused(run):
    with pytest.raises(InputError, match=r"training\.balance: 'impartial' is asked for, and a bal"):
        run(balancer=quiet())
    with pytest.raises(InputError, match=r"training\.compile: works without a balancer only"):
        run(training=Training(compile=True), balancer=quiet())


@pytest.mark.parametrize("parts", [1, 3])
def test_a_scaled_loss_is_balanced_alike_and_an_overflow_skips_the_step(net, unlike, table, parts):
    training = Training(
        batch_size=200, optimiser="sgd", rate=1e-2, weight_decay=0.0, accumulate=parts
    )
    models = [net().eval(), net().eval()]
    steps = []
    for model in models:
        optimiser = Optimiser(model, groups(model), training)
        recorder = choose_recorder(replace(training, balance="impartial"), None, 10, lambda _: None)
        steps.append(EagerStep(model, unlike, optimiser, training, recorder))
    steps[1]._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in steps:
        step(as_batch(table), Phase(1.0, 0.9))
    for ours, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    before = [p.detach().clone() for p in models[1].parameters()]
    steps[1](as_batch({**table, "y": table["y"] * torch.inf}), Phase(1.0, 0.9))
    assert all(torch.equal(a, b) for a, b in zip(before, models[1].parameters(), strict=True))
    assert steps[1].state()["scale"][0] == 2.0**9
    steps[1](as_batch(table), Phase(1.0, 0.9))
    assert not torch.equal(before[0], next(models[1].parameters()))
