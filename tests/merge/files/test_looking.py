"""What is said of files before and after a merge: tables, distances, verification, series."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import counterpoint as cp
from counterpoint.errors import InputError
from counterpoint.merge.files import (
    prepare,
    recipe_of,
    series_of,
    series_weights,
    verify_merge,
    write_merge,
)
from counterpoint.train import Training, fit


@pytest.fixture
def pair(tmp_path):
    generator = torch.Generator().manual_seed(0)
    states = []
    for name in "ab":
        state = {
            "encoder.weight": torch.randn(30, 40, generator=generator),
            "encoder.bias": torch.randn(30, generator=generator),
            "head.weight": torch.randn(2, 30, generator=generator),
        }
        save_file(state, tmp_path / f"{name}.safetensors")
        states.append(state)
    return [tmp_path / "a.safetensors", tmp_path / "b.safetensors"], states


def test_the_table_of_a_file_is_that_of_its_state(pair):
    files, (a, b) = pair
    for mine, other in zip(cp.merge.layers(files[0], files[1]), cp.merge.layers(a, b), strict=True):
        assert (mine.name, mine.kind, mine.dtype) == (other.name, other.kind, other.dtype)
        assert mine.distance == pytest.approx(other.distance, rel=1e-12)
        assert mine.cosine == pytest.approx(other.cosine, rel=1e-12)
    assert str(cp.merge.layers(files[0])) == str(cp.merge.layers(a))
    with pytest.raises(InputError, match="compared with a file"):
        cp.merge.layers(files[0], b)


@pytest.mark.parametrize("name", ["out.safetensors", "out"])
def test_a_merge_verifies(pair, tmp_path, name):
    files, _ = pair
    out = tmp_path / name
    write_merge(prepare(recipe_of(files, 0.3)), out)
    found = verify_merge(out)
    assert found.holds
    assert found.pieces == 3
    # inputs that have moved are found where somebody says
    moved = [file.rename(tmp_path / f"moved-{file.name}") for file in files]
    with pytest.raises(InputError, match="no such file"):
        verify_merge(out)
    assert verify_merge(out, moved).holds
    with pytest.raises(InputError, match="expected 2 sources"):
        verify_merge(out, moved[:1])
    assert not verify_merge(out, moved[::-1]).holds


def test_damage_and_other_inputs_are_found(pair, tmp_path):
    files, (_, b) = pair
    out = tmp_path / "out.safetensors"
    write_merge(prepare(recipe_of(files, 0.3)), out)
    content = bytearray(out.read_bytes())
    content[-3] ^= 1
    out.write_bytes(content)
    found = verify_merge(out)
    assert not found.undamaged
    assert found.differing == ("encoder.weight",) or found.differing == ("head.weight",)
    content[-3] ^= 1
    out.write_bytes(content)
    save_file({**b, "encoder.bias": b["encoder.bias"] + 1}, files[1])
    found = verify_merge(out)
    assert found.undamaged
    assert [same for _, same in found.inputs] == [True, False]
    assert found.differing == ("encoder.bias",)


def test_what_was_not_merged_does_not_verify(pair):
    with pytest.raises(InputError, match="does not say how it was merged"):
        verify_merge(pair[0][0])
    with pytest.raises(InputError, match="pieces must be 0 or more"):
        verify_merge(pair[0][0], pieces=-1)


@pytest.mark.parametrize("schedule", ["uniform", "linear", "minus-sqrt"])
def test_shares_stand_for_a_decay_of_the_rate(schedule):
    """One step a checkpoint, each update u_i: the merge scales u_i by w_i, the decay."""
    count = 7
    shares = np.array(series_weights(count, schedule))
    assert shares.sum() == pytest.approx(1)
    updates = np.random.default_rng(0).normal(size=count)
    merged = float(shares @ np.cumsum(updates))
    x = np.arange(count) / count
    raw = {"uniform": 1 - x, "minus-sqrt": 1 - np.sqrt(x)}
    decay = raw.get(schedule, 1 - x * (count * x + 1) / (count + 1))
    assert merged == pytest.approx(float(decay @ updates))


def test_the_last_checkpoints_of_a_run(tmp_path, pair):
    files, _ = pair
    for step in (20, 3, 100):
        (tmp_path / "run" / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)
    found = series_of([str(tmp_path / "run")], 2)
    assert [path[-3:] for path in found] == ["020", "100"]
    with pytest.raises(InputError, match="checkpoints_kept"):
        series_of([str(tmp_path / "run")], 4)
    assert series_of([str(file) for file in files], 0) == [str(file) for file in files]


def test_checkpoints_of_our_runs_are_merged(tmp_path):
    rows = (torch.linspace(-1, 1, 64)[:, None], torch.linspace(-2, 2, 64)[:, None])
    net = torch.nn.Linear(1, 1)

    def goals(model, batch):
        return {"fit": (model(batch["x"]) - batch["y"]).square().mean()}

    training = Training(epochs=3, batch_size=16, checkpoint_steps=4, checkpoints_kept=3)
    fit(net, goals, rows, training, folder=tmp_path / "run", progress=False)
    inputs = series_of([str(tmp_path / "run")], 3)
    write_merge(prepare(recipe_of(inputs, {"**": (0.2, 0.3, 0.5)})), tmp_path / "o.safetensors")
    states = [
        {n.removeprefix("model/"): t for n, t in load_file(f"{path}/run.safetensors").items()
         if n.startswith("model/")}
        for path in inputs
    ]  # fmt: skip
    wanted = cp.merge(states, (0.2, 0.3, 0.5))
    found = load_file(tmp_path / "o.safetensors")
    assert sorted(found) == ["bias", "weight"]
    assert torch.equal(found["weight"], wanted["weight"])
