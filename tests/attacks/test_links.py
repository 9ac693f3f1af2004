"""A folder from somebody else, with links where our files should be."""

import os

import pytest
import torch

from counterpoint.data import Tensors
from counterpoint.errors import InputError
from counterpoint.storage import Lock, read_folder, write_folder
from counterpoint.table import jobs
from counterpoint.train import Training, fit

PRECIOUS = b"PRECIOUS\n" * 200


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_bytes(PRECIOUS)
    return path


def train(folder, epochs=2):
    torch.manual_seed(0)
    rows = Tensors({"x": torch.randn(40, 2), "y": torch.randn(40, 1)})
    net = torch.nn.Linear(2, 1)

    def goals(model, batch):
        return {"square": (model(batch["x"]) - batch["y"]).square().mean()}

    training = Training(epochs=epochs, batch_size=20, checkpoint_steps=1)
    return fit(net, goals, rows, training, folder=folder, progress=False)


@pytest.mark.parametrize("name", ["lock", "log.jsonl", "run.json", "checkpoints", "other"])
def test_a_run_folder_with_a_link_is_refused_and_what_it_leads_to_is_whole(name, tmp_path, victim):
    run = tmp_path / "run"
    train(run)
    place = run / name
    target = victim
    if name == "checkpoints":
        target = tmp_path / "elsewhere"
        place.rename(target)
    else:
        place.unlink(missing_ok=True)
    place.symlink_to(target)
    before = sorted(os.listdir(target)) if target.is_dir() else target.read_bytes()
    with pytest.raises(InputError, match=f"{name}: is a link"):
        train(run)
    assert before == (sorted(os.listdir(target)) if target.is_dir() else target.read_bytes())


def test_a_checkpoint_that_is_a_link_is_refused(tmp_path):
    run = tmp_path / "run"
    train(run)
    newest = max((run / "checkpoints").iterdir())
    elsewhere = newest.rename(tmp_path / "elsewhere")
    newest.symlink_to(elsewhere)
    with pytest.raises(InputError, match="is a link"):
        train(run)
    assert (elsewhere / "manifest.json").is_file()


def test_a_linked_run_folder_itself_may_be_the_user_s_own(tmp_path):
    (tmp_path / "big-disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "big-disk")
    assert train(tmp_path / "run").history


@pytest.mark.parametrize("name", ["lock", "identity", "member-0"])
def test_the_run_of_a_job_with_a_link_is_refused(name, tmp_path, victim):
    run = tmp_path / "m.run"
    run.mkdir()
    (run / "identity").write_text("x")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(victim)
    with pytest.raises(InputError, match=f"{name}: is a link"):
        jobs.run_once(tmp_path / "m", "x", pytest.fail)
    assert victim.read_bytes() == PRECIOUS


def test_the_run_of_a_job_may_be_no_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "m.run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="m.run: is a link"):
        jobs.run_once(tmp_path / "m", "x", pytest.fail)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_lock_is_no_link(tmp_path, victim):
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(InputError, match="is a link"), Lock(tmp_path / "lock"):
        pytest.fail("held")
    assert victim.read_bytes() == PRECIOUS


def test_a_manifest_is_no_link(tmp_path):
    write_folder(tmp_path / "a", kind="demo", schema=1, documents={"x": 1})
    (tmp_path / "a" / "manifest.json").rename(tmp_path / "elsewhere.json")
    (tmp_path / "a" / "manifest.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(InputError, match="not a finished demo folder"):
        read_folder(tmp_path / "a", kind="demo", schema=1)
