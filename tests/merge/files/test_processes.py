"""Processes and ranks share a merge: the bytes are those of one, also when some are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.merge.files import merge_files
from counterpoint.merge.files._work import ranges_of

HERE = Path(__file__).parents[3] / "src"


@pytest.fixture
def inputs(tmp_path) -> list[Path]:
    for seed in (0, 1, 2):
        drawn = torch.Generator().manual_seed(seed)
        state = {f"layers.{k}.weight": torch.randn(300, 200, generator=drawn) for k in range(9)}
        torch.save(state | {"large.weight": torch.randn(1100, 1000, generator=drawn)},
                   tmp_path / f"{seed}.pt")  # fmt: skip
    return [tmp_path / f"{seed}.pt" for seed in (0, 1, 2)]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_ranges_are_disjoint_and_all_there_is(count):
    sizes = [7, 1, 1, 30, 2, 0, 5]
    todo = [0, 2, 3, 4, 5, 6]
    found = ranges_of(todo, sizes, count)
    assert [part for each in found for part in each] == todo
    assert len(found) == count


def test_processes_write_the_bytes_of_one(tmp_path, inputs):
    merge_files(inputs, tmp_path / "one.safetensors")
    merge_files(inputs, tmp_path / "two.safetensors", processes=2)
    one, two = ((tmp_path / f"{name}.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("out.pt", 4), ("out", 3)])
def test_more_processes(tmp_path, inputs, name, count):
    contents = []
    for processes in (1, count):
        out = tmp_path / f"{processes}" / name
        out.parent.mkdir()
        merge_files(inputs, out, method="ties", base=inputs[2], processes=processes)
        files = [out] if out.is_file() else sorted(out.iterdir())
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_what_one_process_refuses_all_refuse(tmp_path, inputs):
    bad = {f"layers.{k}.weight": torch.full((300, 200), 3e38) for k in range(9)}
    torch.save(bad | {"large.weight": torch.ones(1100, 1000)}, tmp_path / "3.pt")
    with pytest.raises(InputError, match="not finite"):
        merge_files([tmp_path / "3.pt", inputs[0]], tmp_path / "o.pt", method="task-arithmetic",
                    base=inputs[2], weights=3.0, processes=2)  # fmt: skip
    assert not (tmp_path / "o.pt").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_ranks_of_torchrun(tmp_path, inputs, count):
    merge_files(inputs, tmp_path / "one.pt")
    paths = [*map(str, inputs), "-o", str(tmp_path / "ranks.pt")]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count)]
    found = subprocess.run(
        [*command, "-m", "counterpoint", "merge", *paths],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert found.stdout.count("ranks.pt: 10 tensors") == 1
    assert (tmp_path / "ranks.pt").read_bytes() == (tmp_path / "one.pt").read_bytes()
    again = subprocess.run(
        [*command, "-m", "counterpoint", "merge", *paths],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert again.returncode
    assert "exists already" in again.stderr


@pytest.mark.slow
def test_killed_while_processes_write(tmp_path, inputs):
    merge_files(inputs, tmp_path / "one.pt")
    out, work = tmp_path / "out.pt", tmp_path / ".out.pt.unfinished"
    command = [sys.executable, "-m", "counterpoint", "merge", *map(str, inputs), "-o", str(out)]
    process = subprocess.Popen(
        [*command, "--processes", "2"], env={**os.environ, "PYTHONPATH": str(HERE)}
    )
    end = time.monotonic() + 60
    # something is recorded, by whomever
    while not any(file.stat().st_size for file in work.glob("journal-*")):
        assert time.monotonic() < end
        assert process.poll() is None, "ended before it was killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    done = merge_files(inputs, out, processes=2)
    assert done.resumed > 0
    assert out.read_bytes() == (tmp_path / "one.pt").read_bytes()
