"""Run folders in which something was changed after it was written."""

import json

import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.storage import write_folder
from counterpoint.table import jobs
from counterpoint.train import DamagedRunError, Training, fit


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    x, y = torch.randn(40, 2), torch.randn(40, 1)

    def goals(model, batch):
        return {"square": (model(batch["x"]) - batch["y"]).square().mean()}

    def start(epochs=3):
        torch.manual_seed(1)
        training = Training(epochs=epochs, batch_size=20, checkpoint_steps=1)
        return fit(
            torch.nn.Linear(2, 1),
            goals,
            {"x": x, "y": y},
            training,
            folder=tmp_path / "run",
            progress=False,
        )

    return start


def epochs_of(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line["epoch"] for line in lines if line["event"] == "epoch"]


@pytest.mark.parametrize("damage", ["bit", "zeros", "digit", "shorter", "gone"])
def test_a_damaged_log_of_an_ended_run_is_written_anew(damage, run, tmp_path):
    first = run()
    log = tmp_path / "run" / "log.jsonl"
    content = bytearray(log.read_bytes())
    place = content.index(b'"epoch"')
    if damage == "bit":
        content[place] ^= 4
    elif damage == "zeros":
        content = bytearray(len(content))
    elif damage == "digit":  # still JSON, and not what was written
        digit = content.index(b'"square": ') + len(b'"square": ') + 3
        content[digit] = ord("7") if content[digit] != ord("7") else ord("3")
    else:
        content = content[: len(content) // 2]
    log.write_bytes(content) if damage != "gone" else log.unlink()
    again = run()
    assert any("log was not as it was left" in note for note in again.notes)
    assert again.history == first.history
    assert epochs_of(log) == [1, 2, 3]
    assert not any("log was" in note for note in run().notes)


def test_a_damaged_run_json_is_healed_where_a_checkpoint_proves_the_recipe(run, tmp_path):
    first = run()
    file = tmp_path / "run" / "run.json"
    whole = file.read_bytes()
    file.write_bytes(b"\0" * len(whole))
    assert run().history == first.history
    assert file.read_bytes() == whole


def test_a_damaged_run_json_proves_nothing_for_another_recipe(run, tmp_path):
    run()
    (tmp_path / "run" / "run.json").write_bytes(b"{")
    with pytest.raises(DamagedRunError, match="remove the folder"):
        run(epochs=5)


def test_a_damaged_checkpoint_from_before_the_first_step_costs_nothing(run, tmp_path):
    run()
    checkpoints = tmp_path / "run" / "checkpoints"
    for path in list(checkpoints.iterdir()):
        path.rename(tmp_path / path.name)
    (checkpoints / "step-00000000").mkdir()
    again = run()
    assert any("held no step" in note for note in again.notes)
    assert len(again.history) == 3


def test_overwrite_begins_a_damaged_job_again(tmp_path, fitted):
    tries = []

    def make(folder):
        tries.append(sorted(entry.name for entry in folder.iterdir()))
        if len(tries) == 1:
            (folder / "member-0").mkdir()
            raise DamagedRunError("nothing is whole")
        return fitted

    with pytest.raises(DamagedRunError):
        jobs.run_once(tmp_path / "a", "x", make)
    tries.clear()
    jobs.run_once(tmp_path / "a", "x", make, overwrite=True)
    assert tries[1] == ["identity", "lock"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"another"])
def test_a_damaged_identity_is_that_of_other_work(content, tmp_path, fitted):
    run = tmp_path / "a.run"
    (run / "member-0" / "checkpoints" / "step-00000007").mkdir(parents=True)
    (run / "identity").write_bytes(content)
    with pytest.raises(InputError, match="pass --overwrite"):
        jobs.run_once(tmp_path / "a", "x", lambda _: fitted)
    jobs.run_once(tmp_path / "a", "x", lambda _: fitted, overwrite=True)


def test_a_name_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    with pytest.raises(InputError, match="name is too long; at most"):
        jobs.run_once(tmp_path / ("m" * 240), "x", pytest.fail)


def test_a_replaced_folder_is_never_absent(tmp_path):
    path = tmp_path / "a"
    write_folder(path, kind="demo", schema=1, documents={"x": 1})
    inode = path.stat().st_ino
    write_folder(path, kind="demo", schema=1, documents={"x": 2}, overwrite=True)
    assert path.stat().st_ino != inode
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_version_set_aside_on_another_machine_is_named(tmp_path):
    from counterpoint.storage import read_folder

    write_folder(tmp_path / "a", kind="demo", schema=1)
    (tmp_path / "a").rename(tmp_path / ".counterpoint-old-elsewhere-1-a")
    with pytest.raises(InputError, match=r"waits beside it as \.counterpoint-old-elsewhere-1-a"):
        read_folder(tmp_path / "a", kind="demo", schema=1)
