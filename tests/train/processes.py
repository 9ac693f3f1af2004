"""Runs in processes of their own that are killed or interrupted; started by test_processes.py.

One process imports torch and forks a child for every life of a run, so a life costs no import.
Prints one JSON object.
"""

import json
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import torch
from torch import nn

from counterpoint.data import Tensors
from counterpoint.storage import DISK, FileSystem
from counterpoint.train import Training, fit


class Stalling(FileSystem):
    """Waits before and after every system call of a save, so that kills land between them."""

    def __init__(self, seconds):
        self._seconds = seconds

    def _stalled(self, call, *arguments):
        time.sleep(self._seconds)
        call(*arguments)
        time.sleep(self._seconds)

    def make(self, path):
        self._stalled(super().make, path)

    def write(self, path, content):
        self._stalled(super().write, path, content)

    def sync(self, folder):
        self._stalled(super().sync, folder)

    def rename(self, old, new):
        self._stalled(super().rename, old, new)

    def remove(self, path):
        self._stalled(super().remove, path)


class Stuck(FileSystem):
    """Stands still for a minute in the save of a later checkpoint."""

    def write(self, path, content):
        if "step-00000000" not in str(path) and "checkpoints" in str(path):
            time.sleep(60)
        super().write(path, content)


class Slow:
    def step_end(self, _):
        time.sleep(0.002)
        return False

    def epoch_end(self, _):
        return False


def goals(model, batch):
    output = model(batch["x"])
    return {"fit": (output - batch["y"]).square().mean(), "size": output.square().mean() * 0.01}


def train(folder, epochs, disk=DISK):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
    x = torch.randn(320, 4)
    source = Tensors({"x": x, "y": x.sum(1, keepdim=True)})
    training = Training(epochs=epochs, batch_size=20, rate=1e-2, log_every=3, checkpoint_steps=4)
    result = fit(
        model, goals, source, training,
        validation=source, callbacks=[Slow()], folder=folder, command="make again", disk=disk,
    )  # fmt: skip
    weights = {name: value.tolist() for name, value in model.state_dict().items()}
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]
    (folder / "result.json").write_text(json.dumps([weights, rows, result.best_epoch]))
    return result


def born(folder, epochs, disk):
    """Fork a child that trains; it exits with 128 + signal when it was interrupted."""
    folder.parent.mkdir(exist_ok=True)
    child = os.fork()
    if child:
        return child
    errors = os.open(folder.with_suffix(".err"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(errors, 2)
    status = 1
    try:
        result = train(folder, epochs, disk)
        status = 128 + result.signal if result.signal else 0
    except KeyboardInterrupt:
        status = 99
    finally:
        os._exit(status)


def until(condition, seconds=30.0):
    """Wait for something."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)


def whole(folder):
    """Final weights, history and log, without times."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    log = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    return json.loads((folder / "result.json").read_text()), log


def stray(folder):
    """What is left over beside the checkpoints."""
    return [path.name for path in (folder / "checkpoints").iterdir() if path.name[:5] != "step-"]


def straight(home, epochs):
    os.waitpid(born(home / "straight", epochs, DISK), 0)
    return whole(home / "straight")


def kills(home, count, seed):
    epochs = 2 + count // 2
    chance = random.Random(seed)
    landed = 0
    while landed < count:
        child = born(home / "run", epochs, Stalling(0.002))
        time.sleep(chance.uniform(0.05, 0.4))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
        landed += 1
    _, status = os.waitpid(born(home / "run", epochs, DISK), 0)
    return {
        "landed": landed,
        "status": status,
        "same": whole(home / "run") == straight(home, epochs),
        "stray": stray(home / "run"),
    }


def ask(home, number):
    folder = home / "run"
    child = born(folder, 3, DISK)
    until(lambda: (folder / "log.jsonl").exists() and (folder / "log.jsonl").stat().st_size > 0)
    os.kill(child, number)
    _, status = os.waitpid(child, 0)
    os.waitpid(born(folder, 3, DISK), 0)
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "errors": folder.with_suffix(".err").read_text(),
        "same": whole(folder) == straight(home, 3),
    }


def insist(home):
    folder = home / "run"
    child = born(folder, 3, Stuck())
    until(lambda: any("tmp" in name for name in stray(folder)) if folder.exists() else False)
    time.sleep(0.1)
    os.kill(child, signal.SIGINT)
    time.sleep(0.1)
    os.kill(child, signal.SIGINT)
    began = time.monotonic()
    _, status = os.waitpid(child, 0)
    took = time.monotonic() - began
    left = [path.name for path in (folder / "checkpoints").glob("step-*")]
    os.waitpid(born(folder, 3, DISK), 0)
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "seconds": took,
        "left": left,
        "same": whole(folder) == straight(home, 3),
    }


def main():
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    what, home = sys.argv[1], Path(sys.argv[2])
    if what == "kills":
        found = kills(home, int(sys.argv[3]), int(sys.argv[4]))
    else:
        found = {
            "kills": kills(home / "kills", 3, 0),
            "SIGINT": ask(home / "int", signal.SIGINT),
            "SIGTERM": ask(home / "term", signal.SIGTERM),
            "insist": insist(home / "insist"),
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
