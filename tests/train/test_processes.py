import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# the kill of a fit by the command, cli/test_processes.py, is among the quick ones
pytestmark = pytest.mark.slow


def _play(*arguments):
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("processes.py")), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return _play("all", tmp_path_factory.mktemp("processes"))


def _check_kills(found, count):
    assert found["landed"] >= min(count, 3)
    assert found["status"] == 0
    assert found["same"]
    assert found["stray"] == []


def test_three_kills_at_random_moments_end_in_the_same_bits_and_log(played):
    _check_kills(played["kills"], 3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twenty_kills_at_random_moments_end_in_the_same_bits_and_log(tmp_path, seed):
    _check_kills(_play("kills", tmp_path, 20, seed), 20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_at_a_step_with_a_checkpoint_and_says_how_to_go_on(played, number):
    found = played[number.name]
    assert found["exit"] == 128 + number
    assert "and saved; go on with: make again" in found["errors"]
    assert "once more to stop at once" in found["errors"]
    assert found["same"]


def test_a_second_signal_stops_at_once_and_the_checkpoint_before_is_whole(played):
    found = played["insist"]
    assert found["exit"] == 99
    assert found["seconds"] < 1.0
    assert found["left"] == ["step-00000000"]
    assert found["same"]
