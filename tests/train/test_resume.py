import errno
import json
import os
import shutil
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.data import Tensors
from counterpoint.errors import InputError
from counterpoint.storage import DISK, FileSystem, Lock, read_folder, write_folder
from counterpoint.train import NonFiniteError, Training, fit
from counterpoint.train._folder import RunFolder
from train.crash import Crash, CrashAt

TRAINING = Training(
    epochs=3,
    batch_size=30,
    rate=2e-2,
    weight_decay=0.1,
    clip=1.0,
    patience=2,
    log_every=2,
    checkpoint_steps=3,
)
SLOW = Training(epochs=2, batch_size=30, checkpoint_steps=3)


def _lines(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def _rows(result):
    return [
        {key: value for key, value in row.items() if key != "seconds"} for row in result.history
    ]


def _steps(folder):
    return sorted(int(path.name[5:]) for path in (folder / "checkpoints").glob("step-*"))


@pytest.fixture
def run(net, goals, source):
    def start(folder, training=TRAINING, **options):
        model = net()
        result = fit(
            model, goals, source, training,
            validation=source, folder=folder, progress=False, **options,
        )  # fmt: skip
        return model, result

    return start


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("crash", [1, 4, 7, 8, 20])
def test_a_crashed_run_goes_on_to_the_same_bits(run, same, tmp_path, optimiser, crash):
    training = Training(**{**vars(TRAINING), "optimiser": optimiser})
    straight, expected = run(tmp_path / "straight", training)
    with pytest.raises(Crash):
        run(tmp_path / "run", training, callbacks=[CrashAt(crash)])
    resumed, result = run(tmp_path / "run", training)
    assert same(straight, resumed)
    assert _rows(result) == _rows(expected)
    assert (result.status, result.best_epoch) == (expected.status, expected.best_epoch)
    assert _lines(tmp_path / "run") == _lines(tmp_path / "straight")
    assert result.notes[0].startswith("going on at epoch")


def test_when_checkpoints_are_written_does_not_change_the_result(run, same, tmp_path):
    models = []
    for name, seconds, steps in (("none", 0.0, 0), ("time", 1e-6, 0), ("steps", 0.0, 5)):
        cadence = {"checkpoint_every": seconds, "checkpoint_steps": steps}
        model, _ = run(tmp_path / name, Training(**{**vars(TRAINING), **cadence}))
        models.append(model)
    assert same(models[0], models[1])
    assert same(models[0], models[2])
    assert _lines(tmp_path / "none") == _lines(tmp_path / "time") == _lines(tmp_path / "steps")


def test_the_initial_weights_of_a_restart_do_not_matter(run, same, tmp_path, net, goals, source):
    straight, _ = run(tmp_path / "straight")
    with pytest.raises(Crash):
        run(tmp_path / "run", callbacks=[CrashAt(2)])
    other = net()
    with torch.no_grad():
        other[0].weight.add_(1.0)
    fit(other, goals, source, TRAINING, validation=source, folder=tmp_path / "run", progress=False)
    assert same(straight, other)


def test_a_finished_run_is_not_run_again(run, same, tmp_path):
    first, result = run(tmp_path / "run")
    log = (tmp_path / "run/log.jsonl").read_bytes()
    again, repeated = run(tmp_path / "run", callbacks=[CrashAt(1)])
    assert same(first, again)
    assert _rows(repeated) == _rows(result)
    assert repeated.status is result.status
    assert (tmp_path / "run/log.jsonl").read_bytes() == log
    assert "has ended already" in repeated.notes[0]


def test_only_the_last_two_checkpoints_are_kept(run, tmp_path):
    run(tmp_path / "run", SLOW)
    assert _steps(tmp_path / "run") == [12, 14]


def _flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset % len(content)] ^= 1 << (offset % 8)
    path.write_bytes(content)


def _damage(path, how, offset):
    if how == "flip":
        _flip(path, offset)
    elif how == "cut":
        os.truncate(path, offset % path.stat().st_size)
    else:
        path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("name", ["run.safetensors", "state.json", "manifest.json"])
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(crashed, name):
    folder, straight, same, start = crashed
    newest = folder / "checkpoints" / "step-00000009"
    _damage(newest / name, "cut", 100)
    model, result = start(folder)
    assert same(straight, model)
    assert str(newest) in result.notes[0]
    assert "going back to step-00000006" in result.notes[0]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**20), st.integers(0, 20), st.sampled_from(["flip", "cut", "zero"]))
def test_no_damage_goes_unseen(crashed, offset, place, how):
    folder = crashed[0]
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree(folder.with_name("kept") / "checkpoints", folder / "checkpoints")
    newest = folder / "checkpoints" / "step-00000009"
    files = sorted(path for path in newest.iterdir() if path.stat().st_size)
    path = files[place % len(files)]
    intact = read_folder(newest, kind="checkpoint", schema=1)
    _damage(path, how, offset)
    with RunFolder(folder, json.loads((folder / "run.json").read_text()), DISK) as held:
        found, notes = held.latest()
    if found.path == newest:  # the one place without a hash: versions that nothing reads
        assert path.name == "manifest.json"
        assert (found.files, found.data) == (intact.files, intact.data)
    else:
        assert found.path.name == "step-00000006"
        assert str(newest) in notes[0]


@pytest.fixture
def crashed(run, same, tmp_path):
    straight, _ = run(tmp_path / "straight", SLOW)
    with pytest.raises(Crash):
        run(tmp_path / "kept", SLOW, callbacks=[CrashAt(11)])
    shutil.copytree(tmp_path / "kept", tmp_path / "run")
    return tmp_path / "run", straight, same, lambda folder: run(folder, SLOW)


def test_damaged_newer_checkpoints_never_push_out_whole_ones(crashed, run):
    folder, straight, same, start = crashed
    checkpoints = folder / "checkpoints"
    for name in ("step-00000010", "step-00000011"):
        shutil.copytree(checkpoints / "step-00000009", checkpoints / name)
        _damage(checkpoints / name / "run.safetensors", "cut", 50)
    shutil.rmtree(checkpoints / "step-00000009")
    with pytest.raises(Crash):
        run(folder, SLOW, callbacks=[CrashAt(10)])
    assert _steps(folder) == [6, 9]
    model, _ = start(folder)
    assert same(straight, model)


def test_no_whole_checkpoint_at_all_is_refused(crashed):
    folder, _, _, start = crashed
    for path in (folder / "checkpoints").iterdir():
        (path / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"no checkpoint is whole.*remove the folder"):
        start(folder)
    assert _steps(folder) == [6, 9]


def test_a_checkpoint_of_another_run_is_not_used(crashed, run, tmp_path):
    folder, _, _, start = crashed
    with pytest.raises(Crash):
        run(tmp_path / "other", Training(**{**vars(SLOW), "seed": 1}), callbacks=[CrashAt(11)])
    shutil.rmtree(folder / "checkpoints/step-00000009")
    source = tmp_path / "other/checkpoints/step-00000009"
    shutil.copytree(source, folder / "checkpoints/step-00000009")
    _, result = start(folder)
    assert "belongs to another run" in result.notes[0]


def test_a_log_that_lost_lines_is_made_whole(crashed):
    folder, _, _, start = crashed
    (folder / "log.jsonl").unlink()
    _, result = start(folder)
    assert any("log was not as it was left" in note for note in result.notes)
    assert [line["epoch"] for line in _lines(folder)] == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 0.5}, "training.rate = 0.002, asked for 0.5"),
        ({"seed": 7}, "training.seed = 0, asked for 7"),
    ],
)
def test_another_recipe_is_refused_with_the_key_that_differs(run, tmp_path, change, message):
    run(tmp_path / "run", SLOW)
    with pytest.raises(InputError, match=message):
        run(tmp_path / "run", Training(**{**vars(SLOW), **change}))


def test_another_model_other_rows_and_another_word_of_the_caller_are_refused(
    run, tmp_path, net, goals, table
):
    run(tmp_path / "run", SLOW, recipe={"table": {"sha256": "abc"}})
    with pytest.raises(InputError, match=r'recipe.table.sha256 = "abc", asked for "def"'):
        run(tmp_path / "run", SLOW, recipe={"table": {"sha256": "def"}})
    fewer = Tensors({name: value[:100] for name, value in table.items()})
    options = {
        "folder": tmp_path / "run",
        "progress": False,
        "recipe": {"table": {"sha256": "abc"}},
    }
    with pytest.raises(InputError, match="rows = 200, asked for 100"):
        fit(net(), goals, fewer, SLOW, **options)
    wide = torch.nn.Sequential(torch.nn.Linear(3, 9), torch.nn.Linear(9, 1))
    with pytest.raises(InputError, match=r"holds a run with .* = .*, asked for"):
        fit(wide, goals, Tensors(table), SLOW, validation=Tensors(table), **options)


def test_a_folder_in_use_and_one_that_is_something_else_are_refused(run, tmp_path):
    (tmp_path / "run").mkdir()
    with Lock(tmp_path / "run/lock"), pytest.raises(InputError, match="in use by"):
        run(tmp_path / "run")
    run(tmp_path / "run", SLOW)
    (tmp_path / "run/run.json").unlink()
    with pytest.raises(InputError, match=r"checkpoints but no run.json"):
        run(tmp_path / "run", SLOW)
    (tmp_path / "run/run.json").write_text("{")
    with pytest.raises(InputError, match=r"run.json: not readable"):
        run(tmp_path / "run", Training(**{**vars(SLOW), "rate": 0.5}))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be made"):
        run(tmp_path / "file/run", SLOW)


class Full(FileSystem):
    """A disk that is full from the n-th write on."""

    def __init__(self, writes):
        self._left = writes

    def write(self, path, content):
        self._left -= 1
        if self._left < 0:
            path.write_bytes(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(path, content)


@pytest.mark.parametrize("writes", range(4, 7))
def test_a_full_disk_stops_the_run_and_keeps_the_old_checkpoint(run, same, tmp_path, writes):
    straight, _ = run(tmp_path / "straight", SLOW)
    with pytest.raises(InputError, match=r"No space left on device.*are free"):
        run(tmp_path / "run", SLOW, disk=Full(writes))
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-00000000"]
    resumed, _ = run(tmp_path / "run", SLOW)
    assert same(straight, resumed)


def test_a_disk_that_is_full_at_once_is_found_before_the_first_step(run, tmp_path):
    with pytest.raises(InputError, match="No space left"):
        run(tmp_path / "run", SLOW, disk=Full(3), callbacks=[CrashAt(1)])


def test_a_loss_that_is_not_finite_never_reaches_a_checkpoint(tmp_path, net, source):
    calls = []

    def goals(model, batch):
        calls.append(1)
        loss = model(batch["x"]).square().mean()
        return {"fit": loss * (float("nan") if len(calls) > 4 else 1.0)}

    with pytest.raises(NonFiniteError, match=r"goal 'fit': not finite .* epoch 1, step 5"):
        fit(net(), goals, source, SLOW, folder=tmp_path / "run", progress=False)
    assert _steps(tmp_path / "run") == [0, 3]


def test_weights_that_are_not_finite_never_reach_a_checkpoint(tmp_path, source):
    model = torch.nn.Linear(3, 1)

    def goals(model, batch):
        # finite, but its gradient at zero is not
        return {"fit": (model(batch["x"]) * 0.0).square().sum().sqrt()}

    with pytest.raises(NonFiniteError, match="weight 'weight': not finite after step 1"):
        fit(
            model, goals, source, Training(checkpoint_steps=1),
            folder=tmp_path / "run", progress=False,
        )  # fmt: skip
    assert _steps(tmp_path / "run") == [0]


def test_the_thread_count_of_the_run_is_taken_up_again_and_given_back(run, tmp_path):
    with pytest.raises(Crash):
        run(tmp_path / "run", callbacks=[CrashAt(5)])
    torch.set_num_threads(2)
    seen = []

    class Look(CrashAt):
        def step_end(self, _):
            seen.append(torch.get_num_threads())
            return False

    run(tmp_path / "run", callbacks=[Look(0)])
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2


def test_a_checkpoint_made_by_hand_is_refused(crashed):
    folder, _, _, start = crashed
    digest = read_folder(folder / "checkpoints/step-00000009", kind="checkpoint", schema=1).data
    write_folder(
        folder / "checkpoints/step-00000010",
        kind="checkpoint",
        schema=1,
        tensors={"run": {"model/0.weight": torch.zeros(8, 3)}},
        documents={"state": {"epoch": 0}},
        data=digest,
    )
    with pytest.raises(InputError, match=r"expected a tensor|not a checkpoint of this run"):
        start(folder)


def test_an_infinite_buffer_is_no_defect(net, source, goals, tmp_path):
    """Masks of attention hold minus infinity; only weights must be finite."""
    model = net()
    model.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    fit(model, goals, source, Training(epochs=1), folder=tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "checkpoints").exists()


def test_a_run_knows_its_settings_by_the_keys_of_earlier_versions(run, tmp_path):
    """So a run folder that the version before this one began is gone on with."""
    run(tmp_path / "run", replace(SLOW, threads=1))
    keys = set(json.loads((tmp_path / "run/run.json").read_text())["training"])
    assert keys == {
        "accumulate", "balance", "batch_size", "clip", "compile", "epochs", "log_every",
        "momentum", "optimiser", "patience", "precision", "rate", "schedule", "seed", "warmup",
        "weight_decay",
    }  # fmt: skip
    run(tmp_path / "run", replace(SLOW, threads=2))
