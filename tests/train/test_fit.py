import io
import json
from contextlib import closing

import pytest
import torch
from torch import nn

from counterpoint.data import Tensors
from counterpoint.train import FitEnding, Training, evaluate, fit
from counterpoint.train._progress import Bar, Lines


class Recorder:
    """Keep every moment; ask to stop at one."""

    def __init__(self, stop_step=None, stop_epoch=None):
        self.steps, self.epochs = [], []
        self._stop_step, self._stop_epoch = stop_step, stop_epoch

    def step_end(self, moment):
        self.steps.append(moment)
        return moment.step == self._stop_step

    def epoch_end(self, moment):
        self.epochs.append(moment)
        return moment.epoch == self._stop_epoch


def _scripted(scores):
    """Goals whose validation value follows a script, and a weight that counts the epochs."""
    left = iter(scores)

    def goals(model, batch):
        if model.training:
            return {"fit": -model.weight.sum()}
        return {"fit": torch.tensor(float(next(left)))}

    return goals


def _counter():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model


ONE = Tensors({"x": torch.ones(1, 1)})
COUNT = {
    "batch_size": 1, "optimiser": "sgd", "momentum": 0.0, "rate": 1.0, "schedule": "constant",
    "weight_decay": 0.0,
}  # fmt: skip


def test_a_row_says_what_the_epoch_did(source, net, goals):
    model = net()
    training = Training(epochs=3, batch_size=60, rate=1e-2, schedule="constant")
    result = fit(model, goals, source, training, validation=source, progress=False)
    assert result.status is FitEnding.FINISHED
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert [row["step"] for row in result.history] == [4, 8, 12]
    assert {row["rate"] for row in result.history} == {1e-2}
    for row in result.history:
        for part in (row["train"], row["validation"]):
            assert part["score"] == pytest.approx((part["square"] + part["absolute"]) / 2)
    best = min(result.history, key=lambda row: row["validation"]["score"])
    assert result.best_epoch == best["epoch"]
    assert evaluate(model, goals, source) == best["validation"]


def test_patience_stops_and_the_best_weights_come_back():
    model = _counter()
    result = fit(
        model,
        _scripted([3, 2, 4, 1, 5, 1, 9]),
        ONE,
        Training(epochs=20, patience=3, **COUNT),
        validation=ONE,
        progress=False,
    )
    assert result.status is FitEnding.EARLY
    assert (result.best_epoch, result.step) == (4, 7)
    assert model.weight.item() == 4.0


def test_without_patience_all_epochs_run_and_the_best_weights_still_come_back():
    model = _counter()
    training = Training(epochs=4, **COUNT)
    result = fit(model, _scripted([3, 1, 2, 2]), ONE, training, validation=ONE, progress=False)
    assert (result.status, result.best_epoch, model.weight.item()) == (FitEnding.FINISHED, 2, 2.0)


def test_nothing_global_changes(source, net, goals):
    model = net()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    fit(model, goals, source, Training(epochs=1), validation=source, progress=False)
    assert torch.equal(before, torch.get_rng_state())
    assert model.training
    assert not model[1].training
    assert not model[0].weight.requires_grad
    assert all(value.grad is None for value in model.parameters())


def test_the_seed_decides_everything(source, net, goals, same):
    def run(seed, global_seed):
        model = net()
        with torch.random.fork_rng():
            torch.manual_seed(global_seed)
            fit(model, goals, source, Training(epochs=2, seed=seed), progress=False)
        return model

    assert same(run(1, 10), run(1, 11))
    assert not same(run(1, 10), run(2, 10))


def test_validation_does_not_change_the_training(source, net, goals, same):
    plain, watched = net(), net()
    training = Training(epochs=2, batch_size=50)
    fit(plain, goals, source, training, progress=False)
    recorder = Recorder()
    last = []

    class Last(Recorder):
        def epoch_end(self, moment):
            last[:] = [{k: v.clone() for k, v in moment.model.state_dict().items()}]
            return False

    fit(
        watched, goals, source, training,
        validation=source, callbacks=[recorder, Last()], progress=False,
    )  # fmt: skip
    watched.load_state_dict(last[0])
    assert same(plain, watched)


def test_callbacks_hear_every_step_and_epoch(source, net, goals):
    recorder = Recorder()
    training = Training(epochs=2, batch_size=100)
    result = fit(net(), goals, source, training, callbacks=[recorder], progress=False)
    assert [(m.epoch, m.step) for m in recorder.steps] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    assert [m.epoch for m in recorder.epochs] == [1, 2]
    assert [m.row for m in recorder.epochs] == list(result.history)
    assert set(recorder.steps[0].losses) == {"square", "absolute"}
    assert not recorder.steps[0].losses["square"].requires_grad


@pytest.mark.parametrize(
    ("when", "step", "rows"), [({"stop_step": 3}, 3, 1), ({"stop_epoch": 2}, 4, 2)]
)
def test_a_callback_can_stop_the_run(when, step, rows, source, net, goals):
    training = Training(epochs=5, batch_size=100)
    result = fit(net(), goals, source, training, callbacks=[Recorder(**when)], progress=False)
    assert (result.status, result.step, len(result.history)) == (FitEnding.STOPPED, step, rows)
    assert "callback" in result.status.sentence


def test_the_log_has_one_line_an_epoch_and_one_every_n_steps(source, net, goals, tmp_path):
    training = Training(epochs=2, batch_size=20, log_every=4)
    result = fit(net(), goals, source, training, folder=tmp_path / "run", progress=False)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    expected = [
        ("steps", 4),
        ("steps", 8),
        ("epoch", 10),
        ("steps", 14),
        ("steps", 18),
        ("epoch", 20),
    ]
    assert [(line.pop("event"), line["step"]) for line in lines] == expected
    assert [lines[2], lines[5]] == list(result.history)


def test_log_lines_average_the_steps_since_the_last(tmp_path):
    source = Tensors({"l": torch.arange(10.0)})

    def goals(model, batch):
        return {"fit": batch["l"].mean() + 0.0 * model.weight.sum()}

    training = Training(epochs=1, batch_size=3, rate=0.0, log_every=2, seed=4)
    fit(_counter(), goals, source, training, folder=tmp_path / "run", progress=False)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    first, second, epoch = [line["train"]["fit"] for line in lines]
    assert 6 * first + 4 * second == pytest.approx(45)
    assert epoch == pytest.approx(4.5)


def test_plain_lines_elsewhere_and_a_bar_on_a_terminal(source, net, goals, capsys):
    fit(net(), goals, source, Training(epochs=2), validation=source)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2/2  train ")
    stream = io.StringIO()
    row = {
        "epoch": 1, "step": 5, "rate": 0.1, "seconds": 2.0,
        "train": {"score": 0.5}, "validation": {"score": 0.25},
    }  # fmt: skip
    lines = Lines(3, stream, "network 1 of 4")
    for epoch in (1, 2, 3):
        lines.row({**row, "epoch": epoch}, 1)
    assert stream.getvalue() == (
        "network 1 of 4  epoch 1/3  train 0.5  validation 0.25 (best)  2.0 s  at most 4 s left\n"
        "network 1 of 4  epoch 3/3  train 0.5  validation 0.25  2.0 s\n"
    )
    with closing(Bar(3, 10)) as bar:
        bar.step(5)
        bar.row(row, None)
        bar.note("damaged; going on from an older one")
    assert "damaged; going on" in capsys.readouterr().err


def test_silence_when_asked(source, net, goals, capsys):
    fit(net(), goals, source, Training(epochs=1), progress=False)
    assert capsys.readouterr() == ("", "")


def test_zero_is_decided_by_the_number_of_rows(source, net, goals):
    result = fit(net(), goals, source, Training(rate=1e-3), progress=False)
    wanted = Training().resolved(source.rows)
    assert len(result.history) == wanted.epochs
    assert result.step == wanted.epochs * -(-source.rows // wanted.batch_size)


def test_threads_are_those_of_the_settings_and_then_as_before(source, net, goals):
    before, seen = torch.get_num_threads(), []

    def counting(model, batch):
        seen.append(torch.get_num_threads())
        return goals(model, batch)

    for count in (0, before + 1):
        fit(net(), counting, source, Training(epochs=1, threads=count), progress=False)
    assert set(seen) == {before, before + 1}
    assert torch.get_num_threads() == before
