"""Fits as processes: killed, interrupted, side by side, and on a full disk."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tables import mixed


@pytest.fixture
def table(tmp_path):
    mixed().to_csv(tmp_path / "houses.csv", index=False)
    return tmp_path / "houses.csv"


def command(table, out, *more):
    long = ["--training.epochs", "60", "--network.members", "2", "--network.width", "16"]
    return [sys.executable, "-m", "counterpoint", "fit", str(table), "--target", "price",
            "--out", str(out), *long, *more]  # fmt: skip


def same_model(one: Path, two: Path) -> bool:
    names = [
        f"{part}-{m}{t}.safetensors"
        for m in (0, 1)
        for part, t in (("network", ""), ("posterior", "-0"))
    ]
    return all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def test_a_killed_fit_goes_on_to_the_same_bits(table, tmp_path):
    # long enough for checkpoints between, and to be killed before it ends
    long = ["--training.epochs", "300", "--training.patience", "0"]
    subprocess.run(command(table, tmp_path / "whole", *long), check=True, capture_output=True)
    for size in (2000, 60_000):
        process = subprocess.Popen(
            command(table, tmp_path / "m", *long),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        log = tmp_path / "m.run" / "members" / "log.jsonl"
        wait_for(lambda log=log, size=size: log.exists() and log.stat().st_size > size)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "m").exists()
    done = subprocess.run(
        command(table, tmp_path / "m", *long), capture_output=True, text=True, check=True
    )
    assert "going on at epoch" in done.stderr
    assert same_model(tmp_path / "whole", tmp_path / "m")
    assert not (tmp_path / "m.run").exists()


@pytest.mark.slow
def test_ctrl_c_stops_with_a_way_to_go_on(table, tmp_path):
    process = subprocess.Popen(
        command(table, tmp_path / "m"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "m.run" / "members" / "log.jsonl"
    wait_for(lambda: log.exists() and log.stat().st_size > 500)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"go on with: counterpoint fit {table}" in err
    assert "Traceback" not in err
    other = subprocess.run(
        command(table, tmp_path / "m", "--seed", "1"), capture_output=True, text=True, check=False
    )
    assert other.returncode == 2
    assert "unfinished work on another table or with other settings" in other.stderr


@pytest.mark.slow
def test_a_full_disk_is_one_line(table, tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
    code = limit + "from counterpoint.cli import main; main()"
    arguments = command(table, tmp_path / "m")[3:]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "could not be written" in done.stderr
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
def test_one_fit_a_folder(table, tmp_path):
    process = subprocess.Popen(
        command(table, tmp_path / "m", "--training.epochs", "100000"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = tmp_path / "m.run" / "members" / "log.jsonl"
    wait_for(lambda: log.exists() and log.stat().st_size > 500)
    second = subprocess.run(
        command(table, tmp_path / "m", "--seed", "9", "--overwrite"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    process.kill()
    process.wait()
    assert second.returncode == 2
    assert f"in use by process {process.pid}" in second.stderr
    assert log.exists()
